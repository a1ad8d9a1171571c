"""Compute features at as_of days from tiles: one row per user and day.

Many as_of days are built at once. A tile is repeated only for days whose windows contain it.
Lifelong totals are first added up over tiles that are visible at the same days, and only these
sums are repeated. There are three aggregations in sequence (item, behaviour, user), because the
JVM cannot compile a single one with hundreds of conditional columns.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.features.tiles.activity import (
    NO_ITEM,
    Activity,
    in_places,
    lifelong_totals,
    with_until,
)
from behavior_spark.features.tiles.definitions import Copy, Need, Plan, Ranked

USER = ("_place", "user_id")
BEHAVIOUR = (*USER, "behaviour")
# Smallest units in 1, as values are decimal(18, 4).
UNITS = 10_000.0
# Totals of tiles, and their names as statistics over all history; see ``Need``.
TOTALS = {
    "events": "n_all",
    "value": "v_all",
    "valued_events": "p_all",
    "first_time": "first_all",
    "last_time": "last_all",
}


def build_activity(
    activity: Activity,
    as_of_days: Sequence[dt.date],
    plan: Plan,
    *,
    items: DataFrame | None = None,
) -> DataFrame:
    """The plan's features of every user of the population at every as_of day.

    Args:
        activity: Tiles. A snapshot must have been known before the first day, and the tiles must
            start where it ends.
        as_of_days: Days, in any order.
        plan: Features to build.
        items: Contract ``items``, for features of categories.

    Returns:
        ``user_id, as_of`` (date) and the features; null without events.
    """
    days = sorted(set(as_of_days))
    tiles = _in_units(in_places(with_until(activity), days))
    state = None if activity.state is None else _in_units(activity.state)
    # With a snapshot and one day, nearly all tiles are in a window: they are read only once.
    snapshot_totals = state if plan.windows and len(days) == 1 else None
    per_item, frames = None, []
    if snapshot_totals is None:
        frames = [_lifelong(tiles, state, len(days))]
    if plan.windows:
        per_item = _per_item(tiles, days, plan, items, state=snapshot_totals)
        frames.append(_per_behaviour(per_item, plan, lifelong=snapshot_totals is not None))
    rows = reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), frames)
    needs = plan.needs
    population = needs[0]
    # Built once per set of behaviours, because each method call on a column is several JVM calls.
    is_selected = {
        behaviours: F.col("behaviour").isin(*behaviours)
        for behaviours in {need.behaviours for need in needs}
    }
    users = (
        rows.groupBy(*USER)
        .agg(*[_over_behaviours(need, is_selected[need.behaviours]) for need in needs])
        .where(F.col(population.column) > 0)
        .withColumn("as_of", _day_at(days))
    )
    for number, definition in enumerate(plan.definitions):
        if definition.ranked and per_item is not None:
            best_items = _ranked(per_item, definition.ranked, f"_ranked_{number}")
            users = users.join(best_items, list(USER), "left")
    columns = []
    for number, definition in enumerate(plan.definitions):
        value = F.col(f"_ranked_{number}")
        if definition.value is not None:
            value = definition.value(*[_total(need) for need in definition.needs])
        columns.append(value.alias(definition.feature.name))
    return users.select("user_id", "as_of", *columns)


def _in_units(totals: DataFrame) -> DataFrame:
    """Values as whole numbers of their smallest unit, in doubles.

    Their sums are exact, and so the same in any order, up to 2^53 units (values up to 9e11), and
    have a relative error of 1e-16 above. Sums of wide decimals take several times as long.
    """
    return totals.withColumn("value", F.rint(F.col("value").cast("double") * UNITS))


def _total(need: Need) -> Column:
    """Value of a need, with sums of values converted back from smallest units."""
    return F.col(need.column) / UNITS if need.stat == "v" else F.col(need.column)


def _day_at(days: Sequence[dt.date]) -> Column:
    if len(days) == 1:
        return F.lit(days[0])
    return F.element_at(F.array(*[F.lit(day) for day in days]), F.col("_place") + 1)


def _lifelong(tiles: DataFrame, state: DataFrame | None, days: int) -> DataFrame:
    """Totals over all history for each day, user and behaviour."""
    ranges = ("user_id", "behaviour", "_from", "_to")
    parts = tiles.groupBy(*ranges).agg(*lifelong_totals())
    if state is not None:
        state_parts = state.withColumns({"_from": F.lit(0), "_to": F.lit(days)})
        parts = parts.unionByName(state_parts.select(*parts.columns))
    placed = _in_each_place(parts, days)
    return placed.groupBy(*BEHAVIOUR).agg(*lifelong_totals()).withColumnsRenamed(TOTALS)


def _in_each_place(frame: DataFrame, days: int) -> DataFrame:
    """Repeat rows for each index in their range, as ``_place``.

    Rows are partitioned by user before they are repeated. Later aggregations, and the union of two
    such frames (Spark 4.1 and later), then need no shuffle, and wide rows are never moved.
    """
    frame = frame.repartition("user_id")
    if days == 1:
        return frame.withColumn("_place", F.lit(0))
    return frame.withColumn("_place", F.explode(F.sequence(F.col("_from"), F.col("_to") - 1)))


def _per_item(
    tiles: DataFrame,
    days: Sequence[dt.date],
    plan: Plan,
    items: DataFrame | None,
    *,
    state: DataFrame | None,
) -> DataFrame:
    """Statistics for each day, user, behaviour and item over every window.

    With a snapshot (only for one day), also totals of all tiles; those of the snapshot have no
    item.
    """
    parts = ("user_id", "behaviour", "item_id", "event_day", "_from", "_to", *TOTALS)
    if state is None:
        frame = _inside_windows(tiles, days, plan).select(*parts)
    else:
        state_rows = state.withColumns(
            {
                "item_id": F.lit(NO_ITEM),
                "event_day": F.lit(None).cast("date"),
                "_from": F.lit(0),
                "_to": F.lit(1),
            }
        )
        frame = tiles.select(*parts).unionByName(state_rows.select(*parts))
    frame = _in_each_place(frame, len(days))
    frame = frame.withColumn("days_ago", F.datediff(_day_at(days), "event_day"))
    frame = _with_copies(frame, days, plan.copies, items)
    totals = lifelong_totals() if state is not None else []
    return frame.groupBy(*BEHAVIOUR, "item_id").agg(*_item_statistics(plan), *totals)


def _inside_windows(tiles: DataFrame, days: Sequence[dt.date], plan: Plan) -> DataFrame:
    """Tiles in the longest window of any day, of behaviours that a feature with a window needs."""
    longest = plan.windows[-1]
    last_place = sum(
        ((F.lit(day) <= F.date_add("event_day", longest)).cast("int") for day in days), F.lit(0)
    )
    behaviours = {b for need in plan.needs if need.window for b in need.behaviours}
    behaviours |= {d.ranked.behaviour for d in plan.definitions if d.ranked}
    behaviours |= {source for copy in plan.copies for source in copy.sources}
    frame = tiles.withColumn("_to", F.least("_to", last_place)).where("_from < _to")
    return frame.where(F.col("behaviour").isin(*sorted(behaviours)))


def _item_statistics(plan: Plan) -> list[Column]:
    requested = _asked(plan)
    columns = [F.min("days_ago").alias("days_ago")]
    for days in plan.windows:
        inside = F.col("days_ago") <= days
        sums = {
            "n": ("n", "m", "e", "top_k"),
            "v": ("v",),
            "p": ("p",),
        }
        source = {"n": "events", "v": "value", "p": "valued_events"}
        columns += [
            F.sum(F.when(inside, F.col(source[stat]))).alias(f"{stat}_{days}")
            for stat, uses in sums.items()
            if any((use, days) in requested for use in uses)
        ]
        if ("days", days) in requested:
            # The shift is limited to the window, because larger shifts wrap around.
            bit = F.when(inside, F.expr(f"shiftleft(1L, least(days_ago, {days}) - 1)"))
            columns.append(F.bit_or(bit).alias(f"days_{days}"))
        if ("first", days) in requested:
            columns.append(F.min(F.when(inside, F.col("first_time"))).alias(f"first_{days}"))
        if ("last", days) in requested:
            columns.append(F.max(F.when(inside, F.col("last_time"))).alias(f"last_{days}"))
    return columns


def _asked(plan: Plan) -> set[tuple[str, int]]:
    requested = {(need.stat, need.window) for need in plan.needs if need.window}
    return requested | {(d.ranked.op, d.ranked.window) for d in plan.definitions if d.ranked}


def _per_behaviour(per_item: DataFrame, plan: Plan, *, lifelong: bool) -> DataFrame:
    """Statistics for each day, user and behaviour over every window; also totals of all tiles if
    ``lifelong``.
    """
    requested = sorted({(need.stat, need.window) for need in plan.needs if need.window})
    totals = per_item.groupBy(*BEHAVIOUR).agg(
        F.min("days_ago").alias("days_ago"),
        *[_over_items(stat, days).alias(f"{stat}_{days}") for stat, days in requested],
        *(lifelong_totals() if lifelong else []),
    )
    return totals.withColumnsRenamed(TOTALS)


def _over_items(stat: str, days: int) -> Column:
    """A statistic of a behaviour from those of its items."""
    has_item, count = F.col("item_id") != NO_ITEM, F.col(f"n_{days}")
    if stat == "i":
        return F.count_if(has_item & (F.col("days_ago") <= days))
    if stat == "m":
        return F.sum(F.when(has_item, count))
    if stat == "e":
        return F.sum(F.when(has_item & (count > 0), count * F.ln(count)))
    column = F.col(f"{stat}_{days}")
    return F.bit_or(column) if stat == "days" else F.sum(column)


def _over_behaviours(need: Need, is_selected: Column) -> Column:
    """The column of a need: its statistic over rows of its behaviours (``is_selected``)."""
    selected = F.when(is_selected, F.col(f"{need.stat}_{need.window or 'all'}"))
    aggregate = {"first": F.min, "last": F.max, "days": F.bit_or}.get(need.stat, F.sum)
    return aggregate(selected).alias(need.column)


def _with_copies(
    frame: DataFrame, days: Sequence[dt.date], copies: Sequence[Copy], items: DataFrame | None
) -> DataFrame:
    """Add rows for copies; rows of other behaviours are kept."""
    if not copies:
        return frame
    names = [F.col("behaviour")]
    names += [F.when(F.col("behaviour").isin(*c.sources), F.lit(c.behaviour)) for c in copies]
    frame = frame.withColumn("behaviour", F.explode(F.array(*names))).where("behaviour IS NOT NULL")
    by_category = [copy.behaviour for copy in copies if copy.category]
    if not by_category:
        return frame
    is_category = F.col("behaviour").isin(*by_category)
    if items is None:
        return frame.withColumn(
            "item_id", F.when(~is_category, F.col("item_id")).otherwise(NO_ITEM)
        )
    joined = frame.join(known_categories(items, days), ["_place", "item_id"], "left")
    category = F.coalesce("_category", F.lit(NO_ITEM))
    item = F.when(is_category, category).otherwise(F.col("item_id"))
    return joined.withColumn("item_id", item).drop("_category")


def known_categories(items: DataFrame, days: Sequence[dt.date]) -> DataFrame:
    """``_place, item_id, _category``: category of each item as known at each day."""
    places = F.posexplode(F.array(*[F.lit(day) for day in days])).alias("_place", "_day")
    return (
        items.select("item_id", "category", "valid_from", places)
        .where(F.col("valid_from") < F.col("_day").cast("timestamp"))
        .groupBy("_place", "item_id")
        .agg(F.max_by("category", "valid_from").alias("_category"))
    )


def _ranked(per_item: DataFrame, ranked: Ranked, name: str) -> DataFrame:
    """The highest ranked items: an array for ``top_k``, else a single item."""
    days = ranked.window
    rows = per_item.where(
        (F.col("behaviour") == ranked.behaviour)
        & (F.col("item_id") != NO_ITEM)
        & (F.col("days_ago") <= days)
    )
    by = {"top_k": f"n_{days}", "first": f"first_{days}", "last": f"last_{days}"}[ranked.op]
    best_first = F.asc(by) if ranked.op == "first" else F.desc(by)
    order = Window.partitionBy(*USER).orderBy(best_first, "item_id")
    best = rows.withColumn("_rank", F.row_number().over(order)).where(F.col("_rank") <= ranked.k)
    if ranked.op != "top_k":
        return best.where("_rank = 1").select(*USER, F.col("item_id").alias(name))
    listed = F.array_sort(F.collect_list(F.struct("_rank", "item_id")))
    return best.groupBy(*USER).agg(listed["item_id"].alias(name))
