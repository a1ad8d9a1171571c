"""Arms: who of an audience is reached, and who is held out to measure the effect by."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

REACHED, HOLDOUT = "reached", "holdout"
_DIGITS = 8  # hexadecimal digits of SHA-256 that are read: shares in steps of 2 ** -32


def arm(salt: Column, user_id: Column, holdout: Column) -> Column:
    """``reached`` or ``holdout``, by SHA-256 of salt and user: the same on every night.

    With a larger share, those who were held out before still are.

    Args:
        salt: String.
        user_id: String.
        holdout: Share of users to hold out, in [0, 1).
    """
    digest = F.sha2(F.concat_ws("\n", salt, user_id), 256)
    place = F.conv(F.substring(digest, 1, _DIGITS), 16, 10).cast("long") / F.lit(16.0**_DIGITS)
    return F.when(place < holdout, HOLDOUT).otherwise(REACHED)
