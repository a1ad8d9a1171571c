"""Search the nearest change along one feature, for many rows and values at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from behavior_spark.model.arrays import Bools, Doubles, Floats, Integers
from behavior_spark.model.propensity.goals import Goal, Movable
from behavior_spark.model.propensity.possible_values import nearest_values
from behavior_spark.model.propensity.sketch import Sketch
from behavior_spark.model.propensity.tree_steps import TreeSteps

# A change is worth telling if it moves the prediction by this share of it, or of its complement.
_WORTH_TELLING = 0.05
# Rows that are searched in one go, so that memory does not grow with the rows.
_ROWS = 2_000


@dataclass(frozen=True)
class Changes:
    """For each row the change that was chosen.

    Attributes:
        features: Column of the feature, int64 (rows,); -1 where nothing is worth telling.
        values: Its new value, float64 (rows,).
    """

    features: Integers
    values: Doubles


@dataclass(frozen=True)
class _Options:
    """Possible changes of some rows; all arrays but ``features`` are (rows, options).

    Attributes:
        features: Column of each option's feature, int64 (options,).
        values: New values; NaN where the option is not open to a row.
        differences: Of the margin.
        distances: From the row's value, in the spread of the training rows.
    """

    features: Integers
    values: Doubles
    differences: Doubles
    distances: Doubles


def find_changes(
    steps: TreeSteps,
    values: Floats,
    margins: Doubles,
    *,
    goal: Goal,
    features: Sequence[str],
    sketches: Mapping[str, Sketch],
    predicted: Callable[[Doubles], Doubles],
    probabilities: bool = True,
) -> Changes:
    """For each row the nearest change that reaches the next decile, else the one that moves most.

    Args:
        steps: The model's trees.
        values: Rows, float32 (rows, features).
        margins: Their margins, float64 (rows,).
        goal: What is wanted, and what may change.
        features: Names of the columns of ``values``.
        sketches: How features were spread when the model was trained; no value outside of their
            range is proposed.
        predicted: Calibrated predictions of margins, float64 (n,) to (n,).
        probabilities: Whether predictions are probabilities, so that their complement counts too.
    """
    columns = [place for place, name in enumerate(features) if name in goal.movable]
    columns = [place for place in columns if len(steps.splits(place))]
    chosen = np.full(len(values), -1, dtype=np.int64)
    new = np.full(len(values), np.nan)
    if not columns:
        return Changes(chosen, new)
    for start in range(0, len(values), _ROWS):
        rows = slice(start, start + _ROWS)
        parts = [
            _options(steps, values[rows], place, goal.movable[features[place]],
                     sketches.get(features[place]))
            for place in columns
        ]  # fmt: skip
        options = _Options(
            np.concatenate([part.features for part in parts]),
            np.concatenate([part.values for part in parts], axis=1),
            np.concatenate([part.differences for part in parts], axis=1),
            np.concatenate([part.distances for part in parts], axis=1),
        )
        before, after = margins[rows], margins[rows][:, None] + options.differences
        moved = _moved(before, after, predicted, probabilities)
        best, worth = _choose(options, before, after, moved, goal)
        row = np.arange(len(best))
        chosen[rows] = np.where(worth, options.features[best], -1)
        new[rows] = np.where(worth, options.values[row, best], np.nan)
    return Changes(chosen, new)


def _options(
    steps: TreeSteps, values: Floats, place: int, movable: Movable, sketch: Sketch | None
) -> _Options:
    """Every interval between split points of one feature, entered at its nearest value."""
    splits = steps.splits(place)
    now = values[:, place].astype(np.float64)
    along = steps.margins_along(values, place)
    interval = np.searchsorted(splits, values[:, place], side="right")
    interval = np.where(np.isnan(now), 0, interval)
    low = -np.inf if sketch is None or sketch.low is None else sketch.low
    high = np.inf if sketch is None or sketch.high is None else sketch.high
    up, down = nearest_values(splits, low=low, high=high, whole=movable.whole)
    number = np.arange(len(splits) + 1)
    below = np.where(number < interval[:, None], down, np.nan)
    new = np.where(number > interval[:, None], up, below)
    if movable.direction != "either":
        higher = new > now[:, None]
        new = np.where(higher == (movable.direction == "higher"), new, np.nan)
    new[np.isnan(now)] = np.nan
    here = along[np.arange(len(along)), interval]
    spread = (sketch.spread if sketch else 0.0) or float(splits[-1] - splits[0]) or 1.0
    return _Options(
        np.full(len(number), place, dtype=np.int64),
        new,
        along - here[:, None],
        np.abs(new - now[:, None]) / spread,
    )


def _moved(
    margins: Doubles,
    after: Doubles,
    predicted: Callable[[Doubles], Doubles],
    probabilities: bool,
) -> Doubles:
    """How far the prediction moves, as a share of it or of its complement; (rows, options)."""
    before = predicted(margins)[:, None]
    moved = predicted(after.ravel()).reshape(after.shape) - before
    scale = np.minimum(before, 1 - before) if probabilities else before
    return np.asarray(moved / np.maximum(scale, 1e-9))


def _choose(
    options: _Options, margins: Doubles, after: Doubles, moved: Doubles, goal: Goal
) -> tuple[Integers, Bools]:
    """The chosen option of each row, int64 (rows,), and whether there is one, bool (rows,)."""
    sign = 1.0 if goal.wanted == "more" else -1.0
    gains = sign * options.differences
    open_to = ~np.isnan(options.values) & (gains > 0) & (sign * moved >= _WORTH_TELLING)
    limits = goal.next_limits(margins)[:, None]
    reaches = open_to & ((after >= limits) if goal.wanted == "more" else (after < limits))
    most = np.where(open_to, gains, -np.inf).max(axis=1, keepdims=True)
    moves_most = open_to & (gains >= most - 1e-9)
    candidates = np.where(reaches.any(axis=1, keepdims=True), reaches, moves_most)
    best = np.where(candidates, options.distances, np.inf).argmin(axis=1)
    return best, np.asarray(candidates.any(axis=1))
