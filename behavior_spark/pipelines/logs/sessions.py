"""Build sessions: the events' changes of the night's days -> new rows of ``sessions``.

A night reads what became known since the earliest moment its changes touch, of the users they
touch: mostly the last days. Beside that, three columns of all events find what a correction
replaces and where a session id began.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from pyspark.sql import functions as F

from behavior_spark.features.point_in_time import of_users
from behavior_spark.features.sessions.neighbourhood import neighbourhood
from behavior_spark.features.sessions.versions import session_versions
from behavior_spark.io.day_range import DayRange
from behavior_spark.io.failures import spark_errors
from behavior_spark.runs.builds import Build, changes_since, last_build
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import EVENTS, SESSIONS


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
            versions = (
                of_users(events, key="event_id")
                if since is None
                else neighbourhood(events, since, gap)
            )
            frame = session_versions(versions, gap_minutes=gap, since=since)
            # Built anew: none of another gap may stay.
            where = DayRange("known_day", since=since, before=None if since is None else end)
            build = Build(end, str(gap), changes.version)
            run.warehouse.replace(frame, SESSIONS, where=where, note=build.note)
        run.mark_reached(SESSIONS, end)
    run.say(f"sessions known {f'from {since}' if since else 'at any day'} to {end}")
    return SessionsBuilt(since, end)
