"""Rows per second of vectors from a Python worker to Spark: the path that all embeddings take.

    python -m benchmarks.return_path [--rows 400000] [--dimension 384]

Timed is a sum over rows whose vectors are made in Python and returned as an Arrow list array, and
the same with a pandas UDF. One warm-up run each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, FloatType, StructField, StructType

from behavior_spark.config import LocalSpark
from behavior_spark.io.session import spark_session
from behavior_spark.scoring.arrow import list_array

# As in text_embeddings: no number of a vector is null, so Spark need not check each.
_VECTOR = ArrayType(FloatType(), False)


def by_arrow(numbers: DataFrame, dimension: int) -> DataFrame:
    """Vectors as this project returns them."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            vectors = np.full((len(batch), dimension), 0.5, dtype=np.float32)
            missing = np.zeros(len(batch), dtype=bool)
            yield pa.RecordBatch.from_arrays([list_array(vectors, missing=missing)], ["v"])

    return numbers.mapInArrow(run, StructType([StructField("v", _VECTOR)]))


def by_pandas(numbers: DataFrame, dimension: int) -> DataFrame:
    """Vectors as a pandas UDF returns them."""

    @F.pandas_udf(ArrayType(FloatType()))  # type: ignore[attr-defined, untyped-decorator]
    def vectors(rows: pd.Series) -> pd.Series:
        return pd.Series(list(np.full((len(rows), dimension), 0.5, dtype=np.float32)))

    return numbers.select(vectors("id").alias("v"))


def rate(rows: int, frame: DataFrame) -> float:
    """Rows per second, the best of three runs after one warm-up run."""
    best = 0.0
    for turn in range(4):
        start = time.perf_counter()
        # Reads the first number of each vector, so that Spark must have received it.
        total = frame.agg(F.sum(F.col("v")[0])).first()
        seconds = time.perf_counter() - start
        if total is None or total[0] != rows * 0.5:
            raise SystemExit("vectors were lost on the way")
        best = max(best, rows / seconds) if turn else 0.0
    return best


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", type=int, default=400_000)
    parser.add_argument("--dimension", type=int, default=384)
    options = parser.parse_args()
    with spark_session(LocalSpark(), name="return path") as spark:
        numbers = spark.range(options.rows)
        pandas = rate(options.rows, by_pandas(numbers, options.dimension))
        arrow = rate(options.rows, by_arrow(numbers, options.dimension))
        print(f"Arrow list array {arrow:,.0f} rows/s, pandas UDF {pandas:,.0f} rows/s, "
              f"ratio {arrow / pandas:.1f}")  # fmt: skip
        spark.stop()


if __name__ == "__main__":
    main()
