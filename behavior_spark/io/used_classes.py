"""A small session whose JVM saves its classes. ``class_archive`` runs it in a separate process."""

from __future__ import annotations

import sys

from pyspark.sql import functions as F

from behavior_spark.config import LocalSpark
from behavior_spark.io.session import get_session
from behavior_spark.io.small_data import interpreted


def use_what_nights_use(folder: str, archive: str) -> None:
    """Run the kinds of queries that a night runs; the JVM saves its classes when it exits.

    Args:
        folder: An empty folder, for tables.
        archive: File to save the classes to.
    """
    recording = {"spark.driver.extraJavaOptions": f'"-XX:ArchiveClassesAtExit={archive}"'}
    local = LocalSpark(master="local[1]", shuffle_partitions=1, conf=recording)
    spark, _ = get_session(local, name="class archive")
    table = f"delta.`{folder}/table`"
    spark.sql(f"CREATE TABLE {table} (id BIGINT, day DATE, name STRING) USING DELTA")
    frame = spark.range(100).select(
        "id", F.current_date().alias("day"), F.sha2(F.col("id").cast("string"), 256).alias("name")
    )
    for where in ("id < 100", "id >= 0"):
        writer = frame.write.format("delta").mode("overwrite").option("replaceWhere", where)
        writer.save(f"{folder}/table")
    frame.write.parquet(f"{folder}/parquet")
    spark.sql(f"DESCRIBE HISTORY {table}").collect()
    stored = spark.read.format("delta").load(f"{folder}/table")
    added = stored.groupBy("id", "day").agg(F.max("name").alias("name"), F.count_if("id > 1"))
    read = spark.read.parquet(f"{folder}/parquet").join(added.distinct(), "id", "left")
    for small in (False, True):
        with interpreted(spark, where=small):
            place = "row_number() OVER (PARTITION BY id ORDER BY name) AS place"
            read.selectExpr("*", place).collect()
    spark.stop()


if __name__ == "__main__":
    use_what_nights_use(*sys.argv[1:])
