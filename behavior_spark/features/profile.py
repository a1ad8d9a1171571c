"""Columns of a user's profile: intent, emotion, preference, segment and next action."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.features.point_in_time import as_seen, items_at, of_users
from behavior_spark.names import label_slugs


def preferred_category(
    events: DataFrame, items: DataFrame, as_of: dt.date, *, window_days: int
) -> DataFrame:
    """``user_id, preference``: the category with most events in the window, as known at as_of.

    In a tie, the category with the latest event, then the first by name.
    """
    categories = items_at(items, as_of, "category").where("category IS NOT NULL")
    # Rows that arrived before the window are not in it, and replace no row in it.
    since = F.lit(as_of - dt.timedelta(days=window_days)).cast("timestamp")
    recent = of_users(events.where(F.col("arrived_at") >= since), key="event_id")
    visible = as_seen(recent, [as_of], time="event_time").where(F.col("days_ago") <= window_days)
    counts = (
        visible.join(categories, "item_id")
        .groupBy("user_id", "category")
        .agg(F.count(F.lit(1)).alias("n"), F.max("event_time").alias("last"))
    )
    order = Window.partitionBy("user_id").orderBy(F.desc("n"), F.desc("last"), "category")
    return (
        counts.withColumn("_place", F.row_number().over(order))
        .where("_place = 1")
        .select("user_id", F.col("category").alias("preference"))
    )


def most_frequent_label(head: str, labels: Sequence[str], *, window_days: int) -> Column:
    """The label with the largest share over a window; null without texts."""
    slugs = label_slugs(labels)
    shares = [F.col(f"{head}_{slugs[label]}_share_{window_days}d") for label in labels]
    largest = F.greatest(*shares) if len(shares) > 1 else shares[0]
    return F.coalesce(
        *[F.when((share == largest) & (share > 0), F.lit(label))
          for share, label in zip(shares, labels, strict=True)]
    )  # fmt: skip


def segment(windows: Sequence[int]) -> Column:
    """Segment of a user by recency, frequency and tenure, as one word.

    With the default windows: ``new``, first event within 30 days; ``loyal``, active within 30
    days and on 5 or more of the last 90; ``active``, within 30 days; ``cooling``, within 90;
    else ``lapsed``.
    """
    month, longest = sorted(windows)[-2:] if len(windows) > 1 else (windows[0], windows[0])
    return (
        F.when(F.col("tenure_days") <= month, "new")
        .when((F.col("recency_days") <= month) & (F.col(f"active_days_{longest}d") >= 5), "loyal")
        .when(F.col("recency_days") <= month, "active")
        .when(F.col("recency_days") <= longest, "cooling")
        .otherwise("lapsed")
    )


def next_action(predictions: DataFrame, *, bots: DataFrame | None = None) -> DataFrame:
    """``user_id, next_action, next_action_probability, next_action_lift`` of one as_of.

    It is the target with the highest lift: probability over that of the average user. (The most
    probable target is usually the most common one for all users.) A user without a lift above 1
    gets no row.

    Args:
        predictions: ``user_id, target, probability`` of one as_of.
        bots: ``user_id`` of users who are left out of the average.
    """
    people = predictions if bots is None else predictions.join(bots, "user_id", "left_anti")
    average = people.groupBy("target").agg(F.avg("probability").alias("_average"))
    lift = F.try_divide("probability", "_average")
    order = Window.partitionBy("user_id").orderBy(F.desc_nulls_last(F.round("_lift", 6)), "target")
    return (
        predictions.join(average, "target")
        .withColumn("_lift", lift)
        .withColumn("_place", F.row_number().over(order))
        .where((F.col("_place") == 1) & (F.round("_lift", 6) > 1))
        .select(
            "user_id",
            F.col("target").alias("next_action"),
            F.col("probability").alias("next_action_probability"),
            F.round("_lift", 6).alias("next_action_lift"),
        )
    )
