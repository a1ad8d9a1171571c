"""Tiles: totals of a user's events on a day, with the day on which they became known.

A *fact* is a version of an event counted under a behaviour (``definitions``), from the day on
which it was known until the day on which a later version replaced it. A *tile* has the totals of
the facts of one user, day, behaviour and item that became known on the same day. So:

- A late event makes a new tile with its own (event_day, first_known_day).
- A correction or retraction makes a later *version* of the tiles it changes: the same key with a
  later ``known_day``, and the totals of all facts that are still valid, which may be 0 events. So
  counts, sums, minima, maxima and sets are all exact.
- An event that counts for a target is another fact, known once its item is known to match.

At as_of, the version of each key with the greatest known_day before as_of is used. Tiles are never
changed, so that features of an earlier as_of stay the same. A version depends only on the facts
known by its day: building night by night and building all history at once give the same tiles.

Items are part of the key, not sets inside a tile. So distinct counts are exact at any size, and
all aggregations are on fixed-width values, which Spark does by hashing in generated code. A tile
is complete for its key, not for the whole (user, day), so that a late event is one appended row
and no other event must be read.
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
        later_versions: The tiles that replace an earlier version (known_day > first_known_day).
        state: One snapshot, contract ``user_state``, of the history before the tiles; None if the
            tiles have all history.
        few_later_versions: Whether later versions are known to be few. They are then broadcast,
            so that tiles need not be shuffled.
        past: All tiles, also those that the snapshot stands for; None where ``tiles`` are all.
    """

    tiles: DataFrame
    later_versions: DataFrame
    state: DataFrame | None = None
    few_later_versions: bool = False
    past: DataFrame | None = None

    @classmethod
    def over(
        cls, tiles: DataFrame, state: DataFrame | None = None, *, few_later_versions: bool = False
    ) -> Activity:
        """The tiles of a table."""
        return cls(tiles, tiles.where(is_later_version()), state, few_later_versions)


    def since(self, day: dt.date, behaviours: Sequence[str]) -> Activity:
        """All tiles of some behaviours whose events happened on a day or later."""
        wanted = (F.col("event_day") >= F.lit(day)) & F.col("behaviour").isin(*behaviours)
        past = self.tiles if self.past is None else self.past
        # An event is known on its day or later.
        return Activity.over(past.where(wanted & (F.col("known_day") >= F.lit(day))))


def is_later_version() -> Column:
    """Whether a tile replaces an earlier version of its key."""
    return F.col("known_day") > F.col("first_known_day")


def build_facts(marked: DataFrame, plan: Plan) -> DataFrame:
    """Facts: one row per version of an event and behaviour.

    Args:
        marked: Events of users with ``superseded_at`` and ``match_*``, from ``of_users`` and
            ``mark_targets``.
        plan: Event types and conditions with their own tiles.

    Returns:
        The tile's key (strings and dates), ``event_time`` (timestamp), ``value``
        (decimal(18,4)) and ``until_day`` (date on which it was replaced; null: still valid).
    """
    has_own_tiles = F.col("event_type").isin(*plan.types)
    candidates = [
        F.struct(
            F.when(has_own_tiles, F.col("event_type")).otherwise("").alias("behaviour"),
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
        F.explode(F.array(*candidates)).alias("_fact"),
    ).where(F.col("_fact").isNotNull())
    first_known_day = F.greatest("_arrived_day", "event_day", "_fact.since_day")
    facts = rows.select(
        "user_id",
        "event_day",
        first_known_day.alias("first_known_day"),
        F.col("_fact.behaviour").alias("behaviour"),
        F.col("_fact.item_id").alias("item_id"),
        "event_time",
        "value",
        "until_day",
    )
    # A fact that was replaced on the day it became known was never visible.
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
    """Tiles that became known in [start, end).

    Args:
        facts: All facts that became known in [start, end), and all facts of keys with a fact that
            was replaced in [start, end).
        start: First day; None: from the beginning.
        end: Day after the last; None: without end.

    Returns:
        Columns of the contract ``activity_days``.
    """
    new_facts = facts.where(_inside("first_known_day", start, end))
    if start is None:
        # In all history few rows share a key, so that partial aggregation before the shuffle
        # would only use memory. One week per task also makes files that readers can skip.
        new_facts = new_facts.repartition(F.date_trunc("week", "first_known_day"))
    tiles = (
        new_facts.groupBy(*KEY)
        .agg(*_totals(F.lit(True)))
        .withColumn("known_day", F.col("first_known_day"))
    )
    ended = facts.where(F.col("until_day").isNotNull() & _inside("until_day", start, end))
    changes = ended.select(*KEY, F.col("until_day").alias("known_day")).distinct()
    alive = F.col("until_day").isNull() | (F.col("until_day") > F.col("known_day"))
    later_versions = facts.join(changes, list(KEY)).groupBy(*KEY, "known_day").agg(*_totals(alive))
    return Activity(tiles.unionByName(later_versions), later_versions)


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
    """Tiles with ``until_day``: known_day of the key's next version; null for the last.

    Only the few keys with more than one version are joined.
    """
    previous_day = F.lag("known_day").over(Window.partitionBy(*KEY).orderBy("known_day"))
    replaced = activity.later_versions.select(
        *KEY,
        F.coalesce(previous_day, "first_known_day").alias("known_day"),
        F.col("known_day").alias("until_day"),
    )
    if activity.few_later_versions:
        replaced = F.broadcast(replaced)
    return activity.tiles.join(replaced, [*KEY, "known_day"], "left")


def in_places(tiles: DataFrame, days: Sequence[dt.date]) -> DataFrame:
    """Add the range [_from, _to) of indices of sorted as_of days at which a tile is visible.

    Tiles that are not visible at any day are removed. Tiles are not repeated.
    """
    first_place = _days_up_to(days, F.col("known_day"))
    until = _days_up_to(days, F.col("until_day"))
    end = F.when(F.col("until_day").isNull(), F.lit(len(days))).otherwise(until)
    # An empty version ends the range of the previous version, and is not needed itself.
    return tiles.withColumns({"_from": first_place, "_to": end}).where("_from < _to AND events > 0")


def _days_up_to(days: Sequence[dt.date], day: Column) -> Column:
    """Number of as_of days that are on or before a day."""
    return sum(((F.lit(as_of) <= day).cast("int") for as_of in days), F.lit(0))


def build_state(activity: Activity, *, known_before: dt.date, event_before: dt.date) -> DataFrame:
    """A snapshot: lifelong totals of each user and behaviour, contract ``user_state``.

    Args:
        activity: Tiles and, if they do not have all history, an earlier snapshot.
        known_before: Only tiles known before this day are used.
        event_before: Only events of days before this one; later days are read as tiles.
    """
    visible = in_places(with_until(activity), [known_before]).where(
        F.col("event_day") < F.lit(event_before)
    )
    by_day = visible.groupBy("user_id", "behaviour", "event_day").agg(
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
    """Aggregates that add up tiles, or totals of tiles."""
    return [
        F.sum("events").alias("events"),
        F.sum("value").alias("value"),
        F.sum("valued_events").alias("valued_events"),
        F.min("first_time").alias("first_time"),
        F.max("last_time").alias("last_time"),
    ]
