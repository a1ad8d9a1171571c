"""A table as it was, and whether it still is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pyspark.sql import DataFrame


def snapshot(frame: DataFrame, path: Path) -> DataFrame:
    """The rows as they are now, whatever becomes of their table."""
    frame.write.mode("overwrite").parquet(str(path))
    return frame.sparkSession.read.parquet(str(path))


def same_rows(left: DataFrame, right: DataFrame) -> bool:
    """Equal as multisets, column by column as they stand; for tables that a test can hold."""
    return _rows(left) == _rows(right)


def _rows(frame: DataFrame) -> Counter[str]:
    """How often each row is there; entries of maps in order of their keys."""
    maps = {place for place, f in enumerate(frame.schema) if f.dataType.typeName() == "map"}
    columns = [
        [value and sorted(value) for value in values] if place in maps else values
        for place, values in enumerate(column.to_pylist() for column in frame.toArrow().columns)
    ]
    return Counter(map(repr, zip(*columns, strict=True)))
