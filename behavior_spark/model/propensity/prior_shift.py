"""Move probabilities to the rate of another time: the ranking stays, the level changes.

A model learns on days of one season and predicts in another. If what users do given their features
changes by a common factor of the odds (a rush before Christmas), all log-odds are off by one
number, the *offset*. Out-of-time folds measure it on each training day, and so tell what a day of
the same season was off by a year ago; the EM of Saerens, Latinne and Decaestecker (2002, "Adjusting
the outputs of a classifier to new a priori probabilities") estimates it from features alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from behavior_spark.model.arrays import Doubles

YEAR = timedelta(days=365)
# A fold tells of the same season if its day is so near the day a year ago.
NEAR = timedelta(days=16)
# Offsets of single days are noisy: half of one is believed.
BELIEVED = 0.5
_EDGE = 1e-9


def shifted(probabilities: npt.ArrayLike, offset: float) -> Doubles:
    """Probabilities with an offset added to their log-odds, float64 (n,).

    >>> shifted([0.5, 0.2], 0.0)
    array([0.5, 0.2])
    """
    values = np.asarray(probabilities, dtype=np.float64)
    if offset == 0:
        return values
    clipped = np.clip(values, _EDGE, 1 - _EDGE)
    odds = clipped / (1 - clipped) * np.exp(offset)
    return np.asarray(odds / (1 + odds))


def offset_to_rate(
    probabilities: npt.ArrayLike, rate: float, *, weights: Doubles | None = None
) -> float:
    """The offset with which the mean of the probabilities is a rate; by bisection.

    Args:
        probabilities: Shape (n,), n > 0.
        rate: The wanted mean; 0 and 1 are moved inside by half a row.
        weights: How often each row counts, shape (n,).
    """
    values = np.asarray(probabilities, dtype=np.float64)
    edge = 0.5 / (values.size + 1)
    wanted = min(max(rate, edge), 1 - edge)
    low, high = -30.0, 30.0
    for _ in range(60):
        middle = (low + high) / 2
        if np.average(shifted(values, middle), weights=weights) < wanted:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def offsets_by_day(
    probabilities: Doubles,
    labels: Doubles,
    days: npt.NDArray[np.datetime64],
    *,
    weights: Doubles,
) -> dict[str, float]:
    """For each day the offset with which its predictions have the mean of its outcomes.

    Args:
        probabilities: Predictions by models that knew nothing of the row's day or later, (n,).
        labels: 0 or 1, (n,).
        days: As-of day of each row, (n,).
        weights: How often each row counts, (n,).

    Returns:
        Offset by day (ISO), ascending.
    """
    offsets = {}
    for day in np.unique(days):
        at = days == day
        rate = float(np.average(labels[at], weights=weights[at]))
        offsets[str(day)] = offset_to_rate(probabilities[at], rate, weights=weights[at])
    return offsets


def season_offset(offsets: Mapping[str, float], as_of: date) -> float:
    """The offset to expect at a night; 0.0 where no day is known.

    Half of: what the newest day was off by, and by how much that changed from the same day a year
    ago to this season a year ago. Without a year of days half of the newest day's offset.

    Args:
        offsets: As from :func:`offsets_by_day`; days whose outcomes are known at ``as_of``.
        as_of: Day of the predictions.
    """
    if not offsets:
        return 0.0
    newest = max(offsets)
    expected = offsets[newest]
    season, before = (_near(offsets, day - YEAR) for day in (as_of, date.fromisoformat(newest)))
    if season is not None and before is not None:
        expected += offsets[season] - offsets[before]
    return BELIEVED * expected


def _near(offsets: Mapping[str, float], wanted: date) -> str | None:
    """The day nearest to one, the earlier of two; None if it is too far."""
    distances = {day: abs(date.fromisoformat(day) - wanted) for day in sorted(offsets)}
    day = min(distances, key=lambda known: distances[known])
    return day if distances[day] <= NEAR else None


def folds_of_season(days: Sequence[date], *, horizon_days: int) -> list[date]:
    """Days whose offsets nights after the last day may ask for, ascending.

    They are the last two, and those of a year before them and before the weeks in which a model of
    the last day predicts.

    Args:
        days: As-of days, ascending.
        horizon_days: Horizon of the target.
    """
    ends = days[-2:]
    first = ends[0] - YEAR - NEAR
    last = ends[-1] - YEAR + timedelta(days=2 * horizon_days) + NEAR
    return [day for day in days if day in ends or first <= day <= last]


def estimated_rate(
    probabilities: npt.ArrayLike, rate: float, *, rounds: int = 200, tolerance: float = 1e-6
) -> float:
    """Rate of positives among new rows, from their predictions alone (Saerens' EM).

    It holds where features given the outcome are spread as before (label shift); where users do
    more at equal features, as in a rush, it cannot see it.

    Args:
        probabilities: Predictions of the new rows, (n,).
        rate: Rate of positives that the model was calibrated to, in (0, 1).
        rounds: Most rounds.
        tolerance: Change of the rate at which it stops.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    current = rate
    for _ in range(rounds):
        offset = float(np.log(current / (1 - current)) - np.log(rate / (1 - rate)))
        following = float(np.clip(shifted(values, offset).mean(), _EDGE, 1 - _EDGE))
        if abs(following - current) < tolerance:
            return following
        current = following
    return current
