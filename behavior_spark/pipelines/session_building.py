"""Build sessions: the events' changes of the night's days -> new rows of ``sessions``.

A night reads what became known since the earliest moment its changes touch, of the users they
touch: mostly the last days. Beside that, three columns of all events find what a correction
replaces and where a session id began.
"""

from __future__ import annotations

import datetime as dt
import json

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.features.point_in_time import of_users
from behavior_spark.features.session_changes import (
    changed_events,
    first_of_changed,
    of_same_sessions,
)
from behavior_spark.features.session_versions import session_versions
from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.run import Run
from behavior_spark.schemas import EVENTS, RUNS, SESSIONS

STAGE = "sessions"
_LONGEST_MARGIN = 20_000  # days; a stretch without a pause is read whole at the latest then


def build_sessions_stage(run: Run) -> None:
    """Write the versions of sessions known on the days since they were built last, before as_of."""
    gap = run.settings.features.session_gap_minutes
    midnight = F.lit(run.as_of).cast("timestamp")
    with run.stage(STAGE), spark_errors("building sessions"):
        events = run.warehouse.require(EVENTS, made_by="ingest").where(
            F.col("arrived_at") < midnight
        )
        since = _built_through(run)
        versions = _all(events) if since is None else neighbourhood(events, since, gap)
        frame = session_versions(versions, gap_minutes=gap, since=since)
        where = f"known_day < DATE'{run.as_of}'"
        if since is not None:
            where = f"known_day >= DATE'{since}' AND {where}"
        run.warehouse.replace(frame, SESSIONS, where=where)
    run.say(f"sessions known {f'from {since}' if since else 'at any day'} to {run.as_of}")


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


def _built_through(run: Run) -> dt.date | None:
    """The first day whose changes are not in ``sessions`` yet; None: all of history.

    The last run that built sessions says through where; a run that read earlier days again
    since then, or a night in the past, takes it back. Another gap means other sessions.
    """
    if not run.warehouse.exists(SESSIONS):
        return None
    done = run.warehouse.read(RUNS).where(F.col("status") == "done")
    gap = F.get_json_object("config", "$.features.session_gap_minutes")
    last = (
        done.where(F.map_contains_key("stages", F.lit(STAGE)))
        .agg(F.max_by(F.struct("as_of", "started_at", gap.alias("gap")), "started_at").alias("run"))
        .first()
    )
    if last is None or last["run"] is None:
        return None
    if str(last["run"]["gap"]) != json.dumps(run.settings.features.session_gap_minutes):
        run.note("sessions are built anew: features.session_gap_minutes is another")
        return None
    ingests = done.where(
        F.col("command").isin("ingest", "nightly")
        & (F.col("started_at") > F.lit(last["run"]["started_at"]))
    ).select("ingested_from")
    days = [row["ingested_from"] for row in ingests.collect()]
    days += [run.ingested_from] if run.sources else []
    if None in days:
        return None
    first: dt.date = min([last["run"]["as_of"], *days])
    return first
