"""Measures of ranking and of calibration, with bootstrap intervals.

Every function takes `labels` (0/1 or bool, shape (n,)) and `scores` (float, shape (n,)). The
result does not depend on the order of rows: tied scores are treated as one group. It is NaN for
a sample with one class only, or without rows. With `weights`, shape (n,), a row counts that many
times (a sampled row represents others).

The bootstrap (Efron & Tibshirani 1993, percentile interval) draws users with replacement. A
resample is a vector that says how often each row counts, so the scores are sorted once and all
resamples are computed together. It is deterministic for a seed and an order of rows: sort by
user first to get the same interval from shuffled rows.
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


def bootstrap_interval(
    metric: Metric,
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    weights: npt.ArrayLike | None = None,
    users: npt.ArrayLike | None = None,
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
        weights: Number of users that a row represents, shape (n,); 1 by default.
        users: User of each row, shape (n,), if a user may have several rows, which are then drawn
            together (cluster bootstrap); by default each row is a user.
        resamples: Number of resamples.
        level: Coverage of the interval.
        seed: Seed of the resamples; the same seed and rows give the same interval.

    Returns:
        Low and high; NaN where the labels have one class.
    """
    [values] = resampled(
        metric, labels, [scores], weights=weights, users=users, resamples=resamples, seed=seed
    )
    return percentile_interval(values, level)


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

    Both are computed on the same resamples, so that their common variation cancels out.
    """
    pair: list[npt.ArrayLike] = [scores_a, scores_b]
    values = resampled(metric, labels, pair, weights=weights, resamples=resamples, seed=seed)
    low, high = percentile_interval(values[0] - values[1], level)
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
    invalid = int((~np.isin(truth, (0.0, 1.0))).sum())
    if invalid:
        raise ModelError(
            "labels must be 0 or 1",
            found=f"{invalid} other labels",
            fix="drop or repair those rows",
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


Check = Callable[[Doubles], None]
_BATCHED: dict[Any, tuple[Callable[..., Doubles], Check]] = {}


def register_metric(
    metric: Metric, batched: Callable[..., Doubles], *, check: Check = refuse_others_than_0_and_1
) -> None:
    """Register the batched form of a metric, which the bootstrap uses because it is faster.

    Args:
        metric: Function of labels, scores and ``weights``.
        batched: The same metric of truth (n,), scores (n,) and weights (resamples, n).
        check: Raises ModelError for labels that the metric does not accept.
    """
    _BATCHED[metric] = (batched, check)


def measured_once(
    metric: Metric, labels: npt.ArrayLike, scores: npt.ArrayLike, weights: npt.ArrayLike | None
) -> float:
    """Value of a registered metric over all rows; NaN without rows."""
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
    """The batched form of a metric (None if it has none), and the check of its labels."""
    inner = metric.func if isinstance(metric, partial) else metric
    batched, check = _BATCHED.get(inner, (None, refuse_others_than_0_and_1))
    if isinstance(metric, partial) and batched is not None:
        batched = None if metric.args else partial(batched, **metric.keywords)
    return batched, check


def resample_counts(size: int, resamples: int, seed: int) -> Iterator[Doubles]:
    """How often each row is drawn in each resample, in blocks of shape (<= resamples, size)."""
    generator = np.random.default_rng(seed)
    block = max(1, _CELLS_AT_ONCE // max(size, 1))
    for start in range(0, resamples, block):
        rows = min(block, resamples - start)
        picked = generator.integers(0, size, size=(rows, size))
        picked += np.arange(rows)[:, None] * size
        counts = np.bincount(picked.ravel(), minlength=rows * size)
        yield counts.reshape(rows, size).astype(np.float64)


def _row_counts(
    users: npt.ArrayLike | None, size: int, resamples: int, seed: int
) -> Iterator[Doubles]:
    """Like :func:`resample_counts`, but rows of one user are drawn together."""
    if users is None:
        yield from resample_counts(size, resamples, seed)
        return
    _, user_of_row = np.unique(np.asarray(users), return_inverse=True)
    for counts in resample_counts(int(user_of_row.max()) + 1, resamples, seed):
        yield counts[:, user_of_row]


def resampled(
    metric: Metric,
    labels: npt.ArrayLike,
    score_sets: list[npt.ArrayLike],
    *,
    weights: npt.ArrayLike | None = None,
    users: npt.ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> list[Doubles]:
    """Metric of each set of scores on each resample; all sets have the same resamples.

    Arguments as of :func:`bootstrap_interval`.

    Returns:
        For each set, float64 (resamples,); NaN where a resample has one class.
    """
    batched, check = _batched_form(metric)
    pairs = [_checked(labels, scores, check) for scores in score_sets]
    size = pairs[0][0].size
    if not size or (pairs[0][0] == pairs[0][0][0]).all():
        return [np.full(resamples, np.nan) for _ in pairs]
    if batched is None and weights is not None:
        raise ValueError("only metrics of this module can be weighted")
    row_weights = _row_weights(weights, size)
    blocks: list[list[Doubles]] = [[] for _ in pairs]
    for counts in _row_counts(users, size, resamples, seed):
        for values, (truth, scores) in zip(blocks, pairs, strict=True):
            if batched is not None:
                values.append(batched(truth, scores, counts * row_weights))
                continue
            rows = [np.repeat(np.arange(size), row.astype(np.int64)) for row in counts]
            values.append(np.array([metric(truth[row], scores[row]) for row in rows]))
    return [np.concatenate(values) for values in blocks]


def percentile_interval(values: Doubles, level: float) -> tuple[float, float]:
    """Ends of the middle ``level`` of the values that are not NaN; NaN without any."""
    defined = values[~np.isnan(values)]
    if not defined.size:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
