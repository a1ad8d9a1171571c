"""Which texts are there, and which of them are new to the store of scores."""

from __future__ import annotations

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

# Up to so many keys travel to every task (about 100 bytes each).
MOST_BROADCAST_KEYS = 1_000_000


def distinct_texts(texts: DataFrame, *, hash_column: str, text_column: str) -> DataFrame:
    """Columns ``text_hash, text``, one row per distinct text; nulls left out."""
    named = texts.select(F.col(hash_column).alias("text_hash"), F.col(text_column).alias("text"))
    return (
        named.where("text_hash IS NOT NULL AND text IS NOT NULL")
        .groupBy("text_hash")
        .agg(F.min("text").alias("text"))
    )


def not_scored(frame: DataFrame, scored: DataFrame, *, rows: int | None = None) -> DataFrame:
    """Rows whose ``text_hash`` is not in ``scored``: keys alone are compared.

    Where ``rows``, the number of rows of ``frame``, is known and not large, the stored keys are
    read once where they lie and only those that meet one of ``frame`` go on: nothing of the
    store is shuffled, however large it is.
    """
    keys = scored.select("text_hash")
    if rows is not None and rows <= MOST_BROADCAST_KEYS:
        keys = keys.join(F.broadcast(frame.select("text_hash")), "text_hash", "left_semi")
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
