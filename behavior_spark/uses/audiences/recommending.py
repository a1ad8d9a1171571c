"""Items to recommend: what goes together in users' baskets, else what is popular.

A basket is what a user has had, the latest first. Similarity of two items is the cosine of the
users who have had them (G. Linden, B. Smith, J. York, "Amazon.com recommendations: item-to-item
collaborative filtering", IEEE Internet Computing 7, 2003), shrunk where few users have had both
(R. Bell, Y. Koren, "Scalable collaborative filtering with jointly derived neighborhood
interpolation weights", ICDM 2007). An item's score for a user is the sum of its similarities to his
latest items (M. Deshpande, G. Karypis, "Item-based top-N recommendation algorithms", ACM TOIS 22,
2004). Nothing is collected: items make pairs inside a row, and joins and windows are by user or by
item.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

SHRINKAGE = 10.0  # users with both items at which a similarity counts half
NEIGHBOURS = 50  # most similar items that are kept of each item
LANES = 32  # tasks that find what is popular, of which every user gets some
# Stands in every basket, so that what goes with it is what is popular.
ANYTHING = ""
# Items that may be recommended where an audience does not limit them.
EVERYTHING = ""


def baskets(events: DataFrame) -> DataFrame:
    """``user_id, had``: the distinct items of each user, the latest first.

    Args:
        events: Events by which users have had their items, as they were visible at as_of.
    """
    latest = (
        events.where("user_id IS NOT NULL AND item_id IS NOT NULL AND item_id <> ''")
        .groupBy("user_id", "item_id")
        .agg(F.max("event_time").alias("last"))
    )
    ordered = F.sort_array(F.collect_list(F.struct("last", "item_id")), asc=False)
    return latest.groupBy("user_id").agg(F.transform(ordered, lambda x: x["item_id"]).alias("had"))


def similar_items(
    learned: DataFrame, *, latest: int, popular: int, allowed: DataFrame | None = None
) -> DataFrame:
    """Items that go with each item, at most ``NEIGHBOURS``, and the item itself.

    Args:
        learned: As ``baskets`` gives it.
        latest: Items of a basket that make pairs: their number grows with its square.
        popular: Popular items to keep, as those that go with ``ANYTHING``.
        allowed: ``item_id, shelf`` (names of sets of items that may be recommended, one row for
            each set); None: all items, whose set is ``EVERYTHING``.

    Returns:
        ``item_id, shelf, other, similarity``; of an item and itself 1, of ``ANYTHING`` the number
        of users who have the item among their latest.
    """
    basket = F.concat(F.slice("had", 1, latest), F.array(F.lit(ANYTHING)))
    pairs = (
        learned.select(basket.alias("_basket"))
        .select("_basket", F.explode("_basket").alias("item_id"))
        .select("item_id", F.explode("_basket").alias("other"))
        .groupBy("item_id", "other")
        .agg(F.count(F.lit(1)).cast("double").alias("both"))
    )
    # Every basket has ANYTHING: an item's pair with it counts the users of the item.
    of_item, of_other = Window.partitionBy("item_id"), Window.partitionBy("other")
    users = F.max(F.when(F.col("other") == ANYTHING, F.col("both"))).over(of_item)
    other_users = F.max(F.when(F.col("item_id") == ANYTHING, F.col("both"))).over(of_other)
    both = F.col("both")
    similarity = (
        F.when(F.col("item_id") == ANYTHING, both)
        .when(F.col("item_id") == F.col("other"), 1.0)
        # One user tells nothing of others.
        .when(both > 1, both / F.sqrt(F.col("users") * F.col("other_users")) * both
              / (both + SHRINKAGE))
    )  # fmt: skip
    scored = (
        pairs.withColumn("other_users", other_users)
        .withColumn("users", users)
        .withColumn("similarity", F.round(similarity, 9))
        .where((F.col("other") != ANYTHING) & F.col("similarity").isNotNull())
    )
    if allowed is None:
        shelved = scored.withColumn("shelf", F.lit(EVERYTHING))
    else:
        shelves = allowed.groupBy("item_id").agg(F.collect_set("shelf").alias("_shelves"))
        shelved = scored.join(
            shelves.withColumnRenamed("item_id", "other"), "other"
        ).withColumn("shelf", F.explode("_shelves"))
    order = Window.partitionBy("item_id", "shelf").orderBy(F.desc("similarity"), "other")
    most = F.when(F.col("item_id") == ANYTHING, popular).otherwise(NEIGHBOURS + 1)
    return (
        shelved.withColumn("_place", F.row_number().over(order))
        .where(F.col("_place") <= most)
        .select("item_id", "shelf", "other", "similarity")
    )


def recommended(
    wanted: DataFrame, baskets_had: DataFrame, similar: DataFrame, *, latest: int
) -> DataFrame:
    """Items for each user, by similarity to his latest ones, then by popularity.

    Args:
        wanted: ``audience, user_id, shelf``, ``items`` (how many) and ``again`` (whether what he
            has had counts); one row per audience and user.
        baskets_had: As ``baskets`` gives it; users without one get what is popular.
        similar: As ``similar_items`` gives it.
        latest: Items of a user that others are compared with.

    Returns:
        ``audience, user_id, item_id, because_of, score, place``: at most ``items`` rows per
        audience and user, place 1 first. Popular items have neither score nor because_of.
    """
    nothing = F.array().cast("array<string>")
    own = F.concat(F.coalesce("had", nothing), F.array(F.lit(ANYTHING)))
    mine = wanted.join(baskets_had, "user_id", "left").select(
        *wanted.columns, F.posexplode(own).alias("_position", "item_id")
    )
    mine = mine.withColumn("_lane", _lane(F.pmod(F.xxhash64("user_id"), F.lit(LANES))))
    copies = F.sequence(F.lit(0), _lane(F.lit(LANES - 1)))
    offers = similar.withColumn("_lane", F.explode(copies))
    is_self = F.col("item_id") == F.col("other")
    is_popular = F.col("item_id") == ANYTHING
    counts = (F.col("_position") < latest) | is_self | is_popular
    # Of an item that he has had long ago, only that he has had it.
    near = F.when(~is_popular & (F.col("_position") < latest), F.col("similarity"))
    offered = (
        mine.join(offers, ["item_id", "shelf", "_lane"])
        .where(counts)
        .groupBy("audience", "user_id", "items", "again", "other")
        .agg(
            F.round(F.sum(near), 6).alias("score"),
            _nearest(near).alias("because_of"),
            F.max(F.when(is_popular, F.col("similarity"))).alias("_popular"),
            F.max(is_self).alias("_had"),
        )
        .where(F.col("again") | ~F.col("_had"))
    )
    order = Window.partitionBy("audience", "user_id").orderBy(
        F.desc_nulls_last("score"), F.desc_nulls_last("_popular"), "other"
    )
    return (
        offered.withColumn("place", F.row_number().over(order))
        .where(F.col("place") <= F.col("items"))
        .select(
            "audience", "user_id", F.col("other").alias("item_id"), "because_of", "score", "place"
        )
    )


def _lane(of_popular: Column) -> Column:
    """Lane of a row: every user asks for what is popular, so these rows are spread over tasks."""
    return F.when(F.col("item_id") == ANYTHING, of_popular).otherwise(F.lit(0)).cast("int")


def _nearest(similarity: Column) -> Column:
    """The item with the largest similarity; of equal ones the last by name."""
    key = F.when(similarity.isNotNull(), F.struct(similarity.alias("s"), F.col("item_id")))
    return F.max_by("item_id", key)


def listed(recommendations: DataFrame, titles: DataFrame | None) -> DataFrame:
    """``audience, user_id``, ``recommended_items`` (array of structs), ``item_sources``.

    Both lists are in order, the best first; the second says how each item was found.

    Args:
        recommendations: As ``first_foretold`` or ``with_how`` gives it.
        titles: ``item_id, title``; None: no titles.
    """
    if titles is None:
        named = recommendations.withColumn("title", F.lit(None).cast("string"))
    else:
        named = recommendations.join(titles.select("item_id", "title"), "item_id", "left")
    item = F.struct("item_id", "title", "because_of", "score").alias("item")
    entries = F.array_sort(F.collect_list(F.struct("place", item, "how"))).alias("_entries")
    return named.groupBy("audience", "user_id").agg(entries).select(
        "audience",
        "user_id",
        F.col("_entries.item").alias("recommended_items"),
        F.col("_entries.how").alias("item_sources"),
    )
