"""Build sessions: the events' changes of the night's days -> new rows of ``sessions``.

A night reads what became known since the earliest moment its changes touch, of the users they
touch: mostly the last days. Beside that, three columns of all events find what a correction
replaces and where a session id began.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.features.point_in_time import of_users
from behavior_spark.features.sessions.changes import (
    changed_events,
    first_of_changed,
    of_same_sessions,
)
from behavior_spark.features.sessions.versions import session_versions
from behavior_spark.io.day_range import DayRange
from behavior_spark.io.failures import spark_errors
from behavior_spark.runs.builds import Build, changes_since, last_build
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import EVENTS, SESSIONS

_LONGEST_MARGIN = 20_000  # days; a stretch without a pause is read whole at the latest then


@dataclass(frozen=True)
class SessionsBuilt(StageResult):
    """Sessions as they are known.

    Attributes:
        since: First day whose versions were written; None: all were.
        through: The versions of days before this one are there.
    """

    since: dt.date | None
    through: dt.date


@stage("sessions", does="the events' changes to sessions", reads=(EVENTS,), writes=(SESSIONS,))
def build_sessions_stage(run: Run) -> SessionsBuilt:
    """Write the versions of sessions known on the days since they were built last, before as_of."""
    gap = run.settings.features.session_gap_minutes
    with run.step("sessions"), spark_errors("building sessions"):
        table = run.warehouse.require(EVENTS, made_by="ingest")
        last = last_build(run, SESSIONS)
        changes = changes_since(run, EVENTS, last)
        since, end = changes.start, run.as_of
        if last and last.definition != str(gap):
            run.note("sessions are built anew: features.session_gap_minutes is another")
            since = None
        elif last and since is None:
            run.note(f"sessions are built anew: {changes.why}")
        elif last:
            end = max(end, last.through)
        if since is None or since < end:
            events = table.where(F.col("arrived_at") < F.lit(end).cast("timestamp"))
            versions = _all(events) if since is None else neighbourhood(events, since, gap)
            frame = session_versions(versions, gap_minutes=gap, since=since)
            # Built anew: none of another gap may stay.
            where = DayRange("known_day", since=since, before=None if since is None else end)
            build = Build(end, str(gap), changes.version)
            run.warehouse.replace(frame, SESSIONS, where=where, note=build.note)
        run.reached[SESSIONS.name] = end
    run.say(f"sessions known {f'from {since}' if since else 'at any day'} to {end}")
    return SessionsBuilt(since, end)


def neighbourhood(events: DataFrame, since: dt.date, gap_minutes: int) -> DataFrame:
    """Enough of the events for the versions of sessions known since a day.

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
        found = first_of_changed(read, gap_minutes=gap_minutes, since=since)
        cut = found.where(F.col("first") <= edge)
        if margin > _LONGEST_MARGIN or cut.isEmpty():
            return read
        margin *= 4


def _all(events: DataFrame) -> DataFrame:
    return of_users(events, key="event_id")
