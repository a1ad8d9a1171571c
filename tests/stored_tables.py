"""A table as it was, and whether it still is."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def snapshot(frame: DataFrame, path: Path) -> DataFrame:
    """The rows as they are now, whatever becomes of their table."""
    frame.write.mode("overwrite").parquet(str(path))
    return frame.sparkSession.read.parquet(str(path))


def same_rows(left: DataFrame, right: DataFrame) -> bool:
    """Equal as multisets, maps compared as sorted JSON."""
    maps = [f.name for f in left.schema if f.dataType.typeName() == "map"]
    plain = {name: F.to_json(F.array_sort(F.map_entries(name))) for name in maps}
    if plain:
        left, right = left.withColumns(plain), right.withColumns(plain)
    return left.exceptAll(right).isEmpty() and right.exceptAll(left).isEmpty()
