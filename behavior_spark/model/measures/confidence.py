"""How often labels are right, by the confidence that came with them: bins, and their error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from behavior_spark.model.arrays import Bools, Doubles, Integers

BINS = 10
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class ConfidenceBin:
    """Labels whose confidence is in ``(low, high]``; the first bin holds 0 too.

    Attributes:
        low: Lower bound.
        high: Upper bound.
        labels: Number of labels.
        confidence: Their mean confidence.
        accuracy: Share of them that is right.
    """

    low: float
    high: float
    labels: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Kept:
    """Labels that are kept with a threshold of confidence.

    Attributes:
        threshold: Smallest confidence that is kept.
        labels: Number of labels kept.
        share: Share of all labels.
        accuracy: Share of the kept ones that is right.
        low: Lower bound of the accuracy: Wilson's 95 % interval (Wilson 1927).
        high: Upper bound.
    """

    threshold: float
    labels: int
    share: float
    accuracy: float
    low: float
    high: float


def bin_numbers(confidence: Doubles, bins: int) -> Integers:
    """The bin of equal width that each confidence is in, from 0 on; int64 of the same shape."""
    numbers = np.ceil(confidence * bins - _TOLERANCE).astype(np.int64) - 1
    return np.asarray(np.clip(numbers, 0, bins - 1))


def confidence_bins(
    confidence: Doubles, right: Bools | Doubles, *, bins: int = BINS
) -> list[ConfidenceBin]:
    """Bins of equal width that hold a label, from the lowest.

    Args:
        confidence: float64 [n], from 0 to 1.
        right: [n], whether the label is right: bool, or 0 and 1.
        bins: Number of bins from 0 to 1.
    """
    number = bin_numbers(confidence, bins)
    return [
        ConfidenceBin(
            low=int(place) / bins,
            high=(int(place) + 1) / bins,
            labels=int((number == place).sum()),
            confidence=float(confidence[number == place].mean()),
            accuracy=float(right[number == place].mean()),
        )
        for place in np.unique(number)
    ]


def expected_calibration_error(bins: Sequence[ConfidenceBin]) -> float:
    """Mean gap of confidence and accuracy, weighted by labels (Guo et al. 2017); NaN for none."""
    labels = sum(part.labels for part in bins)
    gaps = sum(part.labels * abs(part.confidence - part.accuracy) for part in bins)
    return gaps / labels if labels else float("nan")


def kept_by_threshold(confidence: Doubles, right: Bools, thresholds: Sequence[float]) -> list[Kept]:
    """What each threshold keeps, in the order given; thresholds that keep nothing are left out.

    Args:
        confidence: float64 [n], from 0 to 1.
        right: bool [n].
        thresholds: Smallest confidences.
    """
    kept = []
    for threshold in thresholds:
        among = right[confidence >= threshold - _TOLERANCE]
        if len(among):
            accuracy = float(among.mean())
            low, high = wilson_interval(accuracy, len(among))
            share = len(among) / len(right)
            kept.append(Kept(float(threshold), len(among), share, accuracy, low, high))
    return kept


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """95 % interval of a share of ``count``.

    >>> [round(bound, 3) for bound in wilson_interval(0.9, 50)]
    [0.786, 0.957]
    """
    z = 1.959964
    middle = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count**2)) / (1 + z * z / count)
    return max(0.0, middle - half), min(1.0, middle + half)


FEWEST_KEPT = 20  # labels that a chosen threshold keeps, at least


def threshold_for(
    confidence: Doubles, right: Bools, precision: float, *, fewest: int = FEWEST_KEPT
) -> Kept | None:
    """The smallest threshold whose labels are right as often as wanted; None if there is none.

    The share is that of these texts; the bounds say how far off it may be for others.

    Args:
        confidence: float64 [n], from 0 to 1; below 0 where there is no label.
        right: bool [n].
        precision: Share of the kept labels that has to be right.
        fewest: Labels that it has to keep.
    """
    order = np.argsort(-confidence, kind="stable")
    ranked = confidence[order]
    kept, hits = np.arange(1, len(order) + 1), np.cumsum(right[order])
    last_of_value = np.append(ranked[1:] < ranked[:-1], True) if len(order) else kept > 0
    fits = (hits / kept >= precision) & (kept >= fewest) & last_of_value & (ranked >= 0)
    if not fits.any():
        return None
    place = int(np.flatnonzero(fits)[-1])
    count, accuracy = int(kept[place]), float(hits[place] / kept[place])
    low, high = wilson_interval(accuracy, count)
    return Kept(float(ranked[place]), count, count / len(order), accuracy, low, high)
