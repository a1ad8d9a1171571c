"""What is usual in a group of peers: centre and scale of each feature, robust to outliers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from behavior_spark.model.arrays import Bools, Doubles, Integers

EVERYBODY = ""
MOST_DEVIATIONS = 50.0
# Of a normal distribution: standard deviation over median, and over mean, absolute deviation.
_OF_MEDIAN, _OF_MEAN = 1.4826, 1.2533


@dataclass(frozen=True)
class Peers:
    """Centre and scale of each feature in each group.

    Attributes:
        groups: Names of the groups; the first is everybody.
        centres: float64 [groups, features]: medians.
        scales: float64 [groups, features]: 0 where a feature does not vary.
    """

    groups: tuple[str, ...]
    centres: Doubles
    scales: Doubles

    @classmethod
    def of(cls, values: Doubles, groups: Sequence[str], *, least: int) -> Peers:
        """Measure a sample.

        A scale is 1.4826 times the median absolute deviation; where more than half of the values
        are equal, 1.2533 times the mean absolute deviation (Iglewicz and Hoaglin 1993, How to
        detect and handle outliers).

        Args:
            values: float64 [users, features]; NaN: not known.
            groups: Each user's group.
            least: Smaller groups are left out: their users are compared with everybody.
        """
        named = np.asarray(groups, dtype=object)
        sizes = {str(name): int((named == name).sum()) for name in set(groups)}
        kept = sorted(name for name, users in sizes.items() if users >= least and name != EVERYBODY)
        rows: list[Bools] = [np.ones(len(values), dtype=bool), *[named == name for name in kept]]
        measured = [_measure(values[chosen]) for chosen in rows]
        return cls(
            (EVERYBODY, *kept),
            np.stack([centre for centre, _ in measured]),
            np.stack([scale for _, scale in measured]),
        )

    def number(self, groups: Sequence[str]) -> Integers:
        """Each user's group by its place in ``groups``; 0, everybody, where it is not there."""
        places = {name: place for place, name in enumerate(self.groups)}
        return np.array([places.get(name, 0) for name in groups], dtype=np.int64)

    def deviations(self, values: Doubles, numbers: Integers) -> Doubles:
        """Robust z-scores, float64 [users, features], within 50; 0 for a value not known."""
        scales = self.scales[numbers]
        away = np.asarray(values - self.centres[numbers])
        deviations = np.divide(away, scales, out=np.zeros_like(away), where=scales > 0)
        limited = np.clip(deviations, -MOST_DEVIATIONS, MOST_DEVIATIONS)
        return np.asarray(np.nan_to_num(limited))


def _measure(values: Doubles) -> tuple[Doubles, Doubles]:
    known = np.where(np.isfinite(values).any(axis=0), values, 0.0)
    centre = np.nanmedian(known, axis=0)
    away = np.abs(known - centre)
    scale = _OF_MEDIAN * np.nanmedian(away, axis=0)
    return centre, np.where(scale > 0, scale, _OF_MEAN * np.nanmean(away, axis=0))
