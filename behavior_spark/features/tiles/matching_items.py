"""Which items count for which target since when: where that changes, tiles are built again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.config import Target
from behavior_spark.features.targets import item_matches, match_column


def matching_items(items: DataFrame, targets: Mapping[str, Target]) -> DataFrame:
    """The items that satisfy a target's condition, with the day on which they began to.

    Args:
        items: Contract ``items``.
        targets: Targets with a condition on items, by name.

    Returns:
        ``item_id``, ``target`` and ``since`` (date), a row for each item and target.
    """
    by_target = [
        F.struct(F.lit(name).alias("target"), F.to_date(match_column(name)).alias("since"))
        for name in targets
    ]
    matches = item_matches(items, dict(targets))
    return matches.select("item_id", F.inline(F.array(*by_target))).where("since IS NOT NULL")


def matches_before(day: dt.date) -> Column:
    """Digest of the matches that began before a day: an aggregate over ``matching_items``.

    It does not depend on the order of rows. Where the digest of a past day changes, items were
    listed late: what events on them counted for has changed.
    """
    match = F.xxhash64("item_id", "target", "since").cast("decimal(20,0)")
    return F.sum(F.when(F.col("since") < F.lit(day), match))
