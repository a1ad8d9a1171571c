"""Find the distinct texts, and those that are not in the score store yet."""

from __future__ import annotations

import math

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

# Texts per task: some seconds of one core, much longer than loading the model takes.
TEXTS_PER_TASK = 512
# Maximum number of keys that are broadcast (about 100 bytes each).
MOST_BROADCAST_KEYS = 1_000_000


def distinct_texts(rows: DataFrame) -> DataFrame:
    """``text_hash, text``: one row per distinct text, without rows that have a null in either."""
    return (
        rows.where("text_hash IS NOT NULL AND text IS NOT NULL")
        .groupBy("text_hash")
        .agg(F.min("text").alias("text"))
    )


def not_scored(frame: DataFrame, scored: DataFrame, *, among: DataFrame | None = None) -> DataFrame:
    """Rows whose ``text_hash`` is not in ``scored``; no other column is compared.

    Args:
        frame: Rows with a ``text_hash``.
        scored: The score store.
        among: A small frame with the hashes of ``frame`` (usually ``frame`` itself). It is
            broadcast to filter the stored keys, so that the store is never shuffled, whatever its
            size.
    """
    keys = scored.select("text_hash")
    if among is not None:
        keys = keys.join(F.broadcast(among.select("text_hash")), "text_hash", "left_semi")
        keys = F.broadcast(keys)
    return frame.join(keys, "text_hash", "left_anti")


def one_per_text(frame: DataFrame) -> DataFrame:
    """Keep one row per ``text_hash``: concurrent or repeated runs may have stored several.

    Rows without an error are preferred; among equal ones the newest is kept.
    """
    window = Window.partitionBy("text_hash").orderBy(
        F.col("error").isNotNull(), F.col("scored_at").desc()
    )
    return frame.withColumn("_n", F.row_number().over(window)).where("_n = 1").drop("_n")


def tasks_for(texts: int, *, parallelism: int) -> int:
    """Number of tasks that run the model, from the number of texts and not their bytes.

    A power of two, at most ``parallelism``: three tasks on two cores would take as long as four.

    >>> [tasks_for(texts, parallelism=8) for texts in (1, 500, 1_000, 2_000, 6_000, 1_000_000)]
    [1, 1, 2, 4, 8, 8]
    """
    wanted: int = 2 ** max(0, math.ceil(math.log2(max(1, texts) / TEXTS_PER_TASK)))
    return min(parallelism, wanted)


def spread_texts(frame: DataFrame, tasks: int) -> DataFrame:
    """Distribute the rows over ``tasks`` partitions by ``text_hash``, sorted in each.

    Sorted, so that a rerun on other machines reads the same texts in the same order. Partitioned
    by a hash of ``text_hash``: Spark drops ``repartition(n, "text_hash")`` if the rows already are
    in n partitions by ``text_hash``, and adaptive execution would then merge partitions that are
    small in bytes, although each means minutes of work for the model.
    """
    spread = frame.repartition(tasks, F.xxhash64("text_hash"))
    return spread.sortWithinPartitions("text_hash")
