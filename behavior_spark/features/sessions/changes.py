"""Find the events whose sessions a night changes, and how far back they go."""

from __future__ import annotations

import datetime as dt

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.features.sessions.versions import known_days


def changed_events(events: DataFrame, *, since: dt.date) -> DataFrame:
    """Versions of events known since a day, and the earlier versions that they replace.

    Returns:
        ``event_id, user_id, event_time, session_id`` of versions with a user.
    """
    columns = events.select("event_id", "user_id", "event_time", "session_id", "arrived_at")
    start = F.lit(since).cast("timestamp")
    new_versions = columns.where(F.col("arrived_at") >= start)
    replaced = columns.where(F.col("arrived_at") < start).join(
        new_versions.select("event_id").distinct(), "event_id", "left_semi"
    )
    return new_versions.unionByName(replaced).where(F.col("user_id").isNotNull()).drop("arrived_at")


def of_same_sessions(events: DataFrame, changed: DataFrame) -> DataFrame:
    """Events of users that have a session id of a changed event."""
    ids = changed.where(F.col("session_id").isNotNull()).select("user_id", "session_id")
    return events.join(ids.distinct(), ["user_id", "session_id"], "left_semi")


def first_of_changed(versions: DataFrame, *, gap_minutes: int, since: dt.date) -> DataFrame:
    """One row, ``first``: time of the earliest event in a run that changed since a day.

    If it is within a gap of the earliest event that was read, earlier events must be read too.
    """
    gap = gap_minutes * 60_000_000
    order = Window.partitionBy("user_id").orderBy("event_time", "event_id", "arrived_at")
    versions_by_day = known_days(versions, since)
    pause = F.unix_micros("event_time") - F.unix_micros(F.lag("event_time").over(order))
    starts = F.coalesce(pause > gap, F.lit(True)).cast("int")
    changed = (F.col("_from") >= F.lit(since)) | F.coalesce(
        F.col("_until") >= F.lit(since), F.lit(False)
    )
    return (
        versions_by_day.withColumn("_starts", starts)
        .withColumn("_island", F.sum("_starts").over(order))
        .groupBy("user_id", "_island")
        .agg(F.min("event_time").alias("first"), F.max(changed).alias("_changed"))
        .where("_changed")
        .agg(F.min("first").alias("first"))
    )
