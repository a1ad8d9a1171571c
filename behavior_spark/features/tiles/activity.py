"""Tiles: what a user did on a day, as it became known day by day.

A *fact* is a version of an event counted under a behaviour (``definitions``), from the day on
which it was known until the day on which a later version replaced it. A *tile* adds up facts of
one user, day, behaviour and item that became known on the same day. So:

- A late event makes a tile of its own, (event_day, first_known_day), beside those that are there.
- A correction or retraction makes a new *edition* of the tiles it touches: the same key with a
  later ``known_day``, complete, made from the facts that were then still valid; with none left
  it says 0 events. Counts, sums, extremes and sets are therefore exact alike.
- A hit of a target is a fact of its own, known once its item is known to match.

A reader at as_of takes of each key the edition with the greatest known_day before as_of. Nothing
is ever rewritten, so that what an earlier as_of saw stays. An edition depends on nothing but the
facts known by its day: built night by night or all at once the tiles are equal.

Two departures from the first design. Items are part of the key, not sets inside a tile: distinct
counts are exact at any size (no sketch, no cap), and every aggregation is on fixed-width values,
which Spark does by hashing in generated code. And a tile is complete for its key, not for the
whole (user, day): a late event then costs an append, and reads no other event.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.features.targets import match_column
from behavior_spark.features.tiles.definitions import Mark, Plan

KEY = ("user_id", "event_day", "first_known_day", "behaviour", "item_id")
NO_ITEM = ""


@dataclass(frozen=True)
class Activity:
    """Tiles to read.

    Attributes:
        tiles: Columns of the contract ``activity_days``.
        editions: Those of them that replace an earlier edition (known_day > first_known_day).
        state: Columns of ``user_state`` of one snapshot: what was before the tiles; None where
            the tiles hold all history.
        few_editions: Whether the editions were counted and are few: then they go to every task,
            and the tiles stay where they are.
    """

    tiles: DataFrame
    editions: DataFrame
    state: DataFrame | None = None
    few_editions: bool = False

    @classmethod
    def over(
        cls, tiles: DataFrame, state: DataFrame | None = None, *, few_editions: bool = False
    ) -> Activity:
        """Tiles as they stand in a table."""
        return cls(tiles, tiles.where(is_edition()), state, few_editions)


def is_edition() -> Column:
    """Whether a tile replaces an earlier one of its key."""
    return F.col("known_day") > F.col("first_known_day")


def build_facts(marked: DataFrame, plan: Plan) -> DataFrame:
    """One row per version of an event and behaviour: the tile's key, and until when it holds.

    Args:
        marked: Events of users with ``superseded_at`` and ``match_*`` (``of_users``,
            ``mark_targets``).
        plan: Which types and conditions have tiles of their own.

    Returns:
        The key (strings and dates), ``event_time`` (timestamp), ``value`` (decimal(18,4)) and
        ``until_day`` (date; null: still valid).
    """
    own = F.col("event_type").isin(*plan.types)
    kinds = [
        F.struct(
            F.when(own, F.col("event_type")).otherwise("").alias("behaviour"),
            F.coalesce("item_id", F.lit(NO_ITEM)).alias("item_id"),
            F.lit(None).cast("date").alias("since_day"),
        ),
        *[_marked_fact(mark) for mark in plan.marks],
    ]
    rows = marked.select(
        "user_id",
        "event_time",
        F.to_date("event_time").alias("event_day"),
        F.to_date("arrived_at").alias("_arrived_day"),
        F.to_date("superseded_at").alias("until_day"),
        F.col("value"),
        F.explode(F.array(*kinds)).alias("_fact"),
    ).where(F.col("_fact").isNotNull())
    known = F.greatest("_arrived_day", "event_day", "_fact.since_day")
    facts = rows.select(
        "user_id",
        "event_day",
        known.alias("first_known_day"),
        F.col("_fact.behaviour").alias("behaviour"),
        F.col("_fact.item_id").alias("item_id"),
        "event_time",
        "value",
        "until_day",
    )
    # What was replaced on the day it became known was never seen.
    return facts.where(
        F.col("until_day").isNull() | (F.col("until_day") > F.col("first_known_day"))
    )


def _marked_fact(mark: Mark) -> Column:
    holds = F.expr(f"({mark.condition})")
    since = F.lit(None).cast("date")
    if mark.target:
        since = F.to_date(match_column(mark.target))
        holds = holds & since.isNotNull()
    item = F.coalesce(F.expr(f"({mark.item})").cast("string"), F.lit(NO_ITEM))
    return F.when(
        holds,
        F.struct(
            F.lit(mark.behaviour).alias("behaviour"),
            item.alias("item_id"),
            since.alias("since_day"),
        ),
    )


def build_tiles(
    facts: DataFrame, *, start: dt.date | None = None, end: dt.date | None = None
) -> Activity:
    """Tiles that became known in [start, end), both open by default.

    Args:
        facts: All facts known in [start, end), and of every key of which a fact ended then
            every fact.
        start: First day.
        end: Day after the last.

    Returns:
        Columns of the contract ``activity_days``.
    """
    first = facts.where(_inside("first_known_day", start, end))
    if start is None:
        # Of all history hardly two rows have one key: added up before they are shuffled they
        # would only fill memory. A week to a task also makes files that readers can skip.
        first = first.repartition(F.date_trunc("week", "first_known_day"))
    tiles = (
        first.groupBy(*KEY)
        .agg(*_totals(F.lit(True)))
        .withColumn("known_day", F.col("first_known_day"))
    )
    ended = facts.where(F.col("until_day").isNotNull() & _inside("until_day", start, end))
    changes = ended.select(*KEY, F.col("until_day").alias("known_day")).distinct()
    alive = F.col("until_day").isNull() | (F.col("until_day") > F.col("known_day"))
    editions = facts.join(changes, list(KEY)).groupBy(*KEY, "known_day").agg(*_totals(alive))
    return Activity(tiles.unionByName(editions), editions)


def _inside(day: str, start: dt.date | None, end: dt.date | None) -> Column:
    after = F.lit(True) if start is None else F.col(day) >= F.lit(start)
    return after if end is None else after & (F.col(day) < F.lit(end))


def _totals(alive: Column) -> list[Column]:
    return [
        F.count_if(alive).alias("events"),
        F.sum(F.when(alive, F.col("value"))).alias("value"),
        F.count_if(alive & F.col("value").isNotNull()).alias("valued_events"),
        F.min(F.when(alive, F.col("event_time"))).alias("first_time"),
        F.max(F.when(alive, F.col("event_time"))).alias("last_time"),
    ]


def with_until(activity: Activity) -> DataFrame:
    """Tiles with ``until_day``: known_day of the key's next edition; null for the last.

    Only keys with more than one edition are joined, which are few.
    """
    earlier = F.lag("known_day").over(Window.partitionBy(*KEY).orderBy("known_day"))
    replaced = activity.editions.select(
        *KEY,
        F.coalesce(earlier, "first_known_day").alias("known_day"),
        F.col("known_day").alias("until_day"),
    )
    if activity.few_editions:
        replaced = F.broadcast(replaced)
    return activity.tiles.join(replaced, [*KEY, "known_day"], "left")


def in_places(tiles: DataFrame, days: Sequence[dt.date]) -> DataFrame:
    """Add the as_of days that see a tile: those at places [_from, _to) of the sorted days.

    Tiles that no day sees are gone. Ranges, not rows: a tile is not repeated here.
    """
    place = _days_up_to(days, F.col("known_day"))
    until = _days_up_to(days, F.col("until_day"))
    end = F.when(F.col("until_day").isNull(), F.lit(len(days))).otherwise(until)
    # A tile that is left empty hides the earlier one, and says nothing itself.
    return tiles.withColumns({"_from": place, "_to": end}).where("_from < _to AND events > 0")


def _days_up_to(days: Sequence[dt.date], day: Column) -> Column:
    """How many of the days are not after a day."""
    return sum(((F.lit(as_of) <= day).cast("int") for as_of in days), F.lit(0))


def build_state(activity: Activity, *, known_before: dt.date, event_before: dt.date) -> DataFrame:
    """Lifelong totals of each user and behaviour: contract ``user_state``.

    Args:
        activity: Tiles and, where they do not hold all history, an earlier snapshot.
        known_before: Only what was known before this day counts.
        event_before: Only days before this one; later days are read as tiles.
    """
    seen = in_places(with_until(activity), [known_before]).where(
        F.col("event_day") < F.lit(event_before)
    )
    by_day = seen.groupBy("user_id", "behaviour", "event_day").agg(
        *lifelong_totals(), F.lit(1).cast("long").alias("active_days")
    )
    parts = by_day.drop("event_day")
    if activity.state is not None:
        parts = parts.unionByName(activity.state.select(*parts.columns))
    return (
        parts.groupBy("user_id", "behaviour")
        .agg(*lifelong_totals(), F.sum("active_days").alias("active_days"))
        .withColumns({"known_day": F.lit(known_before), "before_day": F.lit(event_before)})
    )


def lifelong_totals() -> list[Column]:
    """Tiles, or totals of tiles, added up."""
    return [
        F.sum("events").alias("events"),
        F.sum("value").alias("value"),
        F.sum("valued_events").alias("valued_events"),
        F.min("first_time").alias("first_time"),
        F.max("last_time").alias("last_time"),
    ]
