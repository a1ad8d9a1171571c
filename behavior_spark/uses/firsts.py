"""The first rows of each group, without a task that sees the whole of a large group."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

# Up to so many, Spark itself takes the first of each group in every task before it shuffles rows
# (spark.sql.optimizer.windowGroupLimitThreshold).
_TAKEN_BY_SPARK = 1_000
LANES = 32


def first_of_each(
    frame: DataFrame,
    *by: str,
    order: Sequence[Column],
    key: str,
    most: int,
    place: str = "place",
) -> DataFrame:
    """The first rows of each group with their place, from 1.

    The task that orders a group sees at most ``most`` rows of each task before it, or of each of
    ``LANES`` lanes, into which rows fall by a hash: its work is bounded by the setting, not by the
    group.

    Args:
        frame: The rows.
        by: Columns of a group.
        order: What comes first; equal rows in the order of their key.
        key: Column that no two rows of a group have in common; its hash chooses the lane.
        most: Rows of a group that are kept.
        place: Name of the new column.
    """
    order = [*order, F.col(key)]
    if most > _TAKEN_BY_SPARK:
        lane = F.pmod(F.xxhash64(key), F.lit(LANES))
        own = Window.partitionBy(*by, "_lane").orderBy(*order)
        lanes = frame.withColumn("_lane", lane).withColumn("_place", F.row_number().over(own))
        frame = lanes.where(F.col("_place") <= most).drop("_lane", "_place")
    whole = Window.partitionBy(*by).orderBy(*order)
    return frame.withColumn(place, F.row_number().over(whole)).where(F.col(place) <= most)
