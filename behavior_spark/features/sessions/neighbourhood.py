"""The events that a night must read to build the sessions that its new events change."""

from __future__ import annotations

import datetime as dt

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.features.point_in_time import of_users
from behavior_spark.features.sessions.changes import (
    changed_events,
    first_of_changed,
    of_same_sessions,
)

_LONGEST_MARGIN = 20_000  # days; a stretch without a pause is read whole at the latest then


def neighbourhood(events: DataFrame, since: dt.date, gap_minutes: int) -> DataFrame:
    """Enough of the events for the versions of sessions known since a day.

    Small jobs find how far back to read: the range of days grows until no changed session is cut.

    Args:
        events: Contract ``events``, versions of every event.
        since: First day whose changes are wanted.
        gap_minutes: Inactivity that ends a session.

    Returns:
        Events of users with ``superseded_at``, as ``session_versions`` takes them.
    """
    changed = changed_events(events, since=since)
    touched = changed.select("event_time").unionByName(
        of_same_sessions(events, changed).select("event_time")
    )
    row = touched.agg(F.to_date(F.min("event_time")).alias("first")).first()
    if row is None or row["first"] is None:
        return _all(events.where(F.lit(False)))
    users = changed.select("user_id").distinct()
    margin = 1
    while True:
        start = row["first"] - dt.timedelta(days=margin)
        # What happened since then also arrived since then, and so did what replaces it.
        read = _all(events.where(F.col("arrived_day") >= F.lit(start)))
        read = read.join(users, "user_id", "left_semi")
        edge = F.lit(start).cast("timestamp") + F.make_dt_interval(mins=F.lit(gap_minutes))
        firsts = first_of_changed(read, gap_minutes=gap_minutes, since=since)
        cut = firsts.where(F.col("first") <= edge)
        if margin > _LONGEST_MARGIN or cut.isEmpty():
            return read
        margin *= 4


def _all(events: DataFrame) -> DataFrame:
    return of_users(events, key="event_id")
