"""Versions of items across nights: a night adds what changed, and moves nothing that was known."""

from __future__ import annotations

import datetime as dt

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.cleaning.rows import ALWAYS

NEW, CONTESTED, _STORED = "_new", "_contested", "_stored"


def compare_versions(stored: DataFrame, shown: DataFrame, *, as_of: dt.date) -> DataFrame:
    """The versions that a source shows: ``_new`` where the table lacks one.

    A table that keeps each item's latest state alone so becomes a history, from its first night.
    An item without a date that is not what it was became so this night. Of two versions at one
    moment the stored one stays.

    Args:
        stored: Contract ``items``.
        shown: The same, of this night's source: one row per item and moment.
        as_of: The night.

    Returns:
        ``shown`` with its moments, ``_new``, and ``_contested``: the table has another version of
        that moment.
    """
    columns = stored.columns
    rows = stored.withColumn(_STORED, F.lit(True)).unionByName(
        shown.select(*columns).withColumn(_STORED, F.lit(False))
    )
    item = Window.partitionBy("item_id")
    always, night = F.lit(ALWAYS).cast("timestamp"), F.lit(as_of).cast("timestamp")
    dated = F.max(F.when(~F.col(_STORED), F.col("valid_from"))).over(item) > always
    known = F.max(_STORED).over(item)
    changed_now = ~F.col(_STORED) & F.col("_known") & ~F.col("_dated")
    since = F.when(changed_now, night).otherwise(F.col("valid_from"))
    content = F.struct("title", "category", "price")
    order = item.orderBy("valid_from", F.desc(_STORED))
    before = F.lag(content).over(order)
    same_moment = F.lag("valid_from").over(order).eqNullSafe(F.col("valid_from"))
    other = before.isNull() | ~before.eqNullSafe(content)
    return (
        rows.withColumns({"_dated": dated, "_known": known})
        .withColumn("valid_from", since)
        .withColumns({NEW: ~same_moment & other, CONTESTED: same_moment & other})
        .where(~F.col(_STORED))
        .select(*columns, NEW, CONTESTED)
    )
