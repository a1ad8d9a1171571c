"""Which texts, and titles of items, features still read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.config import Target
from behavior_spark.features.targets import item_matches, match_column


def texts_in_use(
    texts: DataFrame, items: DataFrame, targets: Mapping[str, Target], *, cutoff: dt.date
) -> DataFrame:
    """Every text and title with whether it is used from a day on.

    These are used: a text that arrived on that day or later; a title that an item had on that day
    or later; and the title of the first version of an item that counts for a target, because
    features compare texts with it as long as the target exists.

    Args:
        texts: Contract ``texts``.
        items: Contract ``items``.
        targets: By name; those without a condition on items do not matter.
        cutoff: The day.

    Returns:
        ``text_hash, used``, one row for each.
    """
    midnight = F.lit(cutoff).cast("timestamp")
    written = texts.select("text_hash", (F.col("arrived_at") >= midnight).alias("used"))
    versions = Window.partitionBy("item_id").orderBy("valid_from")
    next_from = F.lead("valid_from").over(versions)
    used = items.withColumn("used", next_from.isNull() | (next_from > midnight))
    of_items = {name: target for name, target in targets.items() if target.item}
    if of_items:
        firsts = [F.col("valid_from") == F.col(match_column(name)) for name in of_items]
        began = F.coalesce(reduce(Column.__or__, firsts), F.lit(False))
        used = used.join(item_matches(items, of_items), "item_id", "left")
        used = used.withColumn("used", F.col("used") | began)
    titles = used.where("title_hash IS NOT NULL").select(
        F.col("title_hash").alias("text_hash"), "used"
    )
    return written.unionByName(titles).groupBy("text_hash").agg(F.max("used").alias("used"))
