"""A share of the users, to learn from."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

_PARTS = 1_000_000


def sampled_users(users: DataFrame, *, share: float, salt: str) -> DataFrame:
    """The rows of a share of the users, by hash: the same users on every night.

    Args:
        users: Rows with ``user_id``.
        share: Share of the users; all from 1 on.
        salt: What they are taken for: another salt takes other users.
    """
    if share >= 1:
        return users
    place = F.pmod(F.xxhash64(F.lit(salt), "user_id"), F.lit(_PARTS))
    return users.where(place < share * _PARTS)
