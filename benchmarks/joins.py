"""Time of `join_as_of` and of the usual range join, and whether their rows are the same.

    python -m benchmarks.joins [--users 200000] [--days 12] [--versions 5]

The frame has a row for every user and as_of. The table has versions of some attributes, with the
time from which each is valid and the time when it became known. The range join finds all versions
for a row and keeps the latest by aggregation.
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
import time
from pathlib import Path

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.config import LocalSpark
from behavior_spark.features.slowly_changing import join_as_of
from behavior_spark.io.session import get_session

START = dt.date(2024, 1, 1)


def range_join(frame: DataFrame, table: DataFrame) -> DataFrame:
    """The usual method: an inequality join, then the latest of all matching versions."""
    moment = F.col("as_of").cast("timestamp")
    right = table.withColumnRenamed("user_id", "_user")
    match = (F.col("user_id") == F.col("_user")) & (F.col("valid_from") < moment)
    latest = F.struct("valid_from", "known_at", F.xxhash64("plan", "seats"))
    best = F.max_by(F.struct("plan", "seats"), latest)
    joined = frame.join(right, match & (F.col("known_at") < moment), "left")
    latest_rows = joined.groupBy("user_id", "as_of", "clicks").agg(best.alias("version"))
    return latest_rows.select("user_id", "as_of", "clicks", "version.*")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--days", type=int, default=12)
    parser.add_argument("--versions", type=int, default=5)
    options = parser.parse_args()
    spark, _ = get_session(LocalSpark(driver_memory="4g"), name="joins")

    def draw(salt: int, below: int) -> Column:
        return F.pmod(F.xxhash64("id", F.lit(salt)), F.lit(below))

    with tempfile.TemporaryDirectory() as folder:
        user = F.concat(F.lit("u"), F.col("id") % options.users).alias("user_id")
        day = F.date_add(F.lit(START), ((F.col("id") / options.users).cast("int") + 1) * 7)
        rows = spark.range(options.users * options.days)
        rows.select(user, day.alias("as_of"), draw(1, 50).alias("clicks")).write.parquet(
            str(Path(folder, "frame"))
        )
        start = F.unix_seconds(F.lit(START).cast("timestamp"))
        valid = F.timestamp_seconds(start + draw(2, options.days * 7 * 86_400))
        known = F.timestamp_seconds(F.unix_seconds(valid) + draw(3, 900_000))
        plan = F.element_at(
            F.array(F.lit("free"), F.lit("pro"), F.lit("team")), draw(4, 3).cast("int") + 1
        )
        versions = spark.range(options.users * options.versions).select(
            user, valid.alias("valid_from"), known.alias("known_at"), plan.alias("plan"),
            draw(5, 100).alias("seats"),
        )  # fmt: skip
        versions.write.parquet(str(Path(folder, "table")))
        frame = spark.read.parquet(str(Path(folder, "frame")))
        table = spark.read.parquet(str(Path(folder, "table")))
        joins = {
            "range join and aggregation": range_join(frame, table),
            "join_as_of": join_as_of(
                frame, table, on=["user_id"], columns=["plan", "seats"], known_at="known_at"
            ),
        }
        took = dict.fromkeys(joins, 1000000000.0)
        for _ in range(3):
            for name, joined in joins.items():
                start_time = time.monotonic()
                joined.write.format("noop").mode("overwrite").save()
                took[name] = min(took[name], time.monotonic() - start_time)
        left, right = joins.values()
        same = left.exceptAll(right).isEmpty() and right.exceptAll(left).isEmpty()
        print(f"{frame.count():,} rows, {table.count():,} versions; the same rows: {same}")
        print("| what | seconds, best of 3 |\n| --- | ---: |")
        for name, seconds in took.items():
            print(f"| {name} | {seconds:.1f} |")
    spark.stop()


if __name__ == "__main__":
    main()
