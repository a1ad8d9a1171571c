"""Time to find the new texts of a night as the store grows, by two methods of anti-join.

    python -m benchmarks.lookup [--stored 1000000,10000000] [--new 100000]

The store has the real columns, but vectors of 4 numbers, because the search reads only the keys.
The methods are the anti-join as Spark plans it, and ours: the keys of the night are broadcast to
filter the stored keys, and the anti-join uses only the keys that remain.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.config import LocalSpark, WarehouseSettings
from behavior_spark.io.session import spark_session
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.schemas import TEXT_EMBEDDINGS
from behavior_spark.scoring.texts import not_scored


def fill(spark: SparkSession, warehouse: Warehouse, first: int, last: int) -> None:
    """Store the keys of the texts ``first`` to ``last``, a million in each commit."""
    for start in range(first, last, 1_000_000):
        numbers = spark.range(start, min(last, start + 1_000_000), numPartitions=2)
        warehouse.append(
            numbers.select(
                F.sha2(F.col("id").cast("string"), 256).alias("text_hash"),
                F.lit("0123456789abcdef").alias("backbone_digest"),
                F.array(*[F.rand().cast("float")] * 4).alias("embedding"),
                F.lit(12).alias("token_count"),
                F.current_timestamp().alias("scored_at"),
            ),
            TEXT_EMBEDDINGS,
        )


def timed(frame: DataFrame) -> tuple[float, int]:
    """Seconds to count a frame (the faster of two runs), and the count."""
    best, rows = float("inf"), 0
    for _ in range(2):
        start = time.perf_counter()
        rows = frame.count()
        best = min(best, time.perf_counter() - start)
    return best, rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--stored", default="1000000,3000000,10000000")
    parser.add_argument("--new", type=int, default=100_000)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(dir="build") as folder,
        spark_session(LocalSpark(), name="lookup") as spark,
    ):
        warehouse = Warehouse(spark, WarehouseSettings(path=str(Path(folder).absolute())))
        print("| stored | of the night | new | Spark's own anti-join | ours | ratio |")
        print("| --- | --- | --- | --- | --- | --- |")
        before = 0
        for stored in map(int, options.stored.split(",")):
            fill(spark, warehouse, before, stored)
            before = stored
            # Half of the night's texts are in the store already.
            start = stored - options.new // 2
            night = spark.range(start, start + options.new).select(
                F.sha2(F.col("id").cast("string"), 256).alias("text_hash"),
                F.concat(F.lit("text "), "id").alias("text"),
            )
            table = warehouse.read(TEXT_EMBEDDINGS)
            plain, rows = timed(not_scored(night, table))
            ours, same = timed(not_scored(night, table, among=night))
            if rows != same:
                raise SystemExit(f"{rows} rows by one way, {same} by the other")
            print(
                f"| {stored:,} | {options.new:,} | {rows:,} | {plain:.2f} s | {ours:.2f} s | "
                f"{plain / ours:.1f} |",
                flush=True,
            )
        spark.stop()


if __name__ == "__main__":
    main()
