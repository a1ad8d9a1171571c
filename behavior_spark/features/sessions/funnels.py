"""Funnels: how far users get along an ordered list of steps, from the paths of their sessions.

A step counts when it follows the step before it, whatever lies between. Within a session, every
session is one attempt. Within days, the steps may spread over sessions, and the last must come
at most so many days after the first: of several first steps the latest that still leads on is
taken, as ClickHouse's windowFunnel does. A path holds the first 50 turns of a session; steps
after them are not seen.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.config import Funnel

_DAY_MICROS = 86_400_000_000
# Of a user's turns within a window at most so many are followed, the latest.
TURNS_FOLLOWED = 5_000


def count_reached(seen: DataFrame, funnel: Funnel, *, days: int) -> DataFrame:
    """``as_of, step, sessions, users``: of how many each step is the furthest; 0 for none.

    Args:
        seen: Sessions as seen by each as_of.
        funnel: Its steps. Within days the attempts are users, and ``sessions`` is null.
        days: Days before as_of.
    """
    recent = seen.where(F.col("days_ago") <= days)
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
    counted = users.groupBy("as_of", "step").agg(F.count(F.lit(1)).alias("users"))
    return sessions.join(counted, ["as_of", "step"], "full")


def furthest_step(turns: Column, funnel: Funnel) -> Column:
    """How many of the funnel's steps were taken, from turns in order of time; 0 for none.

    Args:
        turns: Array of the ``path`` struct.
        funnel: Steps and within.
    """
    steps = F.array(*[F.lit(step) for step in funnel.steps])
    limit = None if funnel.within == "session" else funnel.within * _DAY_MICROS
    mine = F.filter(turns, lambda turn: F.array_contains(steps, turn["event_type"]))
    # For each step the moment of the latest first step that led to it.
    none = F.array_repeat(F.lit(None).cast("long"), len(funnel.steps))

    def take(began: Column, turn: Column) -> Column:
        place = F.array_position(steps, turn["event_type"]).cast("int")
        start = F.try_element_at(began, F.greatest(place - 1, F.lit(1)))
        arrived, left = F.unix_micros(turn["started_at"]), F.unix_micros(turn["ended_at"])
        in_time = F.lit(True) if limit is None else arrived - start <= limit
        return F.transform(
            began,
            lambda old, index: (
                F.when(index + 1 != place, old)
                .when(place == 1, left)
                .when(start.isNotNull() & in_time, start)
                .otherwise(old)
            ),
        )

    return F.aggregate(
        mine,
        none,
        take,
        lambda began: F.greatest(
            F.lit(0),
            *[
                F.when(F.element_at(began, place).isNotNull(), F.lit(place)).otherwise(F.lit(0))
                for place in range(1, len(funnel.steps) + 1)
            ],
        ),
    ).cast("long")


def latest_turns(turns: str, days: int) -> Column:
    """A user's turns of a window in order of time: the last 5,000 of them."""
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
