"""Items of a sequence model before those that go together, each with how it was found."""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

NEXT, AGAIN, TOGETHER, POPULAR = "next", "again", "together", "popular"
"""How an item was found: by the sequence model, as the member has had it, by what users have had
together, by popularity."""
HOW = (NEXT, AGAIN, TOGETHER, POPULAR)
_KEY = ("audience", "user_id")


def foretold(
    wanted: DataFrame,
    next_items: DataFrame,
    baskets_had: DataFrame,
    *,
    allowed: DataFrame | None = None,
) -> DataFrame:
    """The items that a sequence model foretells to each member, as ``recommended`` gives others.

    Args:
        wanted: ``audience, user_id, shelf``, ``items`` and ``again``, as for ``recommended``.
        next_items: Rows of ``user_next_items`` of one as_of.
        baskets_had: As ``baskets`` gives it: left out where ``again`` is false.
        allowed: ``item_id, shelf`` of what may be recommended; None: all items.

    Returns:
        ``audience, user_id, item_id, because_of, score, place``; a user without a row of
        ``next_items`` has none.
    """
    offered = next_items.select(
        "user_id",
        "item_id",
        F.col("reason_item_id").alias("because_of"),
        F.col("score").cast("double").alias("score"),
        F.col("rank").alias("place"),
    )
    rows = wanted.join(offered, "user_id").join(baskets_had, "user_id", "left")
    nothing = F.array().cast("array<string>")
    is_new = ~F.array_contains(F.coalesce("had", nothing), F.col("item_id"))
    kept = rows.where(F.col("again") | is_new)
    if allowed is not None:
        kept = kept.join(allowed, ["item_id", "shelf"], "left_semi")
    return kept.select(*_KEY, "item_id", "because_of", "score", "place")


def first_foretold(
    foretold_items: DataFrame, recommended_items: DataFrame, *, most: Column
) -> DataFrame:
    """Foretold items, then recommended ones where the list is not full.

    Args:
        foretold_items: As ``foretold`` gives it.
        recommended_items: As ``recommended`` gives it.
        most: Items of a list, of a row's audience.

    Returns:
        The same columns with ``how``: an item stands once in a list, by the first way that found
        it; place 1 first.
    """
    ways = [
        foretold_items.withColumn("way", F.lit(0)).withColumn("how", F.lit(NEXT)),
        with_how(recommended_items).withColumn("way", F.lit(1)),
    ]
    both = ways[0].unionByName(ways[1])
    first = F.min(F.struct("way", "place", "because_of", "score", "how")).alias("first")
    once = both.groupBy(*_KEY, "item_id").agg(first).select(*_KEY, "item_id", "first.*")
    order = Window.partitionBy(*_KEY).orderBy("way", "place", "item_id")
    return (
        once.withColumn("place", F.row_number().over(order))
        .where(F.col("place") <= most)
        .select(*_KEY, "item_id", "because_of", "score", "place", "how")
    )


def with_how(recommended_items: DataFrame) -> DataFrame:
    """With ``how``: together, again where an item stands for itself, popular where nothing does."""
    because = F.col("because_of")
    how = F.when(because.isNull(), POPULAR).when(because == F.col("item_id"), AGAIN)
    return recommended_items.withColumn("how", how.otherwise(TOGETHER))
