"""Rows of the score store: which are duplicates or unused, and which to keep.

A row is known by narrow columns (``Store.identity``), so that no vector is read to decide.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.schemas import TEXT_EMBEDDINGS, TEXT_SCORES, Contract


@dataclass(frozen=True)
class Store:
    """A table of the score store.

    Attributes:
        contract: Its contract.
        word: Prefix of its figures: ``embeddings`` or ``scores``.
        digest: Its column with the model's digest.
    """

    contract: Contract
    word: str
    digest: str

    @property
    def identity(self) -> list[str]:
        """Columns that identify a row: the key, and what differs between rows of one key.

        All are narrow; finding rows by them reads no vector.
        """
        extra = [n for n in ("error", "scored_at") if n in self.contract.names]
        return [*self.contract.key, *extra]


STORES = (
    Store(TEXT_EMBEDDINGS, "embeddings", "backbone_digest"),
    Store(TEXT_SCORES, "scores", "head_digest"),
)


def judge_rows(
    table: DataFrame,
    store: Store,
    *,
    leaving: Sequence[str],
    in_use: DataFrame | None,
    cutoff: dt.date | None,
) -> DataFrame:
    """What becomes of each identity of the models that stay.

    Args:
        table: The table.
        store: Its description.
        leaving: Digests of the models whose rows all go; these are left out.
        in_use: ``text_hash, used`` of the texts that are known; None: all are used.
        cutoff: Rows scored on this day or later are never unused; None: no row is.

    Returns:
        ``identity`` and ``copies``, the number of equal rows; ``place``, the rank within the key,
        of which 1 is kept (an embedding before an error, then the newest); ``used``, null where
        the text is not known; ``unused``, whether nobody uses its text and it is older than
        ``cutoff``.
    """
    rows = table.select(*store.identity)
    if leaving:
        rows = rows.where(~F.col(store.digest).isin(*leaving))
    order = [F.col("scored_at").desc_nulls_last()]
    if "error" in store.identity:
        order = [F.col("error").isNotNull(), *order, F.col("error")]
    best = Window.partitionBy(*store.contract.key).orderBy(*order)
    judged = (
        rows.groupBy(*store.identity)
        .agg(F.count(F.lit(1)).alias("copies"))
        .withColumn("place", F.row_number().over(best))
    )
    if in_use is None or cutoff is None:
        return judged.withColumns({"used": F.lit(True), "unused": F.lit(False)})
    old = F.coalesce(F.col("scored_at") < F.lit(cutoff).cast("timestamp"), F.lit(True))
    unused = old & ~F.coalesce(F.col("used"), F.lit(False))
    return judged.join(in_use, "text_hash", "left").withColumn("unused", unused)


def removal_counts() -> dict[str, Column]:
    """Aggregates of judged rows: rows by the reason of their removal, each counted once.

    ``known``: unused ones whose text is still known. ``tied``: identities to keep of which there
    are several equal rows.
    """
    copies, best = F.col("copies"), F.col("place") == 1
    return {
        "duplicate": F.sum(F.when(best, copies - 1).otherwise(copies)),
        "unused": F.count_if(best & F.col("unused")),
        "known": F.count_if(best & F.col("unused") & F.col("used").isNotNull()),
        "tied": F.count_if(_is_kept() & (copies > 1)),
    }


def rows_to_remove(judged: DataFrame) -> DataFrame:
    """Identities to remove. Includes ties, of which one row is written again afterwards."""
    return judged.where((F.col("place") > 1) | F.col("unused") | (F.col("copies") > 1))


def one_of_each_tie(table: DataFrame, store: Store, judged: DataFrame) -> DataFrame:
    """One whole row of each identity that is kept and has several equal rows.

    Two runs do not score a text in the same microsecond, but a table appended to itself has
    such rows. A delete by identity removes all of them, so one is written again.
    """
    tied = judged.where(_is_kept() & (F.col("copies") > 1)).alias("d")
    same = [F.col(f"t.{n}").eqNullSafe(F.col(f"d.{n}")) for n in store.identity]
    copies = table.alias("t").join(tied, reduce(Column.__and__, same), "left_semi")
    return copies.dropDuplicates(store.identity)


def _is_kept() -> Column:
    return (F.col("place") == 1) & ~F.col("unused")
