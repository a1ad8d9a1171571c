"""How well scores rank and how far probabilities are off, with bootstrap intervals.

Every function takes `labels` (0/1 or bool, shape (n,)) and `scores` (float, shape (n,))
and does not depend on the order of the rows: tied scores are treated as one group. A
sample with one class, or none at all, has no ranking: the answer is NaN. With `weights`,
shape (n,), a row counts so many times (a sampled row stands for others).

The bootstrap (Efron & Tibshirani 1993, percentile interval) draws users with
replacement. A resample is a vector of multiplicities, so the scores are sorted once and
all resamples are computed together. It is deterministic by seed, for rows in one order:
callers who want the same interval from shuffled rows sort by user first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Doubles

Metric = Callable[..., float]
_Batched = Callable[[Doubles, Doubles, Doubles], Doubles]

_CELLS_AT_ONCE = 4_000_000


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
    """Rate of positives in the top `share` of the scores, over the rate in all.

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

    Bins are equal-mass (by mid-rank; ties share a bin): with equal-width bins nearly all
    users of a rare target fall into one (Roelofs et al. 2022, "Mitigating bias in
    calibration error estimation"). The bootstrap keeps the bins of the full sample. The
    estimate is biased upwards in small samples, and more so in a resample, so read its
    interval as an upper one.

    >>> round(expected_calibration_error([0, 0, 1, 1], [0.1, 0.1, 0.8, 0.8], bins=2), 3)
    0.15
    """
    return _single(partial(_batched_calibration_error, bins=bins), labels, probabilities, weights)


def bootstrap_interval(
    metric: Metric,
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile interval (low, high) of `metric` over resampled users.

    Args:
        metric: A function of this module, a `functools.partial` of one, or any
            `(labels, scores) -> float` (slower: one call a resample; without weights).
        labels: 0/1, shape (n,).
        scores: Shape (n,).
        weights: How many users a row stands for, shape (n,); by default one.
        resamples: How many resamples are drawn.
        level: Coverage of the interval.
        seed: Same seed and rows, same interval.

    Returns:
        Low and high; NaN where the labels have one class.
    """
    [values] = _resampled(metric, labels, [scores], weights=weights, resamples=resamples, seed=seed)
    return _percentiles(values, level)


def paired_bootstrap_difference(
    metric: Metric,
    labels: npt.ArrayLike,
    scores_a: npt.ArrayLike,
    scores_b: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float, float]:
    """Metric of a minus metric of b on the same users: (difference, low, high).

    Both are computed on the same resamples, so what they share cancels out.
    """
    pair: list[npt.ArrayLike] = [scores_a, scores_b]
    values = _resampled(metric, labels, pair, weights=weights, resamples=resamples, seed=seed)
    low, high = _percentiles(values[0] - values[1], level)
    counted = {} if weights is None else {"weights": weights}
    return metric(labels, scores_a, **counted) - metric(labels, scores_b, **counted), low, high


def _checked(
    labels: npt.ArrayLike, scores: npt.ArrayLike, check: Callable[[Doubles], None]
) -> tuple[Doubles, Doubles]:
    truth = np.asarray(labels, dtype=np.float64)
    values = np.asarray(scores, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise ModelError(
            "labels and scores must be vectors of one length",
            found=f"shapes {truth.shape} and {values.shape}",
            fix="pass one label and one score per user",
        )
    check(truth)
    if np.isnan(values).any():
        raise ModelError(
            "labels need scores that are numbers",
            found=f"{int(np.isnan(values).sum())} NaN scores",
            fix="drop or repair those rows",
        )
    return truth, values


def refuse_others_than_0_and_1(truth: Doubles) -> None:
    """Raise ModelError unless every label is 0 or 1."""
    others = int((~np.isin(truth, (0.0, 1.0))).sum())
    if others:
        raise ModelError(
            "labels must be 0 or 1", found=f"{others} other labels", fix="drop or repair those rows"
        )


def _single(
    metric: _Batched,
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    weights: npt.ArrayLike | None,
) -> float:
    truth, values = _checked(labels, scores, refuse_others_than_0_and_1)
    if not truth.size:
        return float("nan")
    return float(metric(truth, values, _row_weights(weights, truth.size)[None, :])[0])


def _row_weights(weights: npt.ArrayLike | None, size: int) -> Doubles:
    if weights is None:
        return np.ones(size)
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (size,) or not (values > 0).all():
        raise ModelError(
            "weights must be positive numbers, one a row",
            found=f"shape {values.shape} for {size} rows",
            fix="pass the inverse of the probability with which each row was kept",
        )
    return values


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
    """:func:`roc_auc` of each resample.

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
    seen = np.cumsum(everyone, axis=1)
    precision = np.cumsum(positives, axis=1) / np.maximum(seen, 1e-300)
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
    """Mean of truth among the share of highest scores, over the mean of all, of each resample.

    Args:
        truth: At least 0, shape (n,).
        scores: Shape (n,); a group of ties across the cut counts in proportion.
        weights: How often each row counts, shape (resamples, n).
        share: In (0, 1].
    """
    amounts, everyone = _tie_groups(truth, scores, weights)
    total, total_amount = everyone.sum(axis=1), amounts.sum(axis=1)
    wanted = total * share
    before = np.cumsum(everyone, axis=1) - everyone
    taken = np.clip(wanted[:, None] - before, 0.0, everyone)
    found = (amounts * taken / np.maximum(everyone, 1e-300)).sum(axis=1)
    return _divide(found / np.maximum(wanted, 1e-300), total_amount / np.maximum(total, 1e-300))


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


Check = Callable[[Doubles], None]
_BATCHED: dict[Any, tuple[Callable[..., Doubles], Check]] = {}


def register_metric(
    metric: Metric, batched: Callable[..., Doubles], *, check: Check = refuse_others_than_0_and_1
) -> None:
    """Let a metric be bootstrapped quickly.

    Args:
        metric: Of labels, scores and ``weights``.
        batched: The same of truth (n,), scores (n,) and weights (resamples, n).
        check: Raises ModelError for labels that the metric does not take.
    """
    _BATCHED[metric] = (batched, check)


def measured_once(
    metric: Metric, labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None
) -> float:
    """A registered metric of all rows; NaN without any."""
    batched, check = _BATCHED[metric]
    truth, values = _checked(labels, scores, check)
    if not truth.size:
        return float("nan")
    return float(batched(truth, values, _row_weights(weights, truth.size)[None, :])[0])


register_metric(roc_auc, weighted_roc_auc)
register_metric(average_precision, _batched_average_precision)
register_metric(lift_at, _batched_lift_at)
register_metric(expected_calibration_error, _batched_calibration_error)


def _batched_form(metric: Metric) -> tuple[_Batched | None, Check]:
    """How a metric is computed for many resamples (None: one by one), and what labels it takes."""
    inner = metric.func if isinstance(metric, partial) else metric
    batched, check = _BATCHED.get(inner, (None, refuse_others_than_0_and_1))
    if isinstance(metric, partial) and batched is not None:
        batched = None if metric.args else partial(batched, **metric.keywords)
    return batched, check


def resample_counts(size: int, resamples: int, seed: int) -> Iterator[Doubles]:
    """Multiplicities of each row, shape (<= resamples, size), a bounded block at a time."""
    generator = np.random.default_rng(seed)
    block = max(1, _CELLS_AT_ONCE // max(size, 1))
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        picked = generator.integers(0, size, size=(rows, size))
        picked += np.arange(rows)[:, None] * size
        counts = np.bincount(picked.ravel(), minlength=rows * size)
        yield counts.reshape(rows, size).astype(np.float64)


def _resampled(
    metric: Metric,
    labels: npt.ArrayLike,
    score_sets: list[npt.ArrayLike],
    *,
    weights: npt.ArrayLike | None,
    resamples: int,
    seed: int,
) -> list[Doubles]:
    """Metric of each score set on each resample; all sets share the resamples."""
    batched, check = _batched_form(metric)
    pairs = [_checked(labels, scores, check) for scores in score_sets]
    size = pairs[0][0].size
    if not size or (pairs[0][0] == pairs[0][0][0]).all():
        return [np.full(resamples, np.nan) for _ in pairs]
    if batched is None and weights is not None:
        raise ValueError("only metrics of this module can be weighted")
    each = _row_weights(weights, size)
    blocks: list[list[Doubles]] = [[] for _ in pairs]
    for counts in resample_counts(size, resamples, seed):
        for values, (truth, scores) in zip(blocks, pairs, strict=True):
            if batched is not None:
                values.append(batched(truth, scores, counts * each))
                continue
            rows = [np.repeat(np.arange(size), row.astype(np.int64)) for row in counts]
            values.append(np.array([metric(truth[row], scores[row]) for row in rows]))
    return [np.concatenate(values) for values in blocks]


def _percentiles(values: Doubles, level: float) -> tuple[float, float]:
    known = values[~np.isnan(values)]
    if not known.size:
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
