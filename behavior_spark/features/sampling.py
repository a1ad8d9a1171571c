"""Which rows of a large training set are kept, and how many each of them stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

_PARTS = 1_000_000


@dataclass(frozen=True)
class Shares:
    """Shares in (0, 1] of the rows that are kept.

    Attributes:
        positives: Of rows with a positive label.
        negatives: Of rows without any.
    """

    positives: float = 1.0
    negatives: float = 1.0

    def __post_init__(self) -> None:
        for name, share in vars(self).items():
            if not 0 < share <= 1:
                raise ValueError(f"{name} is a share in (0, 1], not {share}")


ALL = Shares()


def shares_for(rows: int, positives: int, *, most: int) -> Shares:
    """Shares that leave about ``most`` rows: all positives, where they are at most half of those.

    Where negatives are fewer than the other half, positives take what is left of it.

    A negative says little where there are many (King and Zeng 2001, "Logistic Regression in Rare
    Events Data", section 4), so they go first.

    >>> shares_for(1_000, 10, most=505)
    Shares(positives=1.0, negatives=0.5)
    >>> shares_for(1_000, 500, most=100)
    Shares(positives=0.1, negatives=0.1)
    >>> shares_for(1_000, 500, most=5_000)
    Shares(positives=1.0, negatives=1.0)
    >>> shares_for(1_000, 800, most=600)
    Shares(positives=0.5, negatives=1.0)
    """
    if rows <= most:
        return ALL
    negatives = max(1, rows - positives)
    kept = max(min(positives, most / 2), min(positives, most - negatives))
    share = min(1.0, max(1.0, most - kept) / negatives)
    return Shares(kept / positives if positives else 1.0, share)


def is_positive(label_columns: Sequence[str]) -> Column:
    """Whether any of the labels (null: 0) is above 0."""
    return F.greatest(*[F.col(name) for name in label_columns], F.lit(0)) > 0


def sampled(
    frame: DataFrame, label_columns: Sequence[str], shares: Shares, *, seed: int
) -> DataFrame:
    """Keep shares of the rows, chosen by a hash of user and day; add their ``weight``.

    Args:
        frame: ``user_id, as_of`` and labels.
        label_columns: A row with more than 0 in any of them is a positive.
        shares: How many are kept.
        seed: Another one keeps others.

    Returns:
        The rows kept, with ``weight`` (double): the inverse of the probability of being kept.
    """
    kept = {name: max(1, round(share * _PARTS)) for name, share in vars(shares).items()}
    limit = F.when(is_positive(label_columns), kept["positives"]).otherwise(kept["negatives"])
    drawn = F.pmod(F.xxhash64("user_id", "as_of", F.lit(seed)), F.lit(_PARTS)) < limit
    return frame.where(drawn).withColumn("weight", F.lit(float(_PARTS)) / limit)
