"""Funnels: the furthest step of users in an ordered list of steps, from the paths of sessions.

A step is reached if it follows the previous step; other events may be between them. With
``within: session`` every session is one attempt. With days, steps may be in several sessions, and
the last must be at most that many days after the first. Of several first steps, the latest that
leads to the next step is used, as in ClickHouse's windowFunnel. A path has the first 50 turns of a
session; later steps are ignored.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.config import Funnel

_DAY_MICROS = 86_400_000_000
# Maximum number of a user's turns within a window that are used; the latest are.
TURNS_FOLLOWED = 5_000


def count_reached(sessions_by_day: DataFrame, funnel: Funnel, *, days: int) -> DataFrame:
    """Number of sessions and users by furthest step: ``as_of, step, sessions, users``.

    Step 0 means that no step was reached.

    Args:
        sessions_by_day: Sessions visible at each as_of, from ``sessions_seen``.
        funnel: The funnel. If it is within days, ``sessions`` is null.
        days: Window in days.
    """
    recent = sessions_by_day.where(F.col("days_ago") <= days)
    if funnel.within == "session":
        reached = recent.select("as_of", "user_id", furthest_step(F.col("path"), funnel).alias("s"))
        sessions = reached.groupBy("as_of", F.col("s").alias("step")).agg(
            F.count(F.lit(1)).alias("sessions")
        )
        users = reached.groupBy("as_of", "user_id").agg(F.max("s").alias("step"))
    else:
        paths = recent.groupBy("as_of", "user_id").agg(
            F.flatten(F.collect_list("path")).alias("_turns")
        )
        furthest = furthest_step(latest_turns("_turns", days), funnel)
        users = paths.select("as_of", "user_id", furthest.alias("step"))
        sessions = users.select("as_of", "step").distinct()
        sessions = sessions.withColumn("sessions", F.lit(None).cast("long"))
    user_counts = users.groupBy("as_of", "step").agg(F.count(F.lit(1)).alias("users"))
    return sessions.join(user_counts, ["as_of", "step"], "full")


def furthest_step(turns: Column, funnel: Funnel) -> Column:
    """Number of the furthest step reached, long; 0 for none.

    Args:
        turns: Array of turns (structs of ``path``) in order of time.
        funnel: The funnel.
    """
    steps = F.array(*[F.lit(step) for step in funnel.steps])
    limit = None if funnel.within == "session" else funnel.within * _DAY_MICROS
    relevant_turns = F.filter(turns, lambda turn: F.array_contains(steps, turn["event_type"]))
    # For each step, the time of the latest first step that led to it; null if not reached.
    no_starts = F.array_repeat(F.lit(None).cast("long"), len(funnel.steps))

    def advance(starts: Column, turn: Column) -> Column:
        place = F.array_position(steps, turn["event_type"]).cast("int")
        start = F.try_element_at(starts, F.greatest(place - 1, F.lit(1)))
        arrived, left = F.unix_micros(turn["started_at"]), F.unix_micros(turn["ended_at"])
        in_time = F.lit(True) if limit is None else arrived - start <= limit
        return F.transform(
            starts,
            lambda step_start, index: (
                F.when(index + 1 != place, step_start)
                .when(place == 1, left)
                .when(start.isNotNull() & in_time, start)
                .otherwise(step_start)
            ),
        )

    return F.aggregate(
        relevant_turns,
        no_starts,
        advance,
        lambda starts: F.greatest(
            F.lit(0),
            *[
                F.when(F.element_at(starts, place).isNotNull(), F.lit(place)).otherwise(F.lit(0))
                for place in range(1, len(funnel.steps) + 1)
            ],
        ),
    ).cast("long")


def latest_turns(turns: str, days: int) -> Column:
    """A user's turns within a window, in order of time: the last 5,000."""
    ordered = F.array_sort(
        F.transform(
            F.filter(
                turns,
                lambda turn: F.to_date(turn["ended_at"]) >= F.date_sub(F.col("as_of"), days),
            ),
            lambda turn: F.struct(
                turn["started_at"].alias("started_at"),
                turn["ended_at"].alias("ended_at"),
                turn["event_type"].alias("event_type"),
            ),
        )
    )
    return F.reverse(F.slice(F.reverse(ordered), 1, TURNS_FOLLOWED))
