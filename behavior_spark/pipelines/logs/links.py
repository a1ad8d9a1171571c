"""Links of visitors to users: what they did before is theirs from the day of the link on."""

from __future__ import annotations

import datetime as dt

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.cleaning.identities import linked_versions
from behavior_spark.io.counting import Counted
from behavior_spark.io.day_range import DayRange
from behavior_spark.io.failures import spark_errors
from behavior_spark.runs.run import Run
from behavior_spark.schemas import EVENTS, IDENTITIES


def known_links(run: Run) -> DataFrame:
    """The links that arrived before the night."""
    midnight = F.lit(run.as_of).cast("timestamp")
    return run.warehouse.read(IDENTITIES).where(F.col("arrived_at") < midnight)


def link_history(run: Run, start: dt.date | None) -> int:
    """Add the versions by which this night's links give earlier events their user.

    They arrive on this night's days, which a rerun replaces.

    Returns:
        How many were added.
    """
    with run.step("link identities"), spark_errors("linking identities"):
        midnight = F.lit(run.as_of).cast("timestamp")
        events = run.warehouse.snapshot(EVENTS).where(F.col("arrived_at") < midnight)
        added = Counted.over(
            linked_versions(events, known_links(run), since=start), rows=F.count(F.lit(1))
        )
        days = None if start is None else DayRange("arrived_day", since=start)
        run.warehouse.append(added.frame, EVENTS, days=days)
        linked = added.counts()["rows"]
    run.say(f"events that a link gave a user: {linked:,}")
    return linked
