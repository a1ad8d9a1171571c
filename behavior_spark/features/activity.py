"""Counts, values, distinct items and recency of events by type and by target.

Two levels: first one row per (as_of, user, type, item) with its latest occurrence,
then one per (as_of, user). An item is in a window exactly when its latest occurrence
is, so distinct counts are exact without keeping sets.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.features.declared import DOUBLE, LONG, Feature
from behavior_spark.features.point_in_time import DAY_SECONDS
from behavior_spark.features.targets import match_column


def activity_features(
    event_types: Sequence[str], targets: Sequence[str], windows: Sequence[int]
) -> list[Feature]:
    """The features that :func:`build_activity` gives."""
    features = [
        Feature("recency_days", DOUBLE, "days since the last event", zero=False),
        Feature("tenure_days", DOUBLE, "days since the first event", zero=False),
        Feature("event_count_all", LONG, "events ever"),
        Feature("value_all", DOUBLE, "value of all events ever"),
    ]
    for days in windows:
        window = f"in the {days} days before as_of"
        features += [Feature(f"event_count_{days}d", LONG, f"events {window}")]
    for kind in event_types:
        features += [
            Feature(f"{kind}_recency_days", DOUBLE, f"days since the last {kind}", zero=False),
            Feature(f"{kind}_count_all", LONG, f"{kind} events ever"),
            Feature(f"{kind}_value_all", DOUBLE, f"value of all {kind} events ever"),
        ]
        for days in windows:
            window = f"in the {days} days before as_of"
            features += [
                Feature(f"{kind}_count_{days}d", LONG, f"{kind} events {window}"),
                Feature(f"{kind}_value_{days}d", DOUBLE, f"value of {kind} events {window}"),
                Feature(f"{kind}_item_count_{days}d", LONG, f"distinct items of {kind} {window}"),
            ]
    for name in targets:
        features += [
            Feature(f"{name}_recency_days", DOUBLE, f"days since {name} last happened", zero=False),
            Feature(f"{name}_count_all", LONG, f"events that count for {name}, ever"),
        ]
        features += [
            Feature(f"{name}_count_{days}d", LONG,
                    f"events that count for {name} in the {days} days before as_of")
            for days in windows
        ]  # fmt: skip
    return features


def build_activity(
    seen: DataFrame,
    *,
    event_types: Sequence[str],
    targets: Sequence[str],
    windows: Sequence[int],
    population: str,
) -> DataFrame:
    """One row per (as_of, user_id) with the activity features and ``in_population``.

    Args:
        seen: Events as seen by each as_of (``as_seen``), with ``match_*`` columns.
        event_types: Types with features of their own.
        targets: Target names.
        windows: Days before as_of.
        population: SQL condition on an event.
    """
    hits = {
        name: F.coalesce(F.col(match_column(name)) < F.col("as_of").cast("timestamp"), F.lit(False))
        for name in targets
    }
    frame = seen.withColumns({f"_hit_{name}": hit for name, hit in hits.items()})
    per_item = frame.groupBy("as_of", "user_id", "event_type", "item_id").agg(
        *_item_level(targets, windows, population)
    )
    return per_item.groupBy("as_of", "user_id").agg(*_user_level(event_types, targets, windows))


def _item_level(targets: Sequence[str], windows: Sequence[int], population: str) -> list[Column]:
    value = F.coalesce(F.col("value"), F.lit(0))
    columns = [
        F.max(F.expr(f"coalesce(({population}), false)")).alias("in_population"),
        F.min("days_ago").alias("days_ago"),
        F.min("event_time").alias("first_time"),
        F.max("event_time").alias("last_time"),
        F.count(F.lit(1)).alias("n_all"),
        F.sum(value).alias("v_all"),
    ]
    for days in windows:
        inside = F.col("days_ago") <= days
        columns += [
            F.count_if(inside).alias(f"n_{days}"),
            F.sum(F.when(inside, value)).alias(f"v_{days}"),
        ]
    for name in targets:
        hit = F.col(f"_hit_{name}")
        columns += [
            F.max(F.when(hit, F.col("event_time"))).alias(f"{name}_last"),
            F.count_if(hit).alias(f"{name}_all"),
        ]
        columns += [
            F.count_if(hit & (F.col("days_ago") <= days)).alias(f"{name}_{days}")
            for days in windows
        ]
    return columns


def _user_level(
    event_types: Sequence[str], targets: Sequence[str], windows: Sequence[int]
) -> list[Column]:
    columns = [
        F.max("in_population").alias("in_population"),
        _days_since(F.max("last_time")).alias("recency_days"),
        _days_since(F.min("first_time")).alias("tenure_days"),
        F.sum("n_all").alias("event_count_all"),
        F.sum("v_all").cast("double").alias("value_all"),
    ]
    columns += [F.sum(f"n_{days}").alias(f"event_count_{days}d") for days in windows]
    for kind in event_types:
        this = F.col("event_type") == kind
        columns += [
            _days_since(F.max(F.when(this, F.col("last_time")))).alias(f"{kind}_recency_days"),
            F.sum(F.when(this, F.col("n_all"))).alias(f"{kind}_count_all"),
            F.sum(F.when(this, F.col("v_all"))).cast("double").alias(f"{kind}_value_all"),
        ]
        for days in windows:
            recent_item = this & F.col("item_id").isNotNull() & (F.col("days_ago") <= days)
            columns += [
                F.sum(F.when(this, F.col(f"n_{days}"))).alias(f"{kind}_count_{days}d"),
                F.sum(F.when(this, F.col(f"v_{days}")))
                .cast("double")
                .alias(f"{kind}_value_{days}d"),
                F.count_if(recent_item).alias(f"{kind}_item_count_{days}d"),
            ]
    for name in targets:
        columns += [
            _days_since(F.max(f"{name}_last")).alias(f"{name}_recency_days"),
            F.sum(f"{name}_all").alias(f"{name}_count_all"),
        ]
        columns += [F.sum(f"{name}_{days}").alias(f"{name}_count_{days}d") for days in windows]
    return columns


def _days_since(time: Column) -> Column:
    """Days from a time to as_of, as double; null stays null. as_of is a grouping column."""
    seconds = F.unix_timestamp(F.col("as_of").cast("timestamp")) - F.unix_timestamp(time)
    return F.round(seconds / DAY_SECONDS, 4)
