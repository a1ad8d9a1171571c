"""Items for audiences that allow what a member has had before: his own past, and what goes with it.

People buy again what they bought. Each event of a user counts ``OWN_DECAY`` times the next newer
one, and an item's share of their sum is its score (repeat consumption, which next-basket models
seldom beat: Hu, He, Gao, Zhang 2020, "Modeling Personalized Item Frequency Information for
Next-basket Recommendation", arXiv 2006.00556). It is mixed with what goes together
(``recommending``), as shares too. Weights were chosen by ``benchmarks/next_baskets.py``. Nothing is
collected: windows are by user, and pairs of items are those that ``recommending`` has counted.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.uses.audiences.recommending import ANYTHING

OWN_DECAY = 0.99  # weight of an event over that of the same user's next newer one
OWN_WEIGHT = 0.4  # of the own past; the rest is of what goes together
NEWEST_EVENTS = 1000  # of a user: older ones weigh less than 0.0001 of the newest
_LIST = ("audience", "user_id", "shelf", "items")


def own_past(events: DataFrame) -> DataFrame:
    """``user_id, item_id, own``: each item's share of a user's events, newer ones counting more.

    Args:
        events: Events by which users have had their items, as they were visible at as_of.
    """
    newest = Window.partitionBy("user_id").orderBy(
        F.desc("event_time"), "item_id", F.desc("event_id")
    )
    had = events.where("user_id IS NOT NULL AND item_id IS NOT NULL AND item_id <> ''")
    aged = had.withColumn("_age", F.row_number().over(newest) - 1)
    weighted = (
        aged.where(F.col("_age") < NEWEST_EVENTS)
        .groupBy("user_id", "item_id")
        # A sum of whole numbers, so that the order of rows has no effect.
        .agg(F.sum(F.round(F.pow(F.lit(OWN_DECAY), "_age") * 1e12).cast("long")).alias("_own"))
    )
    total = F.sum("_own").over(Window.partitionBy("user_id"))
    return weighted.select(
        "user_id", "item_id", (F.col("_own").cast("double") / total).alias("own")
    )


def recommended_again(
    wanted: DataFrame,
    baskets_had: DataFrame,
    own: DataFrame,
    similar: DataFrame,
    *,
    latest: int,
    allowed: DataFrame | None = None,
    own_weight: float = OWN_WEIGHT,
) -> DataFrame:
    """Items for each user of all that he has had and has not, then what is popular.

    Args:
        wanted: ``audience, user_id, shelf`` and ``items`` (how many); one row per audience and
            user.
        baskets_had: As ``recommending.baskets`` gives it.
        own: As ``own_past`` gives it.
        similar: As ``recommending.similar_items`` gives it.
        latest: Items of a user that others are compared with.
        allowed: ``item_id, shelf`` of what may be recommended; None: all items.
        own_weight: Weight of the own past, from 0 to 1; the rest is of what goes together.

    Returns:
        What ``recommending.recommended`` returns. An item that is there as the user has had it is
        its own ``because_of``.
    """
    lists = wanted.select(*_LIST)
    offered = (
        _of_own_past(lists, own, allowed)
        .unionByName(_of_neighbours(lists, baskets_had, similar, latest))
        .unionByName(_of_everybody(lists, similar))
        .groupBy(*_LIST, "other")
        .agg(
            F.coalesce(F.max("own"), F.lit(0.0)).alias("_own"),
            F.coalesce(F.round(F.sum("near"), 9), F.lit(0.0)).alias("_near"),
            F.max_by("item_id", F.when(F.col("near") > 0, F.struct("near", "item_id"))).alias(
                "_nearest"
            ),
            F.max("popular").alias("_popular"),
        )
    )
    of_list = Window.partitionBy("audience", "user_id")
    near = F.try_divide((1 - own_weight) * F.col("_near"), F.sum("_near").over(of_list))
    mixed = offered.withColumn("_near", F.coalesce(near, F.lit(0.0))).withColumn(
        "_own", own_weight * F.col("_own")
    )
    score = F.round(F.col("_own") + F.col("_near"), 9)
    because = F.when(F.col("_own") >= F.col("_near"), F.col("other")).otherwise(F.col("_nearest"))
    scored = mixed.withColumn("score", F.when(score > 0, score)).withColumn(
        "because_of", F.when(score > 0, because)
    )
    order = of_list.orderBy(F.desc_nulls_last("score"), F.desc_nulls_last("_popular"), "other")
    return (
        scored.withColumn("place", F.row_number().over(order))
        .where(F.col("place") <= F.col("items"))
        .select(
            "audience", "user_id", F.col("other").alias("item_id"), "because_of", "score", "place"
        )
    )


def _of_own_past(lists: DataFrame, own: DataFrame, allowed: DataFrame | None) -> DataFrame:
    rows = lists.join(own, "user_id")
    if allowed is not None:
        rows = rows.join(allowed, ["item_id", "shelf"], "left_semi")
    return _offer(rows, F.col("item_id"), own=F.col("own"))


def _of_neighbours(
    lists: DataFrame, baskets_had: DataFrame, similar: DataFrame, latest: int
) -> DataFrame:
    mine = lists.join(baskets_had, "user_id").select(
        *_LIST, F.explode(F.slice("had", 1, latest)).alias("item_id")
    )
    others = similar.where((F.col("item_id") != F.col("other")) & (F.col("item_id") != ANYTHING))
    rows = mine.join(others, ["item_id", "shelf"])
    return _offer(rows, F.col("other"), near=F.col("similarity"))


def _of_everybody(lists: DataFrame, similar: DataFrame) -> DataFrame:
    # Some times the longest list for each shelf: few rows, for every user.
    popular = F.broadcast(similar.where(F.col("item_id") == ANYTHING))
    return _offer(lists.join(popular, "shelf"), F.col("other"), popular=F.col("similarity"))


def _offer(rows: DataFrame, other: Column, **given: Column) -> DataFrame:
    """Rows with the item that is offered, and what speaks for it."""
    nothing = F.lit(None).cast("double")
    speaks = [given.get(name, nothing).alias(name) for name in ("own", "near", "popular")]
    return rows.select(*_LIST, other.alias("other"), "item_id", *speaks)
