"""Features of sessions, from the ``sessions`` table as each day saw it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.features.declared import DOUBLE, LONG, Feature
from behavior_spark.features.sessions.from_events import session_features


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


def stored_session_features(event_types: Sequence[str], windows: Sequence[int]) -> list[Feature]:
    """The features that :func:`stored_sessions` gives: those of ``build_sessions``, and
    what sessions were like."""
    features = session_features(windows)
    features += [
        Feature(f"session_last_entry_{kind}", LONG, f"1 where the last session began with {kind}")
        for kind in event_types
    ]
    for days in windows:
        of = f"of sessions with an event in the {days} days before as_of"
        features += [
            Feature(f"session_bounce_share_{days}d", DOUBLE, f"share {of} that are one event",
                    zero=False),
            Feature(f"session_depth_mean_{days}d", DOUBLE, f"mean distinct items {of}",
                    zero=False),
            Feature(f"session_seconds_mean_{days}d", DOUBLE, f"mean duration in seconds {of}",
                    zero=False),
            Feature(f"session_value_max_{days}d", DOUBLE, f"largest value {of}",
                    zero=False),
        ]  # fmt: skip
    return features


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


def stored_sessions(event_types: Sequence[str], windows: Sequence[int]) -> SessionPart:
    """The features of ``stored_session_features``.

    Args:
        event_types: Types with features of their own.
        windows: Days before as_of.
    """
    sums = {
        "session_count_all": F.count(F.lit(1)),
        "_days": F.array_distinct(F.flatten(F.collect_list("event_days"))),
        "_entry": F.max_by("entry_type", F.struct("session_start", "session_key")),
    }
    for window in windows:
        sums |= _of_window(window)
    first = F.datediff("as_of", F.array_min("_days"))
    last = F.datediff("as_of", F.array_max("_days"))
    active = F.size("_days").cast("long")
    gap = F.round(F.when(active > 1, (first - last) / (active - 1)), 6)
    made = {
        "active_days_all": active,
        "active_gap_days": gap,
        "recency_in_gaps": F.round(last / gap, 6),
    }
    for kind in event_types:
        made[f"session_last_entry_{kind}"] = (F.col("_entry") == kind).cast("long")
    for window in windows:
        made[f"active_days_{window}d"] = _days_within(window)
    return SessionPart(sums, made=made)


def _of_window(window: int) -> dict[str, Column]:
    inside = F.col("days_ago") <= window
    count = F.count_if(inside)
    bounces = F.count_if(inside & F.col("is_bounce")).cast("double")
    # Means of whole numbers, rounded: no order of rows shows in them.
    depth = F.sum(F.when(inside, F.col("depth"))).cast("double")
    seconds = F.sum(F.when(inside, F.col("duration_seconds").cast("decimal(18,6)")))
    return {
        f"session_count_{window}d": count,
        f"session_bounce_share_{window}d": F.try_divide(bounces, count),
        f"session_depth_mean_{window}d": F.try_divide(depth, count),
        f"session_seconds_mean_{window}d": F.try_divide(seconds.cast("double"), count),
        f"session_value_max_{window}d": F.max(F.when(inside, F.col("value"))).cast("double"),
    }


def _days_within(window: int) -> Column:
    start = F.date_sub("as_of", window)
    return F.size(F.filter("_days", lambda day: day >= start)).cast("long")
