"""Which texts are there, and which of them are new to the store of scores."""

from __future__ import annotations

import math

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

# A task reads about so many texts: some seconds of a core, much more than its model's start.
TEXTS_PER_TASK = 512
# Up to so many keys travel to every task (about 100 bytes each).
MOST_BROADCAST_KEYS = 1_000_000


def distinct_texts(rows: DataFrame) -> DataFrame:
    """``text_hash, text``, one row per distinct text of rows of these; nulls left out."""
    return (
        rows.where("text_hash IS NOT NULL AND text IS NOT NULL")
        .groupBy("text_hash")
        .agg(F.min("text").alias("text"))
    )


def not_scored(frame: DataFrame, scored: DataFrame, *, among: DataFrame | None = None) -> DataFrame:
    """Rows whose ``text_hash`` is not in ``scored``: keys alone are compared.

    Args:
        frame: Rows with a ``text_hash``.
        scored: The store.
        among: Not many rows with the hashes of ``frame`` (mostly itself). The stored keys are
            then read once where they lie, and only those that meet one of these go on: nothing
            of the store is shuffled, however large it is.
    """
    keys = scored.select("text_hash")
    if among is not None:
        keys = keys.join(F.broadcast(among.select("text_hash")), "text_hash", "left_semi")
        keys = F.broadcast(keys)
    return frame.join(keys, "text_hash", "left_anti")


def one_per_text(frame: DataFrame) -> DataFrame:
    """One row per text_hash: two runs at once, or a second scoring, may have stored it twice.

    One without an error comes before one with; of those the newest.
    """
    window = Window.partitionBy("text_hash").orderBy(
        F.col("error").isNotNull(), F.col("scored_at").desc()
    )
    return frame.withColumn("_n", F.row_number().over(window)).where("_n = 1").drop("_n")


def tasks_for(texts: int, *, parallelism: int) -> int:
    """How many tasks run the model: by the texts there are, not by their bytes.

    A power of two up to ``parallelism``: three tasks on two cores would take as long as four.

    >>> [tasks_for(texts, parallelism=8) for texts in (1, 500, 1_000, 2_000, 6_000, 1_000_000)]
    [1, 1, 2, 4, 8, 8]
    """
    wanted: int = 2 ** max(0, math.ceil(math.log2(max(1, texts) / TEXTS_PER_TASK)))
    return min(parallelism, wanted)


def spread_texts(frame: DataFrame, tasks: int) -> DataFrame:
    """The rows dealt to so many tasks by ``text_hash``, in its order.

    Sorted, so that a rerun elsewhere reads the same texts in the same order. Dealt by a hash of
    the hash: Spark would take ``repartition(n, "text_hash")`` away where the rows lie by
    ``text_hash`` in n partitions already, and adaptive execution would then join those that are
    small in bytes, though each is minutes of a model's work.
    """
    dealt = frame.repartition(tasks, F.xxhash64("text_hash"))
    return dealt.sortWithinPartitions("text_hash")
