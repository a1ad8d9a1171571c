"""Remove rows of a Delta table by their keys, and add others, as one MERGE."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

_ADDED = "_added"


@dataclass(frozen=True)
class Removal:
    """What a MERGE reads, and what it says.

    Attributes:
        source: Keys of the rows to remove, and rows to add.
        condition: When a row of the table (``t``) is one to remove (``s``).
        insert: The clause that adds rows; empty if there are none.
    """

    source: DataFrame
    condition: str
    insert: str

    def sql(self, table: str, view: str) -> str:
        """The statement; ``view`` is the name of one over ``source``."""
        return (
            f"MERGE INTO {table} AS t USING {view} AS s "
            f"ON {self.condition} WHEN MATCHED THEN DELETE{self.insert}"
        )


def removal_of(rows: DataFrame, *, on: Sequence[str], instead: DataFrame | None = None) -> Removal:
    """Remove the rows that equal one of ``rows``, and add those of ``instead``.

    Args:
        rows: Frame with the columns ``on``.
        on: Columns to compare; null equals null.
        instead: Rows with the table's columns.
    """
    keys = rows.select(*on).distinct()
    source = keys.select(*[F.col(name).alias(_old(name)) for name in on])
    match = [f"t.`{name}` <=> s.`{_old(name)}`" for name in on]
    insert = ""
    if instead is not None:
        source = source.withColumn(_ADDED, F.lit(False)).unionByName(
            instead.withColumn(_ADDED, F.lit(True)), allowMissingColumns=True
        )
        match.append(f"NOT s.{_ADDED}")
        names = ", ".join(f"`{name}`" for name in instead.columns)
        values = ", ".join(f"s.`{name}`" for name in instead.columns)
        insert = f" WHEN NOT MATCHED AND s.{_ADDED} THEN INSERT ({names}) VALUES ({values})"
    return Removal(source, " AND ".join(match), insert)


def _old(name: str) -> str:
    return f"_old_{name}"
