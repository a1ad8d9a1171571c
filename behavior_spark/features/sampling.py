"""Sample the rows of a large training set, with weights."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

_PARTS = 1_000_000


@dataclass(frozen=True)
class Shares:
    """Shares of rows to keep, in (0, 1].

    Attributes:
        positives: Share of rows with a positive outcome.
        negatives: Share of the other rows.

    Raises:
        ValueError: A share is not in (0, 1].
    """

    positives: float = 1.0
    negatives: float = 1.0

    def __post_init__(self) -> None:
        for name, share in vars(self).items():
            if not 0 < share <= 1:
                raise ValueError(f"{name} is a share in (0, 1], not {share}")


ALL = Shares()


def shares_for(rows: int, positives: int, *, most: int) -> Shares:
    """Shares that leave about ``most`` rows.

    All positives are kept if they are at most half of ``most``; otherwise half of ``most``, or
    more if there are too few negatives for the other half. Negatives are dropped first because
    many negatives add little information (King and Zeng 2001, "Logistic Regression in Rare Events
    Data", section 4).

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
    kept_positives = max(min(positives, most / 2), min(positives, most - negatives))
    share = min(1.0, max(1.0, most - kept_positives) / negatives)
    return Shares(kept_positives / positives if positives else 1.0, share)


def is_positive(label_columns: Sequence[str]) -> Column:
    """Whether any of the outcomes is above 0; null counts as 0."""
    return F.greatest(*[F.col(name) for name in label_columns], F.lit(0)) > 0


def sampled(
    frame: DataFrame, label_columns: Sequence[str], shares: Shares, *, seed: int
) -> DataFrame:
    """Keep shares of the rows, chosen by a hash of user and day.

    Args:
        frame: ``user_id, as_of`` and outcomes.
        label_columns: Columns of outcomes; a row with any above 0 is a positive.
        shares: Shares to keep.
        seed: Seed of the hash.

    Returns:
        The kept rows, with ``weight`` (double): the inverse of the probability of being kept.
    """
    limits = {name: max(1, round(share * _PARTS)) for name, share in vars(shares).items()}
    limit = F.when(is_positive(label_columns), limits["positives"]).otherwise(limits["negatives"])
    is_kept = F.pmod(F.xxhash64("user_id", "as_of", F.lit(seed)), F.lit(_PARTS)) < limit
    return frame.where(is_kept).withColumn("weight", F.lit(float(_PARTS)) / limit)


def sampled_by_hash(
    frame: DataFrame, *, rows: int | None = None, most: int, key: str = "user_id"
) -> DataFrame:
    """The rows of the smallest hashes of a key, at most so many: the same on every run.

    Rows whose hash is clearly too large are left out first: else every partition would send so many
    rows to the task that chooses.

    Args:
        frame: The rows.
        rows: How many they are; None: not known, and none is left out first.
        most: Rows to keep.
        key: Column that is hashed; equal hashes are in the order of the key.
    """
    hashed = F.xxhash64(key)
    if rows is not None and rows > 2 * most:
        # Six standard deviations more than are wanted: too few by chance once in a billion.
        share = (most + 6 * math.sqrt(most) + 6) / rows
        frame = frame.where(hashed <= F.lit(-(2**63) + int(share * 2**64)))
    return frame.orderBy(hashed, key).limit(most)
