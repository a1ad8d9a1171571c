"""What sequence models read: the events of each user as lists, and the words of items."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.features.point_in_time import as_seen, items_at, of_users


def item_histories(
    events: DataFrame,
    as_of: dt.date,
    *,
    event_types: Sequence[str],
    days: int,
    newest: int,
) -> DataFrame:
    """The events with an item of each user, as lists in order of time.

    Args:
        events: All versions of events.
        as_of: Only what had happened and was known before its 00:00 UTC is seen.
        event_types: Types to keep; none: all.
        days: Days before as_of.
        newest: Events of a user to keep.

    Returns:
        ``user_id`` and lists ``items``, ``event_types``, ``event_times``, ``values``.
    """
    histories = item_histories_at(
        events, [as_of], event_types=event_types, days=days, newest=newest
    )
    return histories.drop("as_of")


def item_histories_at(
    events: DataFrame,
    as_of_days: Sequence[dt.date],
    *,
    event_types: Sequence[str],
    days: int,
    newest: int,
) -> DataFrame:
    """The same for several as-of days at once, in one pass over the events.

    Returns:
        ``as_of, user_id`` and the lists.
    """
    kept = F.col("item_id").isNotNull() & (F.col("days_ago") <= days)
    if event_types:
        kept = kept & F.col("event_type").isin(list(event_types))
    seen = as_seen(of_users(events, key="event_id"), as_of_days, time="event_time").where(kept)
    order = Window.partitionBy("as_of", "user_id").orderBy(F.desc("event_time"), F.desc("event_id"))
    seen = seen.withColumn("back", F.row_number().over(order)).where(F.col("back") <= newest)
    event = F.struct(
        (-F.col("back")).alias("place"),
        "item_id",
        "event_type",
        "event_time",
        F.col("value").cast("double").alias("value"),
    )
    by_user = seen.groupBy("as_of", "user_id").agg(F.array_sort(F.collect_list(event)).alias("e"))
    return by_user.select(
        "as_of",
        "user_id",
        F.col("e.item_id").alias("items"),
        F.col("e.event_type").alias("event_types"),
        F.col("e.event_time").alias("event_times"),
        F.col("e.value").alias("values"),
    )


def item_words(items: DataFrame, as_of: dt.date) -> DataFrame:
    """Words of each item as it was known at as_of: its category, and the words of its title.

    Returns:
        ``item_id`` and the list ``words``, in order, each once.
    """
    known = items_at(items, as_of, "title", "category")
    title = F.split(F.lower(F.coalesce("title", F.lit(""))), "[^\\p{L}\\p{N}]+")
    category = F.concat(F.lit("category: "), F.col("category"))
    words = F.array_compact(F.concat(F.array(category), title))
    words = F.filter(F.array_sort(F.array_distinct(words)), lambda word: F.length(word) > 1)
    return known.select("item_id", words.alias("words"))
