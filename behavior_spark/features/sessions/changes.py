"""Which events a night's changes to sessions concern, and how far back they reach."""

from __future__ import annotations

import datetime as dt

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.features.sessions.versions import known_days


def changed_events(events: DataFrame, *, since: dt.date) -> DataFrame:
    """``event_id, user_id, event_time, session_id`` of versions known since, and of what they
    replace: an earlier version of the same event, wherever in history (found by its id)."""
    named = events.select("event_id", "user_id", "event_time", "session_id", "arrived_at")
    start = F.lit(since).cast("timestamp")
    new = named.where(F.col("arrived_at") >= start)
    replaced = named.where(F.col("arrived_at") < start).join(
        new.select("event_id").distinct(), "event_id", "left_semi"
    )
    return new.unionByName(replaced).where(F.col("user_id").isNotNull()).drop("arrived_at")


def of_same_sessions(events: DataFrame, changed: DataFrame) -> DataFrame:
    """Events of users that have a session id of a changed event."""
    ids = changed.where(F.col("session_id").isNotNull()).select("user_id", "session_id")
    return events.join(ids.distinct(), ["user_id", "session_id"], "left_semi")


def first_of_changed(versions: DataFrame, *, gap_minutes: int, since: dt.date) -> DataFrame:
    """One row, ``first``: the earliest event of a stretch that a change since then touches.

    Where it lies within a gap of the earliest event that was read, more must be read.
    """
    gap = gap_minutes * 60_000_000
    order = Window.partitionBy("user_id").orderBy("event_time", "event_id", "arrived_at")
    known = known_days(versions, since)
    pause = F.unix_micros("event_time") - F.unix_micros(F.lag("event_time").over(order))
    starts = F.coalesce(pause > gap, F.lit(True)).cast("int")
    changed = (F.col("_from") >= F.lit(since)) | F.coalesce(
        F.col("_until") >= F.lit(since), F.lit(False)
    )
    return (
        known.withColumn("_starts", starts)
        .withColumn("_island", F.sum("_starts").over(order))
        .groupBy("user_id", "_island")
        .agg(F.min("event_time").alias("first"), F.max(changed).alias("_changed"))
        .where("_changed")
        .agg(F.min("first").alias("first"))
    )
