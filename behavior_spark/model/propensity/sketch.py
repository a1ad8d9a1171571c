"""Quantile sketches of features and scores, and how far later values are from them.

A sketch is ten bins of about equal size and one of missing values, small enough for a model's card.
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
    """How the values of a column are spread; they are compared as float32, as models read them.

    Attributes:
        ends: Upper ends of all bins but the last, ascending; a value at an end is below it.
        counts: Rows in each bin, then rows with a missing value.
        mean: Mean of the known values; 0 if none is known.
        low: Smallest known value; None if none is known, or of a sketch of an earlier version.
        high: Greatest known value, likewise.
    """

    ends: tuple[float, ...]
    counts: tuple[float, ...]
    mean: float = 0.0
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(
        cls,
        values: npt.ArrayLike,
        *,
        weights: npt.ArrayLike | None = None,
        mean_of: npt.ArrayLike | None = None,
    ) -> Self:
        """The sketch of values, float (n,); NaN is missing.

        Args:
            values: Shape (n,).
            weights: How many rows each row stands for, (n,); by default one.
            mean_of: What ``mean`` is the mean of, (n,), where that is not the values themselves.
        """
        column = _as_models_read(values)
        is_known = ~np.isnan(column)
        known = column[is_known]
        ends: tuple[float, ...] = ()
        if known.size:
            inner = np.quantile(known, np.arange(1, BINS) / BINS, method="lower")
            # The greatest value ends no bin: above it would be nothing to compare with.
            ends = tuple(float(end) for end in np.unique(inner) if end < known.max())
            below = known[known < known.max()]
            if not ends and below.size:  # nine rows in ten have the greatest value
                ends = (float(below.max()),)
        empty = cls(ends, (0.0,) * (len(ends) + 2))
        counts = tuple(float(n) for n in empty.count(column, weights=weights))
        each = np.ones(len(column)) if weights is None else np.asarray(weights, dtype=np.float64)
        told = column if mean_of is None else np.asarray(mean_of, dtype=np.float64)
        total = float((told[is_known] * each[is_known]).sum())
        if not known.size:
            return cls(ends, counts)
        mean = total / float(each[is_known].sum())
        return cls(ends, counts, mean, float(known.min()), float(known.max()))

    def count(self, values: npt.ArrayLike, *, weights: npt.ArrayLike | None = None) -> Doubles:
        """Rows of other values in each bin, then those missing, float64 (bins + 1,)."""
        column = _as_models_read(values)
        missing = np.isnan(column)
        bins: Integers = np.searchsorted(self.ends, column, side="left")
        bins = np.where(missing, len(self.ends) + 1, bins)
        counts = None if weights is None else np.asarray(weights, dtype=np.float64)
        found = np.bincount(bins, weights=counts, minlength=len(self.ends) + 2)
        return np.asarray(found, dtype=np.float64)

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        data = {"ends": list(self.ends), "counts": list(self.counts), "mean": self.mean}
        known = {"low": self.low, "high": self.high}
        return data | {name: end for name, end in known.items() if end is not None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The sketch from its JSON values."""
        return cls(
            tuple(data["ends"]), tuple(data["counts"]), data["mean"],
            data.get("low"), data.get("high"),
        )  # fmt: skip

    @property
    def spread(self) -> float:
        """From the first tenth to the last, else from the smallest value to the greatest."""
        if len(self.ends) > 1:
            return self.ends[-1] - self.ends[0]
        return (self.high or 0.0) - (self.low or 0.0)


def _as_models_read(values: npt.ArrayLike) -> Doubles:
    """Rounded to float32: else a value that ends a bin might be on either side of it."""
    return np.asarray(values, dtype=np.float64).astype(np.float32).astype(np.float64)


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
