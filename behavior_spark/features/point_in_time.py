"""Select the rows that had happened and were known at an as_of (point-in-time).

A row has the time at which it happened and the time at which it arrived. It is visible at as_of if
both are before its 00:00 UTC and no later version of it had arrived by then.
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
    """Rows with a user, with ``superseded_at``.

    A later version without a user (a retraction) also replaces the earlier version.

    Args:
        frame: Rows with ``arrived_at`` and ``user_id``.
        key: Column that versions share.
    """
    return with_superseded(frame, key=key).where(F.col("user_id").isNotNull())


def of_users_at_large(frame: DataFrame, *, key: str) -> DataFrame:
    """Like ``of_users``, for a large table in which few rows have a later version.

    Candidates are found by counting hashes of the key, so that rows need not be shuffled or
    sorted. Two keys with the same hash cost time, but do not change the result.
    """
    hashed = frame.select(key, "arrived_at", F.xxhash64(key).alias("_hash"))
    repeated_hashes = hashed.groupBy("_hash").agg(F.count(F.lit(1)).alias("_n")).where("_n > 1")
    versions = (
        hashed.join(repeated_hashes, "_hash", "left_semi").select(key, "arrived_at").distinct()
    )
    replaced = with_superseded(versions, key=key).where(F.col("superseded_at").isNotNull())
    return frame.join(replaced, [key, "arrived_at"], "left").where(F.col("user_id").isNotNull())


def items_at(items: DataFrame, as_of: dt.date, *columns: str) -> DataFrame:
    """``item_id`` and columns of each item's latest version that was known at as_of."""
    known = items.where(F.col("valid_from") < F.lit(as_of).cast("timestamp"))
    latest = F.max_by(F.struct(*columns), "valid_from").alias("_latest")
    return known.groupBy("item_id").agg(latest).select("item_id", "_latest.*")


def as_seen(frame: DataFrame, as_of_days: Sequence[dt.date], *, time: str) -> DataFrame:
    """Repeat each row for every as_of day at which it is visible.

    Args:
        frame: Rows with ``arrived_at``, ``superseded_at`` and the time column.
        as_of_days: Days, at most a few dozen; duplicates are ignored.
        time: Column of the time at which a row happened.

    Returns:
        The rows with ``as_of`` (date), ``as_of_index`` (index among the sorted days) and
        ``days_ago`` (int, 1 for the day before as_of).
    """
    days = sorted(set(as_of_days))
    frame = frame.where(F.col("arrived_at") < F.lit(days[-1]).cast("timestamp"))
    exploded = frame.select(
        "*", F.posexplode(F.array(*[F.lit(day) for day in days])).alias("as_of_index", "as_of")
    )
    midnight = F.col("as_of").cast("timestamp")
    is_visible = (
        (F.col("arrived_at") < midnight)
        & (F.col(time) < midnight)
        & (F.col("superseded_at").isNull() | (F.col("superseded_at") >= midnight))
    )
    return exploded.where(is_visible).withColumn(
        "days_ago", F.datediff("as_of", F.to_date(F.col(time)))
    )
