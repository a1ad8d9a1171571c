"""How features and scores were spread when a model learned, so that later nights can be compared.

Values are counted in steps of a logarithmic scale. Steps are the same for every night, so that the
counts of two nights can be set side by side without knowing each other's values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from behavior_spark.model.arrays import Doubles, Floats

# Steps by octave: values that differ by less than 19 % may be counted together.
STEPS_AN_OCTAVE = 4
SMALLEST = 2.0**-10
# Steps per unit of a score.
STEPS_A_SCORE = 100
FEATURES, SCORES = "features", "scores"


def value_steps(values: npt.NDArray[Any]) -> Doubles:
    """Number of the step of each value, float64; 0 of values near 0, NaN of unknown ones.

    >>> value_steps(np.array([0.0, 1.0, 2.0, -2.0])).tolist()
    [0.0, 40.0, 44.0, -44.0]
    """
    numbers = np.asarray(values, dtype=np.float64)
    size = np.maximum(np.abs(numbers), SMALLEST) / SMALLEST
    steps: Doubles = np.sign(numbers) * np.floor(np.log2(size) * STEPS_AN_OCTAVE) + 0.0
    return steps


def score_steps(scores: Doubles) -> Doubles:
    """Number of the step of each score, float64."""
    steps: Doubles = np.floor(scores * STEPS_A_SCORE)
    return steps


def describe_distribution(
    features: Sequence[str],
    values: Floats,
    *,
    margins: Doubles,
    predictions: Doubles,
    weights: Doubles,
) -> dict[str, dict[str, Any]]:
    """Counts of users by step, as JSON values: by ``features`` and ``scores``.

    Each has ``steps`` and ``users`` of the same length, ``unknown`` users and the ``total`` of
    the known values; of scores it is that of predictions. Scores are those of rows that their
    model had not learned from.

    Args:
        features: Names of the columns.
        values: Features, float32 (rows, features); NaN: not known.
        margins: Scores, float64 (rows,); NaN: none.
        predictions: Calibrated predictions of these margins, float64 (rows,).
        weights: Number of rows that each row represents, float64 (rows,).
    """
    scored = ~np.isnan(margins)
    return {
        FEATURES: {
            name: _counts(values[:, place], value_steps(values[:, place]), weights)
            for place, name in enumerate(features)
        },
        SCORES: {
            "score": _counts(
                predictions[scored], score_steps(margins[scored]), weights[scored]
            )
        } if scored.any() else {},
    }  # fmt: skip


def _counts(values: npt.NDArray[Any], steps: Doubles, weights: Doubles) -> dict[str, Any]:
    known = ~np.isnan(steps)
    distinct, places = np.unique(steps[known], return_inverse=True)
    users = np.bincount(places, weights=weights[known], minlength=len(distinct))
    total = float((values[known].astype(np.float64) * weights[known]).sum())
    return {
        "steps": distinct.astype(int).tolist(),
        "users": [round(float(count), 3) for count in users],
        "unknown": round(float(weights[~known].sum()), 3),
        "total": total,
    }
