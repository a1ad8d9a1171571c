"""Compute sessions and active days from events, as known at each as_of."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


def build_sessions(
    visible_events: DataFrame, *, windows: Sequence[int], gap_minutes: int
) -> DataFrame:
    """One row per (as_of, user_id) with the session features.

    A session is the log's session id or, without one, a run of events without a pause longer than
    the gap. Runs are computed from the events visible at each as_of, so that a late event cannot
    join two sessions of an earlier day.

    Args:
        visible_events: Events from ``as_seen``.
        windows: Windows in days.
        gap_minutes: Minutes without an event that end a run.
    """
    order = Window.partitionBy("as_of", "user_id").orderBy("event_time", "event_id")
    previous_time = F.lag("event_time").over(order)
    pause = F.unix_micros("event_time") - F.unix_micros(previous_time)
    events = visible_events.select(
        "as_of", "user_id", "event_time", "event_id", "session_id", "days_ago"
    )
    marked = events.withColumns(
        {
            "_starts": F.coalesce((pause > gap_minutes * 60_000_000).cast("int"), F.lit(1)),
            "_new_day": F.coalesce(F.lag("days_ago").over(order) != F.col("days_ago"), F.lit(True)),
        }
    ).withColumn("_run", F.sum("_starts").over(order))
    session = F.coalesce(F.concat(F.lit("i"), "session_id"), F.concat(F.lit("r"), F.col("_run")))
    per_session = (
        marked.withColumn("_session", session)
        .groupBy("as_of", "user_id", "_session")
        .agg(
            F.min("days_ago").alias("days_ago"),
            F.max("days_ago").alias("_first_day"),
            F.count_if("_new_day").alias("_days_all"),
            *[
                F.count_if(F.col("_new_day") & (F.col("days_ago") <= days)).alias(f"_days_{days}")
                for days in windows
            ],
        )
    )
    counts = per_session.groupBy("as_of", "user_id").agg(
        F.count(F.lit(1)).alias("session_count_all"),
        F.sum("_days_all").alias("active_days_all"),
        F.min("days_ago").alias("_last"),
        F.max("_first_day").alias("_first"),
        *[
            F.count_if(F.col("days_ago") <= days).alias(f"session_count_{days}d")
            for days in windows
        ],
        *[F.sum(f"_days_{days}").alias(f"active_days_{days}d") for days in windows],
    )
    gap = F.when(
        F.col("active_days_all") > 1,
        (F.col("_first") - F.col("_last")) / (F.col("active_days_all") - 1),
    )
    return (
        counts.withColumn("active_gap_days", F.round(gap, 6))
        .withColumn("recency_in_gaps", F.round(F.col("_last") / F.col("active_gap_days"), 6))
        .drop("_last", "_first")
    )
