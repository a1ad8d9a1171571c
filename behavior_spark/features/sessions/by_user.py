"""The ``sessions`` table as each day saw it, added up by user."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F


@dataclass(frozen=True)
class SessionPart:
    """A part of what a user's sessions tell. All parts are one aggregation: see ``by_user``.

    Attributes:
        sums: Aggregates over a user's sessions as an as_of sees them, by name.
        marks: Columns of each session that ``sums`` rest on, by name.
        made: Columns of ``sums``, by name. Names that begin with ``_`` are not in the result.
    """

    sums: Mapping[str, Column]
    marks: Mapping[str, Column] = field(default_factory=dict)
    made: Mapping[str, Column] = field(default_factory=dict)


def by_user(seen: DataFrame, parts: Sequence[SessionPart]) -> DataFrame:
    """One row per (as_of, user_id) with the columns of all parts.

    Args:
        seen: Sessions as seen by each as_of (``sessions_seen``).
        parts: Their names differ.
    """
    marks = {name: value for part in parts for name, value in part.marks.items()}
    sums = {name: value for part in parts for name, value in part.sums.items()}
    made = {name: value for part in parts for name, value in part.made.items()}
    counted = seen.withColumns(marks).groupBy("as_of", "user_id")
    frame = counted.agg(*[value.alias(name) for name, value in sums.items()]).withColumns(made)
    return frame.drop(*[name for name in (*sums, *made) if name.startswith("_")])


def sessions_seen(sessions: DataFrame, as_of_days: Sequence[dt.date]) -> DataFrame:
    """Sessions as every as_of day sees them, with ``as_of`` and ``days_ago``.

    Args:
        sessions: Rows of ``sessions``.
        as_of_days: Days, at most a few dozen; each counts once.

    Returns:
        The rows with ``as_of`` (date) and ``days_ago`` (int) of the session's last event, 1 for
        the day before as_of.
    """
    days = sorted(set(as_of_days))
    order = Window.partitionBy("user_id", "session_key").orderBy("known_day")
    superseded = F.lead("known_day").over(order)
    held = sessions.where(F.col("known_day") < F.lit(days[-1])).withColumn("_until", superseded)
    seen = F.filter(
        F.array(*[F.lit(day) for day in days]),
        lambda day: (
            (F.col("known_day") < day) & (F.col("_until").isNull() | (F.col("_until") >= day))
        ),
    )
    return (
        held.where(F.col("event_count") > 0)
        .select("*", F.explode(seen).alias("as_of"))
        .withColumn("days_ago", F.datediff("as_of", F.to_date("session_end")))
        .drop("_until")
    )
