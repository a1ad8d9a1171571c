"""The events that a night must read to build the sessions that its new events change."""

from __future__ import annotations

import datetime as dt

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.features.point_in_time import of_users
from behavior_spark.features.sessions.changes import first_of_changed


def neighbourhood(events: DataFrame, since: dt.date, gap_minutes: int) -> DataFrame:
    """Enough of the events for the versions of sessions known since a day.

    One query finds the first day to read. The rest is one read of the days since then.

    Args:
        events: Contract ``events``, versions of every event.
        since: First day whose changes are wanted.
        gap_minutes: Inactivity that ends a session.

    Returns:
        Events of users with ``superseded_at``, as ``session_versions`` takes them.
    """
    row = first_of_changed(events, since=since, gap_minutes=gap_minutes).first()
    first = row["first_day"] if row else None
    # What happened since then also arrived since then, and so did what replaces it.
    read = events.where(F.lit(False) if first is None else F.col("arrived_day") >= F.lit(first))
    is_new = F.col("arrived_at") >= F.lit(since).cast("timestamp")
    read = read.withColumn("_changed", F.max(is_new).over(Window.partitionBy("event_id")))
    of_changed_user = F.max("_changed").over(Window.partitionBy("user_id"))
    return (
        of_users(read, key="event_id")
        .withColumn("_changed", of_changed_user)
        .where("_changed")
        .drop("_changed")
    )
