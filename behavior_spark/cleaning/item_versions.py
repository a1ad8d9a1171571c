"""Versions of items across nights: a night adds new versions, and never changes stored ones."""

from __future__ import annotations

import datetime as dt

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.cleaning.rows import ALWAYS

NEW, CONTESTED, _STORED = "_new", "_contested", "_stored"


def compare_versions(stored: DataFrame, shown: DataFrame, *, as_of: dt.date) -> DataFrame:
    """Mark the versions in a source that are not stored yet.

    So a source that has only the latest state of each item gets a history from its first night on.
    If an item without dates differs from its stored version, the change is dated to this night. If
    two versions have the same moment, the stored one is kept.

    Args:
        stored: Stored versions, contract ``items``.
        shown: Versions in this night's source, contract ``items``; one row per item and moment.
        as_of: Day of the night.

    Returns:
        ``shown`` with ``valid_from`` filled in, ``_new`` (boolean: to be added), and
        ``_contested`` (boolean: another version of that moment is stored).
    """
    columns = stored.columns
    rows = stored.withColumn(_STORED, F.lit(True)).unionByName(
        shown.select(*columns).withColumn(_STORED, F.lit(False))
    )
    item = Window.partitionBy("item_id")
    always, night = F.lit(ALWAYS).cast("timestamp"), F.lit(as_of).cast("timestamp")
    dated = F.max(F.when(~F.col(_STORED), F.col("valid_from"))).over(item) > always
    stored_before = F.max(_STORED).over(item)
    changed_now = ~F.col(_STORED) & F.col("_known") & ~F.col("_dated")
    valid_from = F.when(changed_now, night).otherwise(F.col("valid_from"))
    content = F.struct("title", "category", "price")
    order = item.orderBy("valid_from", F.desc(_STORED))
    previous = F.lag(content).over(order)
    same_moment = F.lag("valid_from").over(order).eqNullSafe(F.col("valid_from"))
    differs = previous.isNull() | ~previous.eqNullSafe(content)
    return (
        rows.withColumns({"_dated": dated, "_known": stored_before})
        .withColumn("valid_from", valid_from)
        .withColumns({NEW: ~same_moment & differs, CONTESTED: same_moment & differs})
        .where(~F.col(_STORED))
        .select(*columns, NEW, CONTESTED)
    )
