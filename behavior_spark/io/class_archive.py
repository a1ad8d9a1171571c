"""A class archive: what the JVM of a local session loads at its start, made once per environment.

Starting Spark loads and verifies some 20,000 classes, a good part of a small night. A JVM can
write them down as they lie in memory and map that file the next time (dynamic class data sharing,
https://openjdk.org/jeps/350). Only sessions made here read it, and a JVM that it does not fit,
because the JDK or the jars have changed, goes on without it.

    python -m behavior_spark.io.class_archive
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path


def archive_path() -> Path:
    """Where this environment's archive is, if it was made."""
    return Path(sys.prefix, "share", "behavior_spark", f"spark-{metadata.version('pyspark')}.jsa")


def archive_options() -> str:
    """JVM options that use the archive; none where there is none."""
    path = archive_path()
    if not path.is_file():
        return ""
    # What does not fit is no news to the reader.
    return f'"-XX:SharedArchiveFile={path}" -Xlog:cds=off -Xlog:cds+dynamic=off'


def make_archive() -> Path | None:
    """Run a small session whose JVM writes down its classes as it ends.

    Returns:
        The file, in the place of an earlier one; None where the JVM wrote none, which costs
        sessions time and nothing else.
    """
    path = archive_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder, path.name)
        command = [sys.executable, "-m", "behavior_spark.io.class_archive", folder, str(made)]
        # Waits for the JVM too, which outlives its Python and holds these pipes.
        subprocess.run(command, capture_output=True, check=False)
        if not made.is_file():
            return None
        made.replace(path)
    return path


def _use_what_nights_use(folder: str, archive: str) -> None:
    from pyspark.sql import functions as F

    from behavior_spark.config import LocalSpark
    from behavior_spark.io.session import get_session

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
    read.selectExpr("*", "row_number() OVER (PARTITION BY id ORDER BY name) AS place").collect()
    spark.stop()


if __name__ == "__main__":
    if sys.argv[1:]:
        _use_what_nights_use(*sys.argv[1:])
    elif make_archive() is None:
        sys.stderr.write("the JVM wrote no class archive: local sessions start without one\n")
