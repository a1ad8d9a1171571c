"""Users by score, cut into parts: deciles, parts of equal size, the first N.

A frame of scores has one row for each step of the score, highest first: ``users`` and sums over
them. A cut inside a step takes of its sums in proportion, so that no order of users is preferred.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

SHARES = (0.01, 0.05, 0.1, 0.2, 0.5)


def rows_of(frame: pd.DataFrame) -> list[Any]:
    """Rows of a frame as named tuples."""
    return list(frame.itertuples(index=False))


def parts_of(scores: pd.DataFrame, parts: int, columns: Sequence[str]) -> pd.DataFrame:
    """Sums of ``columns`` in parts of equal size: ``part`` (1: the highest), ``users``, sums.

    Args:
        scores: A frame of scores.
        parts: Number of parts.
        columns: Columns to sum.
    """
    total = float(scores["users"].sum())
    ends = np.array([total * (part + 1) / parts for part in range(parts)])
    sums = {name: np.diff(sums_of_first(scores, ends, name), prepend=0.0) for name in columns}
    users = np.diff(ends, prepend=0.0)
    return pd.DataFrame({"part": range(1, parts + 1), "users": users, **sums})


def sums_of_first(
    scores: pd.DataFrame, users: Sequence[float] | np.ndarray, name: str
) -> np.ndarray:
    """Sum of a column over the first N users, float64, for each N.

    >>> frame = pd.DataFrame({"step": [2, 1], "users": [2, 2], "hits": [2, 1]})
    >>> sums_of_first(frame, [1, 2, 3], "hits").tolist()
    [1.0, 2.0, 2.5]
    """
    counts = np.concatenate([[0.0], scores["users"].to_numpy(dtype=float).cumsum()])
    sums = np.concatenate([[0.0], scores[name].to_numpy(dtype=float).cumsum()])
    summed: np.ndarray = np.interp(np.asarray(users, dtype=float), counts, sums)
    return summed


def round_sizes(total: int, *, least: int) -> list[int]:
    """Round numbers of users, about 1, 5, 10, 20 and 50 % of all, none smaller than ``least``.

    >>> round_sizes(4010, least=10)
    [40, 200, 400, 800, 2000]
    """
    sizes = set()
    for share in SHARES:
        wanted = total * share
        if wanted >= 1:
            scale = 10 ** max(0, len(str(int(wanted))) - 1)
            sizes.add(int(round(wanted / scale) * scale))
    return [size for size in sorted(sizes) if max(least, 1) <= size <= total]


def typical_place(sizes: Sequence[int], total: int) -> int:
    """Place of the size nearest to a tenth of all users."""
    return min(range(len(sizes)), key=lambda place: abs(sizes[place] - total / 10))
