"""Measures of ranking and of calibration.

Every function takes `labels` (0/1 or bool, shape (n,)) and `scores` (float, shape (n,)). The
result does not depend on the order of rows: tied scores are treated as one group. It is NaN for
a sample with one class only, or without rows. With `weights`, shape (n,), a row counts that many
times (a sampled row represents others).
"""

from __future__ import annotations

from functools import partial

import numpy as np
import numpy.typing as npt

from behavior_spark.model.arrays import Doubles
from behavior_spark.model.measures.metric import (
    Batched,
    checked_vectors,
    checked_weights,
    refuse_others_than_0_and_1,
    register_metric,
)


def roc_auc(
    labels: npt.ArrayLike, scores: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> float:
    """Share of (positive, negative) pairs ranked the right way; ties count half.

    >>> roc_auc([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.9])
    0.875
    """
    return _single(weighted_roc_auc, labels, scores, weights)


def average_precision(
    labels: npt.ArrayLike, scores: npt.ArrayLike, *, weights: npt.ArrayLike | None = None
) -> float:
    """Precision averaged over the positives, step-wise (scikit-learn's definition).

    >>> average_precision([0, 1, 1], [0.1, 0.9, 0.5])
    1.0
    """
    return _single(_batched_average_precision, labels, scores, weights)


def lift_at(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    share: float = 0.1,
    weights: npt.ArrayLike | None = None,
) -> float:
    """Rate of positives in the top `share` of the scores, over the rate in all rows.

    A group of ties across the cut counts in proportion, so no row order is preferred.

    >>> lift_at([1, 0, 0, 0], [0.9, 0.5, 0.2, 0.1], share=0.25)
    4.0
    """
    return _single(partial(_batched_lift_at, share=share), labels, scores, weights)


def expected_calibration_error(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    *,
    bins: int = 15,
    weights: npt.ArrayLike | None = None,
) -> float:
    """Mean |observed rate - mean probability| over bins, weighted by their rows.

    Bins have equal mass (by mid-rank; ties share a bin): with equal widths nearly all users of a
    rare target would be in one bin (Roelofs et al. 2022, "Mitigating bias in calibration error
    estimation"). Resamples use the bins of the full sample. The estimate is biased upwards in
    small samples, and more in resamples, so its interval is too high rather than too low.

    >>> round(expected_calibration_error([0, 0, 1, 1], [0.1, 0.1, 0.8, 0.8], bins=2), 3)
    0.15
    """
    return _single(partial(_batched_calibration_error, bins=bins), labels, probabilities, weights)


def _single(
    metric: Batched,
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    weights: npt.ArrayLike | None,
) -> float:
    truth, values = checked_vectors(labels, scores, refuse_others_than_0_and_1)
    if not truth.size:
        return float("nan")
    return float(metric(truth, values, checked_weights(weights, truth.size)[None, :])[0])


def _tie_groups(truth: Doubles, scores: Doubles, weights: Doubles) -> tuple[Doubles, Doubles]:
    """Weight of positives and of all per group of tied scores, highest score first."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.concatenate(([True], ranked[1:] != ranked[:-1])))
    sorted_weights = weights[:, order]
    everyone = np.add.reduceat(sorted_weights, starts, axis=1)
    positives = np.add.reduceat(sorted_weights * truth[order], starts, axis=1)
    return positives, everyone


def _divide(numerator: Doubles, denominator: Doubles) -> Doubles:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio: Doubles = np.where(denominator > 0, numerator / denominator, np.nan)
    return ratio


def weighted_roc_auc(truth: Doubles, scores: Doubles, weights: Doubles) -> Doubles:
    """:func:`roc_auc` of each resample, float64 (resamples,).

    Args:
        truth: 0 or 1, shape (n,).
        scores: Shape (n,).
        weights: How often each row counts, shape (resamples, n).
    """
    positives, everyone = _tie_groups(truth, scores, weights)
    negatives = everyone - positives
    total_negatives = negatives.sum(axis=1)
    below = total_negatives[:, None] - np.cumsum(negatives, axis=1)
    pairs_won = (positives * (below + negatives / 2)).sum(axis=1)
    return _divide(pairs_won, positives.sum(axis=1) * total_negatives)


def _batched_average_precision(truth: Doubles, scores: Doubles, weights: Doubles) -> Doubles:
    positives, everyone = _tie_groups(truth, scores, weights)
    ranked_weight = np.cumsum(everyone, axis=1)
    precision = np.cumsum(positives, axis=1) / np.maximum(ranked_weight, 1e-300)
    total = positives.sum(axis=1)
    value = _divide((positives * precision).sum(axis=1), total)
    return np.where(total < everyone.sum(axis=1), value, np.nan)


def _batched_lift_at(
    truth: Doubles, scores: Doubles, weights: Doubles, *, share: float = 0.1
) -> Doubles:
    value = top_share_means(truth, scores, weights, share=share)
    negatives = (weights * (1 - truth)).sum(axis=1)
    return np.where(negatives > 0, value, np.nan)


def top_share_means(truth: Doubles, scores: Doubles, weights: Doubles, *, share: float) -> Doubles:
    """Mean of truth in the top `share` of the scores, over the mean of all rows, per resample.

    Args:
        truth: At least 0, shape (n,).
        scores: Shape (n,); a group of ties across the cut counts in proportion.
        weights: How often each row counts, shape (resamples, n).
        share: In (0, 1].
    """
    amounts, everyone = _tie_groups(truth, scores, weights)
    total, total_amount = everyone.sum(axis=1), amounts.sum(axis=1)
    top_weight = total * share
    before = np.cumsum(everyone, axis=1) - everyone
    counted = np.clip(top_weight[:, None] - before, 0.0, everyone)
    top_amount = (amounts * counted / np.maximum(everyone, 1e-300)).sum(axis=1)
    return _divide(
        top_amount / np.maximum(top_weight, 1e-300), total_amount / np.maximum(total, 1e-300)
    )


def _batched_calibration_error(
    truth: Doubles, scores: Doubles, weights: Doubles, *, bins: int = 15
) -> Doubles:
    _, group, count = np.unique(scores, return_inverse=True, return_counts=True)
    mid_rank = np.cumsum(count) - count / 2
    bin_of = np.minimum((mid_rank / truth.size * bins).astype(np.int64), bins - 1)[group]
    gaps: Doubles = np.zeros((weights.shape[0], bins))
    for index in np.unique(bin_of):
        inside = bin_of == index
        gaps[:, index] = weights[:, inside] @ (truth[inside] - scores[inside])
    total, positives = weights.sum(axis=1), weights @ truth
    one_class = (positives <= 0) | (positives >= total)
    return np.where(one_class, np.nan, _divide(np.abs(gaps).sum(axis=1), total))


register_metric(roc_auc, weighted_roc_auc)
register_metric(average_precision, _batched_average_precision)
register_metric(lift_at, _batched_lift_at)
register_metric(expected_calibration_error, _batched_calibration_error)
