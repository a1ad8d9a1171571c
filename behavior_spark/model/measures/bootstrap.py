"""Bootstrap intervals of metrics over resampled users.

The bootstrap (Efron & Tibshirani 1993, percentile interval) draws users with replacement. A
resample is a vector that says how often each row counts, so the scores are sorted once and all
resamples are computed together. It is deterministic for a seed and an order of rows: sort by
user first to get the same interval from shuffled rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from behavior_spark.model.arrays import Doubles
from behavior_spark.model.measures.metric import (
    Metric,
    batched_form,
    checked_vectors,
    checked_weights,
)

_CELLS_AT_ONCE = 4_000_000


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
        metric: A registered metric, a `functools.partial` of one, or any
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
    batched, check = batched_form(metric)
    pairs = [checked_vectors(labels, scores, check) for scores in score_sets]
    size = pairs[0][0].size
    if not size or (pairs[0][0] == pairs[0][0][0]).all():
        return [np.full(resamples, np.nan) for _ in pairs]
    if batched is None and weights is not None:
        raise ValueError("only registered metrics can be weighted")
    row_weights = checked_weights(weights, size)
    blocks: list[list[Doubles]] = [[] for _ in pairs]
    for counts in _row_counts(users, size, resamples, seed):
        for values, (truth, scores) in zip(blocks, pairs, strict=True):
            if batched is not None:
                values.append(batched(truth, scores, counts * row_weights))
                continue
            rows = [np.repeat(np.arange(size), row.astype(np.int64)) for row in counts]
            values.append(np.array([metric(truth[row], scores[row]) for row in rows]))
    return [np.concatenate(values) for values in blocks]


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


def percentile_interval(values: Doubles, level: float) -> tuple[float, float]:
    """Ends of the middle ``level`` of the values that are not NaN; NaN without any."""
    defined = values[~np.isnan(values)]
    if not defined.size:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
