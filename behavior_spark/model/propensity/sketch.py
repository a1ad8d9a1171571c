"""Quantile sketches of features and scores, and how far later values are from them.

A sketch is ten bins of about equal size and one of missing values, of the counts in a model's card.
Two measures compare the shares of users in the bins: the population stability index (Siddiqi 2006,
"Credit risk scorecards") and the Kolmogorov-Smirnov distance, here over the bins' ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from behavior_spark.model.arrays import Doubles, Integers

BINS = 10
MODERATE, LARGE = 0.1, 0.25
Words = Literal["much", "somewhat", "little"]


@dataclass(frozen=True)
class Sketch:
    """How the values of a column are spread.

    Attributes:
        ends: Upper ends of all bins but the last, ascending; a value at an end is below it.
        counts: Rows in each bin, then rows with a missing value.
    """

    ends: tuple[float, ...]
    counts: tuple[float, ...]

    @classmethod
    def of(cls, values: npt.ArrayLike, *, weights: npt.ArrayLike | None = None) -> Self:
        """The sketch of values, float (n,); NaN is missing.

        Args:
            values: Shape (n,).
            weights: How many rows each row stands for, (n,); by default one.
        """
        column = np.asarray(values, dtype=np.float64)
        often = np.ones(column.size) if weights is None else np.asarray(weights, dtype=np.float64)
        order = np.argsort(column, kind="stable")  # missing ones last
        order = order[~np.isnan(column[order])]
        known = column[order]
        ends: tuple[float, ...] = ()
        if known.size:
            below = np.cumsum(often[order])
            places = np.searchsorted(below, below[-1] * np.arange(1, BINS) / BINS - 1e-9)
            # The greatest value ends no bin: above it would be nothing to compare with.
            inner = np.unique(known[places.clip(max=known.size - 1)])
            ends = tuple(float(end) for end in inner if end < known[-1])
        empty = cls(ends, (0.0,) * (len(ends) + 2))
        return cls(ends, tuple(float(n) for n in empty.count(column, weights=weights)))

    def count(self, values: npt.ArrayLike, *, weights: npt.ArrayLike | None = None) -> Doubles:
        """Rows of other values in each bin, then those missing, float64 (bins + 1,)."""
        column = np.asarray(values, dtype=np.float64)
        missing = np.isnan(column)
        bins: Integers = np.searchsorted(self.ends, column, side="left")
        bins = np.where(missing, len(self.ends) + 1, bins)
        counts = None if weights is None else np.asarray(weights, dtype=np.float64)
        found = np.bincount(bins, weights=counts, minlength=len(self.ends) + 2)
        return np.asarray(found, dtype=np.float64)

    @classmethod
    def of_steps(cls, counted: Mapping[str, Any]) -> Self:
        """The sketch of steps as a model's card holds them; see ``distribution``.

        Args:
            counted: ``steps``, ``users`` of each, and users ``unknown``.
        """
        steps = [*counted["steps"], np.nan]
        return cls.of(steps, weights=[*counted["users"], counted["unknown"]])


@dataclass(frozen=True)
class Drift:
    """How far one column moved.

    Attributes:
        name: The column; of scores the target.
        psi: Population stability index.
        ks: Greatest difference of the shares of users up to a bin's end, among known values.
        words: ``much`` from 0.25 of PSI on, ``somewhat`` from 0.1 on, if that is above twice of
            what chance gives; else ``little``.
    """

    name: str
    psi: float
    ks: float
    words: Words


def drift_between(name: str, before: Sequence[float], now: Sequence[float]) -> Drift:
    """Compare counts of the same bins, the last of which is of missing values.

    Without rows on one side nothing has moved.
    """
    table = np.array([before, now], dtype=np.float64)
    users = table.sum(axis=1)
    if not users.all():
        return Drift(name, 0.0, 0.0, "little")
    known = table[:, :-1]
    sums = known.sum(axis=1, keepdims=True)
    ks = 0.0
    if sums.all():
        shares = np.cumsum(known / sums, axis=1)
        ks = float(np.abs(shares[0] - shares[1]).max())
    used = table[:, table.sum(axis=0) > 0]
    # Half a user in an empty bin, so that the logarithm is finite.
    floored = np.maximum(used, 0.5)
    old, new = floored / floored.sum(axis=1, keepdims=True)
    psi = float(((new - old) * np.log(new / old)).sum())
    chance = 2 * max(used.shape[1] - 1, 1) * float((1 / users).sum())
    words: Words = "little"
    if psi >= max(LARGE, chance):
        words = "much"
    elif psi >= max(MODERATE, chance):
        words = "somewhat"
    return Drift(name, psi, ks, words)


def describe_drift(drifts: Sequence[Drift], *, since: str, most: int = 3) -> str | None:
    """What moved much, as a sentence, the largest first; None where nothing did.

    >>> describe_drift([Drift("recency_days", 0.4, 0.2, "much")], since="training")
    'moved much since training: recency_days (PSI 0.40, KS 0.20)'
    """
    much = sorted((d for d in drifts if d.words == "much"), key=lambda d: (-d.psi, d.name))
    if not much:
        return None
    told = [f"{d.name} (PSI {d.psi:.2f}, KS {d.ks:.2f})" for d in much[:most]]
    more = f" and {len(much) - most} more" if len(much) > most else ""
    return f"moved much since {since}: {', '.join(told)}{more}"
