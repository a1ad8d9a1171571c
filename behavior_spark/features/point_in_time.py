"""What had happened and was known by a day: the rows an as_of may see.

Two clocks: when a thing happened and when it arrived. A row is seen at as_of when both
were before its 00:00 UTC and no later version of it had arrived by then.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

DAY_SECONDS = 86_400


def with_superseded(frame: DataFrame, *, key: str) -> DataFrame:
    """Add ``superseded_at``: arrival of the next version of the same row; null for the last.

    Args:
        frame: Rows with ``arrived_at``.
        key: Column that versions share, such as ``event_id``.
    """
    window = Window.partitionBy(key).orderBy("arrived_at")
    return frame.withColumn("superseded_at", F.lead("arrived_at").over(window))


def of_users(frame: DataFrame, *, key: str) -> DataFrame:
    """Rows that have a user, with ``superseded_at``.

    A later version without a user replaces the earlier one too: what was taken back, or made
    anonymous, no longer counts for anybody.
    """
    return with_superseded(frame, key=key).where(F.col("user_id").isNotNull())


def of_users_at_large(frame: DataFrame, *, key: str) -> DataFrame:
    """As ``of_users``, for a table of which few rows have a later version.

    Which those are is found by a hash of the key alone; no row is shuffled or sorted for it.
    Rows of two keys with one hash are only looked at in vain.
    """
    hashed = frame.select(key, "arrived_at", F.xxhash64(key).alias("_hash"))
    several = hashed.groupBy("_hash").agg(F.count(F.lit(1)).alias("_n")).where("_n > 1")
    versions = hashed.join(several, "_hash", "left_semi").select(key, "arrived_at").distinct()
    replaced = with_superseded(versions, key=key).where(F.col("superseded_at").isNotNull())
    return frame.join(replaced, [key, "arrived_at"], "left").where(F.col("user_id").isNotNull())


def as_seen(frame: DataFrame, as_of_days: Sequence[dt.date], *, time: str) -> DataFrame:
    """Repeat each row for every as_of day that may see it.

    Args:
        frame: Rows with ``arrived_at``, ``superseded_at`` and the time column.
        as_of_days: Days, at most a few dozen; each counts once.
        time: Column that says when it happened.

    Returns:
        The rows with ``as_of`` (date), ``as_of_index`` (its place among the sorted days) and
        ``days_ago`` (int, 1 = the day before as_of).
    """
    days = sorted(set(as_of_days))
    frame = frame.where(F.col("arrived_at") < F.lit(days[-1]).cast("timestamp"))
    exploded = frame.select(
        "*", F.posexplode(F.array(*[F.lit(day) for day in days])).alias("as_of_index", "as_of")
    )
    midnight = F.col("as_of").cast("timestamp")
    seen = (
        (F.col("arrived_at") < midnight)
        & (F.col(time) < midnight)
        & (F.col("superseded_at").isNull() | (F.col("superseded_at") >= midnight))
    )
    return exploded.where(seen).withColumn("days_ago", F.datediff("as_of", F.to_date(F.col(time))))
