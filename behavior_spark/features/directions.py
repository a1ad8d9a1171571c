"""Mean embedding of a target's items, as known at each day."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

import numpy as np
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.config import Target
from behavior_spark.features.inputs import Inputs

# A target's direction at a day is the mean of at most this many of its items, chosen by hash.
DIRECTION_ITEMS = 1000


def target_directions(
    inputs: Inputs,
    similar: Sequence[str],
    targets: Mapping[str, Target],
    as_of_days: Sequence[dt.date],
) -> np.ndarray:
    """Direction of each target at each day: mean embedding of its items' titles.

    An item counts with its first title that satisfied the target's condition, from the day on
    which that title was known. At most 1,000 items are used. Rows that become known later do not
    change the direction of an earlier day, nor the choice of items.

    Args:
        inputs: Tables with items and embeddings.
        similar: Names of the targets.
        targets: Targets by name.
        as_of_days: The days.

    Returns:
        float64 [as_of days x targets, dimension]: unit vectors, or zeros without items.

    Raises:
        ValueError: There are no items or no embeddings.
    """
    if inputs.items is None or inputs.embeddings is None:
        raise ValueError("directions need items and embeddings")
    conditions = {name: targets[name].item or "false" for name in similar}
    days = F.posexplode(F.array(*[F.lit(day) for day in as_of_days])).alias("day_index", "day")
    order = Window.partitionBy("target", "day_index").orderBy(
        F.xxhash64("text_hash"), "text_hash", "item_id"
    )
    rows = (
        _matching_titles(inputs.items, conditions)
        .repartition("target")  # once, for the window and for the groups
        .select("*", days)
        .where(F.col("since") < F.col("day").cast("timestamp"))
        .withColumn("_place", F.row_number().over(order))
        .where(F.col("_place") <= DIRECTION_ITEMS)
        .groupBy("target", "item_id", "text_hash")
        .agg(F.collect_list("day_index").alias("day_indices"))
        .join(inputs.embeddings.where("embedding IS NOT NULL"), "text_hash")
        .collect()
    )
    rows.sort(key=lambda row: (row["text_hash"], row["item_id"]))
    dimension = len(rows[0]["embedding"]) if rows else 1
    directions = np.zeros((len(as_of_days) * len(similar), dimension))
    for index, name in enumerate(similar):
        target_rows = [row for row in rows if row["target"] == name]
        for day_index in range(len(as_of_days)):
            vectors = [r["embedding"] for r in target_rows if day_index in r["day_indices"]]
            if vectors:
                mean = np.mean(np.asarray(vectors, dtype=np.float64), axis=0)
                norm = np.linalg.norm(mean)
                directions[day_index * len(similar) + index] = mean / norm if norm else 0.0
    return directions


def _matching_titles(items: DataFrame, conditions: Mapping[str, str]) -> DataFrame:
    """``item_id, target, since, text_hash``: an item's first title that satisfies a condition.

    Args:
        items: Contract ``items``.
        conditions: SQL condition by target.
    """
    version = F.struct(F.col("valid_from").alias("since"), F.col("title_hash").alias("text_hash"))
    usable = F.col("title_hash").isNotNull() & F.col("valid_from").isNotNull()
    firsts = [
        F.min(F.when(F.expr(f"({condition})") & usable, version)).alias(f"_first_{index}")
        for index, condition in enumerate(conditions.values())
    ]
    by_target = [
        F.struct(F.lit(name).alias("target"), f"_first_{index}.since", f"_first_{index}.text_hash")
        for index, name in enumerate(conditions)
    ]
    matching = items.groupBy("item_id").agg(*firsts)
    return matching.select("item_id", F.inline(F.array(*by_target))).where("text_hash IS NOT NULL")
