"""Item co-occurrence: which items go with the items of a target, from baskets before as_of.

A *basket* is what a user touched on one day. The weight of an item is the logarithm of how much
more often the target is in a basket with the item than in any basket; the same over users, with
all that a user touched as one basket. Both are smoothed, as an item that few had says little:

    weight = ln( (with + smoothing * share) / (baskets + smoothing) / share )

``share`` is that of all baskets (users) with the target, ``baskets`` those with the item, ``with``
those with both. It is the logarithm of the lift of association rules (Brin, Motwani, Ullman & Tsur
1997, "Dynamic itemset counting and implication rules for market basket data", where it is called
interest), for one consequent, so that no pairs of items are made: the cost grows with the rows.

Weights, and terms of sums, are whole millionths: their sums are the same in any order.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.features.tiles.activity import NO_ITEM, Activity, in_places, with_until
from behavior_spark.features.tiles.planning import target_behaviour

MILLION = 1_000_000
USER = ("as_of", "user_id")
DAY = (*USER, "event_day")
SIDES = ("basket", "user")


def touched_items(
    activity: Activity,
    days: Sequence[dt.date],
    targets: Sequence[str],
    *,
    event_types: Sequence[str],
    memory: int,
) -> DataFrame:
    """Which items each user touched on which day, as known at each as_of.

    Args:
        activity: Tiles; those of targets have items.
        days: As-of days.
        targets: Names of targets.
        event_types: Event types whose items are in baskets.
        memory: Days before as_of that are read.

    Returns:
        One row per ``as_of, user_id, event_day, item_id`` with ``days_ago`` (int) and, all
        boolean, ``in_basket`` (false if it only counts for a target), ``in_last`` (whether it is
        in the user's last basket), ``first_of_day``, ``first_of_basket``, ``first_of_user`` (true
        for one row of each); for each target ``hits_<target>`` (long: its events that count),
        ``basket_<target>`` and ``user_<target>`` (boolean: whether the day, or the user, has any).
    """
    seen = _tiles_seen(activity, days, [*event_types, *map(target_behaviour, targets)], memory)
    behaviour = F.col("behaviour")
    hits = [
        F.sum(F.when(behaviour == target_behaviour(name), F.col("events"))).alias(f"hits_{name}")
        for name in targets
    ]
    touched = F.coalesce(F.bool_or(behaviour.isin(*event_types)), F.lit(False))
    by_item = seen.groupBy(*DAY, "item_id").agg(touched.alias("in_basket"), *hits)
    of_day, of_user = Window.partitionBy(*DAY), Window.partitionBy(*USER)
    in_basket, basket_first = F.col("in_basket"), F.desc("in_basket")
    last = F.max(F.when(in_basket, F.col("event_day"))).over(of_user)
    first_of_day = F.row_number().over(of_day.orderBy(basket_first, "item_id")) == 1
    first = F.row_number().over(of_user.orderBy(basket_first, "event_day", "item_id")) == 1
    columns = {
        "days_ago": F.datediff("as_of", "event_day"),
        "in_last": in_basket & (F.col("event_day") == last),
        "first_of_day": first_of_day,
        "first_of_basket": first_of_day & in_basket,
        "first_of_user": first & in_basket,
    }
    for name in targets:
        columns[f"hits_{name}"] = F.coalesce(f"hits_{name}", F.lit(0).cast("long"))
        for side, rows in zip(SIDES, (of_day, of_user), strict=True):
            columns[f"{side}_{name}"] = F.coalesce(F.sum(f"hits_{name}").over(rows), F.lit(0)) > 0
    return by_item.withColumns(columns)


def _tiles_seen(
    activity: Activity, days: Sequence[dt.date], behaviours: Sequence[str], memory: int
) -> DataFrame:
    """Tiles with an item, repeated as ``as_of`` for each day that sees them, by user."""
    ordered = sorted(set(days))
    recent = activity.since(ordered[0] - dt.timedelta(days=memory), behaviours)
    tiles = in_places(with_until(recent), ordered).where(F.col("item_id") != NO_ITEM)
    places = F.array(*[
        F.struct(F.lit(place).alias("place"), F.lit(day).alias("as_of"))
        for place, day in enumerate(ordered)
    ])  # fmt: skip

    def sees(place: Column) -> Column:
        inside = F.datediff(place["as_of"], F.col("event_day")) <= memory
        index = place["place"]
        return (index >= F.col("_from")) & (index < F.col("_to")) & inside

    seen = tiles.withColumn("_seen_by", F.filter(places, sees)).where(F.size("_seen_by") > 0)
    columns = ("user_id", "event_day", "item_id", "behaviour", "events", "_seen_by")
    # Partitioned by user before rows are repeated: what follows needs no other shuffle.
    by_user = seen.select(*columns).repartition("user_id")
    return by_user.withColumn("as_of", F.explode("_seen_by.as_of")).drop("_seen_by")


def by_user_and_item(
    touched: DataFrame, targets: Sequence[str], *, half_life_days: float
) -> DataFrame:
    """The days of a user and item together: one row per ``as_of, user_id, item_id``.

    Returns:
        ``baskets`` (with the item), ``decay`` (millionths: sum over them of 0.5 to the days ago
        over the half-life), ``in_last`` (whether it is in the last basket), ``new_baskets`` and
        ``new_users`` (to be added up over items), and for each target ``hits_``, ``decayed_``
        (hits, decayed, millionths), ``basket_`` (baskets with item and target), ``user_`` (0 or
        1), ``days_``, ``new_basket_`` and ``new_user_`` (days, baskets and users with the target,
        to be added up) and ``months_`` (bits of 30 days each).
    """
    decay = F.round(F.pow(F.lit(0.5), F.col("days_ago") / half_life_days) * MILLION).cast("long")
    in_basket, first_of_basket = F.col("in_basket"), F.col("first_of_basket")
    columns = [
        F.count_if(in_basket).alias("baskets"),
        F.sum(F.when(in_basket, decay)).alias("decay"),
        F.bool_or("in_last").alias("in_last"),
        F.count_if(first_of_basket).alias("new_baskets"),
        F.count_if("first_of_user").alias("new_users"),
    ]
    for name in targets:
        hits, with_target = F.col(f"hits_{name}"), F.col(f"basket_{name}")
        month = F.when(hits > 0, F.expr("shiftleft(1L, cast((days_ago - 1) DIV 30 AS int))"))
        is_user = F.col(f"user_{name}")
        columns += [
            F.sum(hits).alias(f"hits_{name}"),
            F.sum(hits * decay).alias(f"decayed_{name}"),
            F.count_if(with_target & in_basket).alias(f"basket_{name}"),
            F.max((is_user & in_basket).cast("long")).alias(f"user_{name}"),
            F.count_if(with_target & F.col("first_of_day")).alias(f"days_{name}"),
            F.count_if(with_target & first_of_basket).alias(f"new_basket_{name}"),
            F.count_if(is_user & F.col("first_of_user")).alias(f"new_user_{name}"),
            F.bit_or(month).alias(f"months_{name}"),
        ]
    return touched.groupBy(*USER, "item_id").agg(*columns)


def item_weights(by_user: DataFrame, targets: Sequence[str], *, smoothing: float) -> DataFrame:
    """Weights of items at each as_of: one row per ``as_of, item_id``.

    Args:
        by_user: From ``by_user_and_item``.
        targets: Names of targets.
        smoothing: Baskets (users) with the share of all that are added to those of an item.

    Returns:
        ``basket_weight_<target>`` and ``user_weight_<target>``, in millionths (long); null where
        nothing has counted for the target.
    """
    sums = {"baskets": F.sum("baskets"), "users": F.count(F.lit(1))}
    sums |= {f"new_{side}s": F.sum(f"new_{side}s") for side in SIDES}
    for name in targets:
        for side in SIDES:
            sums[f"{side}_{name}"] = F.sum(f"{side}_{name}")
            sums[f"new_{side}_{name}"] = F.sum(f"new_{side}_{name}")
    in_baskets = by_user.where("baskets > 0")
    items = in_baskets.groupBy("as_of", "item_id").agg(*[c.alias(n) for n, c in sums.items()])
    everywhere = Window.partitionBy("as_of")
    weights = []
    for name in targets:
        for side in SIDES:
            hits, all_of = f"new_{side}_{name}", f"new_{side}s"
            share = F.sum(hits).over(everywhere) / F.sum(all_of).over(everywhere)
            weight = _weight(F.col(f"{side}_{name}"), F.col(f"{side}s"), share, smoothing)
            weights.append(F.when(share > 0, weight).alias(f"{side}_weight_{name}"))
    return items.select("as_of", "item_id", *weights)


def _weight(hits: Column, rows: Column, share: Column, smoothing: float) -> Column:
    smoothed = (hits + smoothing * share) / (rows + smoothing)
    return F.round(F.ln(smoothed / share) * MILLION).cast("long")
