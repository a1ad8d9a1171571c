"""Find how far back the sessions go that a night changes."""

from __future__ import annotations

import datetime as dt

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

_NARROW = ["event_id", "user_id", "event_time", "session_id"]


def first_of_changed(events: DataFrame, *, since: dt.date, gap_minutes: int) -> DataFrame:
    """Where the sessions begin that events known since a day change, in one pass.

    Four narrow columns are read: once to find the users, once to cut their events into islands
    (runs of a user's events, of all versions, without a pause longer than the gap).

    Args:
        events: Contract ``events``, versions of every event.
        since: First day whose changes are wanted.
        gap_minutes: Inactivity that ends a session.

    Returns:
        One row, ``first_day`` (date): day of the earliest event in an island that has a changed
        event, or the session id of one; null where no event of a user changes.
    """
    versions = events.select(*_NARROW)
    new = events.where(F.col("arrived_at") >= F.lit(since).cast("timestamp"))
    ids = new.select("event_id", F.lit(True).alias("_changed")).distinct()
    of_somebody = F.col("user_id").isNotNull()
    # Users of the new versions, and of those that they replace.
    users = versions.join(ids, "event_id", "left_semi").where(of_somebody)
    touched = versions.join(users.select("user_id").distinct(), "user_id", "left_semi")
    marked = touched.join(ids, "event_id", "left").withColumn(
        "_changed", F.coalesce("_changed", F.lit(False))
    )
    in_order = Window.partitionBy("user_id").orderBy("event_time")
    with_id = Window.partitionBy("user_id", "session_id")
    pause = F.unix_micros("event_time") - F.unix_micros(F.lag("event_time").over(in_order))
    starts = F.coalesce(pause > gap_minutes * 60_000_000, F.lit(True)).cast("int")
    same_session = F.col("session_id").isNotNull() & F.max("_changed").over(with_id)
    return (
        marked.withColumns({"_starts": starts, "_changed": F.col("_changed") | same_session})
        .withColumn("_island", F.sum("_starts").over(in_order))
        .groupBy("user_id", "_island")
        .agg(F.min("event_time").alias("first"), F.max("_changed").alias("_changed"))
        .where("_changed")
        .agg(F.to_date(F.min("first")).alias("first_day"))
    )
