"""Choose the reasons of many rows at once, from contributions that are summed by subject."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from behavior_spark.model.arrays import Bools, Doubles, Integers


@dataclass(frozen=True)
class Choice:
    """The subjects that are told of each row, the strongest first, and their features.

    Attributes:
        rows: Row of each reason, int64 (reasons,), ascending.
        subjects: Its subject, int64 (reasons,).
        totals: Contribution of the subject, float64 (reasons,).
        first: Its feature that contributes most in this direction, int64 (reasons,).
        second: The next one of another aspect that is worth telling, int64 (reasons,); else -1.
    """

    rows: Integers
    subjects: Integers
    totals: Doubles
    first: Integers
    second: Integers


def choose_reasons(
    contributions: Doubles,
    sums: Doubles,
    members: Sequence[Integers],
    aspects: Integers,
    absences: Bools,
    *,
    top: int,
    worth_saying: float,
) -> Choice:
    """For each row up to ``top`` subjects that raise the margin, and ``top`` that lower it.

    Args:
        contributions: float64 (rows, features).
        sums: float64 (rows, subjects); 0: not told.
        members: Features of each subject, int64 (members,), ascending.
        aspects: Number of each feature's aspect, int64 (features,).
        absences: Whether a value says that there is nothing, bool (rows, features): as a second
            feature ("no visit in the last 7 days") it adds nothing to what the first one tells.
        top: Most subjects in each direction.
        worth_saying: A second feature is told if it contributes this share of the first one.
    """
    rows, subjects = _strongest(sums, top)
    totals = sums[rows, subjects]
    first = np.empty(len(rows), dtype=np.int64)
    second = np.full(len(rows), -1, dtype=np.int64)
    order = np.argsort(subjects, kind="stable")
    ends = np.searchsorted(subjects[order], np.arange(len(members) + 1))
    for subject, own in enumerate(members):
        reasons = order[ends[subject] : ends[subject + 1]]
        if not len(reasons):
            continue
        signed = contributions[rows[reasons][:, None], own[None, :]]
        signed *= np.sign(totals[reasons])[:, None]
        best = signed.argmax(axis=1)
        first[reasons] = own[best]
        if len(own) > 1:
            most = np.abs(signed[np.arange(len(reasons)), best])[:, None]
            told = (signed > 0) & (signed >= worth_saying * most)
            told &= aspects[own][None, :] != aspects[own[best]][:, None]
            told &= ~absences[rows[reasons][:, None], own[None, :]]
            next_best = np.where(told, signed, -np.inf).argmax(axis=1)
            second[reasons] = np.where(told.any(axis=1), own[next_best], -1)
    return Choice(rows, subjects, totals, first, second)


def _strongest(sums: Doubles, top: int) -> tuple[Integers, Integers]:
    """Row and subject of each reason: by row, and there the largest sums first."""
    strength = np.abs(sums)
    kept = _largest(np.where(sums > 0, strength, 0.0), top)
    kept |= _largest(np.where(sums < 0, strength, 0.0), top)
    rows, subjects = np.nonzero(kept)
    order = np.lexsort((subjects, -strength[rows, subjects], rows))
    return rows[order], subjects[order]


def _largest(values: Doubles, most: int) -> Bools:
    """Of each row the largest values above 0, at most so many; of equal ones the first."""
    if values.shape[1] <= most:
        return np.asarray(values > 0)
    least = -np.partition(-values, most - 1, axis=1)[:, most - 1 : most]
    above = values > least
    tied = (values == least) & (values > 0)
    room = most - above.sum(axis=1, keepdims=True)
    return np.asarray(above | (tied & (tied.cumsum(axis=1) <= room)))
