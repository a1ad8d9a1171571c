"""Measures of predicted amounts: rank correlation, error, and gain of the top tenth.

Every function takes `labels` (at least 0, shape (n,)) and `scores` (shape (n,)). The result does
not depend on the order of rows, and is NaN where it is not defined. With `weights`, shape (n,), a
row counts that many times. All can be used with ``bootstrap.bootstrap_interval`` and
``bootstrap.paired_bootstrap_difference``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Doubles
from behavior_spark.model.measures.metric import measured_once, register_metric
from behavior_spark.model.measures.ranking import top_share_means, weighted_roc_auc


def spearman(
    labels: npt.ArrayLike, scores: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> float:
    """Spearman's rank correlation; ties have their mean rank.

    >>> round(spearman([0, 1, 5, 9], [0.1, 0.3, 0.2, 0.9]), 6)
    0.8
    """
    return measured_once(spearman, labels, scores, weights)


def mean_absolute_error(
    labels: npt.ArrayLike, predictions: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> float:
    """Mean of |label - prediction|, in the label's unit.

    >>> mean_absolute_error([0, 4], [1, 1])
    2.0
    """
    return measured_once(mean_absolute_error, labels, predictions, weights)


def top_decile_gain(
    labels: npt.ArrayLike, scores: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> float:
    """Mean label of the tenth with the highest scores, over the mean of all.

    A group of ties across the cut counts in proportion.

    >>> top_decile_gain([5] + [0] * 8 + [5], range(10, 0, -1))
    5.0
    """
    return measured_once(top_decile_gain, labels, scores, weights)


def roc_auc_of_any(
    labels: npt.ArrayLike, scores: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> float:
    """AUC of labels above 0 against those of 0; ties count half.

    >>> roc_auc_of_any([0, 2, 0, 7], [0.1, 0.4, 0.4, 0.9])
    0.875
    """
    return measured_once(roc_auc_of_any, labels, scores, weights)


def weighted_ranks(values: Doubles, weights: Doubles) -> Doubles:
    """Mid-ranks in each resample, float64 (resamples, n); ties share their mean rank.

    Args:
        values: float64 (n,).
        weights: How often each row counts, float64 (resamples, n).

    >>> weighted_ranks(np.array([3.0, 1.0, 3.0]), np.ones((1, 3)))
    array([[2. , 0.5, 2. ]])
    """
    _, group = np.unique(values, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    mass = np.add.reduceat(weights[:, order], starts, axis=1)
    middle = np.cumsum(mass, axis=1) - mass / 2
    return np.asarray(middle[:, group])


def _batched_spearman(truth: Doubles, scores: Doubles, weights: Doubles) -> Doubles:
    total = weights.sum(axis=1, keepdims=True)

    def centred(values: Doubles) -> Doubles:
        ranks = weighted_ranks(values, weights)
        return np.asarray(ranks - (weights * ranks).sum(axis=1, keepdims=True) / total)

    truth_ranks, score_ranks = centred(truth), centred(scores)
    spread = (weights * truth_ranks**2).sum(axis=1) * (weights * score_ranks**2).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        value = (weights * truth_ranks * score_ranks).sum(axis=1) / np.sqrt(spread)
    return np.where(spread > 0, value, np.nan)


def _batched_mean_absolute_error(truth: Doubles, scores: Doubles, weights: Doubles) -> Doubles:
    return np.asarray(weights @ np.abs(truth - scores) / weights.sum(axis=1))


def _batched_top_decile_gain(truth: Doubles, scores: Doubles, weights: Doubles) -> Doubles:
    return top_share_means(truth, scores, weights, share=0.1)


def _batched_roc_auc_of_any(truth: Doubles, scores: Doubles, weights: Doubles) -> Doubles:
    return weighted_roc_auc((truth > 0).astype(np.float64), scores, weights)


def _refuse_no_amounts(truth: Doubles) -> None:
    bad = int((~np.isfinite(truth) | (truth < 0)).sum())
    if bad:
        raise ModelError(
            "labels must be numbers of at least 0",
            found=f"{bad} others",
            fix="drop or repair those rows",
        )


for _metric, _batched in (
    (spearman, _batched_spearman),
    (mean_absolute_error, _batched_mean_absolute_error),
    (top_decile_gain, _batched_top_decile_gain),
    (roc_auc_of_any, _batched_roc_auc_of_any),
):
    register_metric(_metric, _batched, check=_refuse_no_amounts)
