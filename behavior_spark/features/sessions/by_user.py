"""Aggregate the table ``sessions`` by user, as known at each as_of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F


@dataclass(frozen=True)
class SessionPart:
    """Aggregates of a user's sessions. ``by_user`` computes all parts in one aggregation.

    Attributes:
        sums: Aggregates over the sessions of a user that are visible at an as_of, by name.
        marks: Columns of a session that ``sums`` need, by name.
        derived: Columns computed from ``sums``, by name.

    Columns of ``sums`` and ``derived`` whose name begins with ``_`` are not in the result.
    """

    sums: Mapping[str, Column]
    marks: Mapping[str, Column] = field(default_factory=dict)
    derived: Mapping[str, Column] = field(default_factory=dict)


def by_user(sessions: DataFrame, parts: Sequence[SessionPart]) -> DataFrame:
    """One row per (as_of, user_id) with the columns of all parts.

    Args:
        sessions: Sessions visible at each as_of, from ``sessions_seen``.
        parts: Parts with different names.
    """
    marks = {name: value for part in parts for name, value in part.marks.items()}
    sums = {name: value for part in parts for name, value in part.sums.items()}
    derived = {name: value for part in parts for name, value in part.derived.items()}
    if marks:
        sessions = sessions.withColumns(marks)
    grouped = sessions.groupBy("as_of", "user_id")
    frame = grouped.agg(*[value.alias(name) for name, value in sums.items()])
    if derived:
        frame = frame.withColumns(derived)
    return frame.drop(*[name for name in (*sums, *derived) if name.startswith("_")])


def sessions_seen(sessions: DataFrame, as_of_days: Sequence[dt.date]) -> DataFrame:
    """Repeat each session for every as_of day at which it is visible.

    Args:
        sessions: Rows of ``sessions``.
        as_of_days: Days, at most a few dozen; duplicates are ignored.

    Returns:
        The rows with ``as_of`` (date) and ``days_ago`` (int) of the session's last event, 1 for
        the day before as_of.
    """
    days = sorted(set(as_of_days))
    order = Window.partitionBy("user_id", "session_key").orderBy("known_day")
    superseded = F.lead("known_day").over(order)
    rows = sessions.where(F.col("known_day") < F.lit(days[-1])).withColumn("_until", superseded)
    visible_days = F.filter(
        F.array(*[F.lit(day) for day in days]),
        lambda day: (
            (F.col("known_day") < day) & (F.col("_until").isNull() | (F.col("_until") >= day))
        ),
    )
    return (
        rows.where(F.col("event_count") > 0)
        .select("*", F.explode(visible_days).alias("as_of"))
        .withColumn("days_ago", F.datediff("as_of", F.to_date("session_end")))
        .drop("_until")
    )
