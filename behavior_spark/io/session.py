"""A Spark session: the platform's own, or one for this machine.

Where a session is given (Databricks, spark-submit, a remote Spark Connect server)
it is used as it is: no master, extension or Python is set, and it is not stopped.
Only where there is none is a local one made, with settings that suit one machine
and small data. They never reach a cluster.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata
from pathlib import Path

from pyspark.sql import SparkSession

from behavior_spark.config import LocalSpark
from behavior_spark.io.class_archive import archive_options
from behavior_spark.io.failures import quiet_query_logs
from behavior_spark.io.java import check_java

_LOCAL_CONF = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    # Small data on one machine: Delta's defaults start 50 to 10,000 tasks a step.
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
    "spark.databricks.delta.vacuum.parallelDelete.enabled": "false",
    "spark.sql.debug.maxToStringFields": "200",
    "spark.python.worker.reuse": "true",
    # For each call of the Python API Spark would note the line it came from: ten calls of the JVM.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
}

# A small heap in a short life: cheap compilation, and no marking of the whole heap each time that
# classes or a third of it have grown (a tenth of the processor time of small steps).
_JVM = (
    "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -XX:MetaspaceSize=256m "
    "-XX:-G1UseAdaptiveIHOP -XX:InitiatingHeapOccupancyPercent=70"
)


@contextmanager
def spark_session(
    local: LocalSpark, *, name: str, given: SparkSession | None = None
) -> Iterator[SparkSession]:
    """The session to work in, with UTC as its time zone while it is lent.

    A session made here is stopped at the end; a given one keeps its time zone.
    """
    spark, ours = (given, False) if given is not None else get_session(local, name=name)
    try:
        with utc(spark), quiet_query_logs():
            yield spark
    finally:
        if ours:
            spark.stop()


def get_session(local: LocalSpark, *, name: str) -> tuple[SparkSession, bool]:
    """The session, and whether it was made here (and is ours to stop).

    Raises:
        SetupError: No supported JDK on a machine that needs one.
    """
    active = SparkSession.getActiveSession()
    if active is not None:
        return active, False
    remote = os.environ.get("SPARK_REMOTE", "")
    platform = "PYSPARK_GATEWAY_PORT" in os.environ or "DATABRICKS_RUNTIME_VERSION" in os.environ
    if platform or (remote and not remote.startswith("local")):
        return SparkSession.builder.appName(name).getOrCreate(), False
    return _local_session(local, name=name, connect=bool(remote)), True


@contextmanager
def utc(spark: SparkSession) -> Iterator[None]:
    """Set the session's time zone to UTC, and back again."""
    zone = spark.conf.get("spark.sql.session.timeZone")
    if zone != "UTC":
        spark.conf.set("spark.sql.session.timeZone", "UTC")
    try:
        yield
    finally:
        if zone and zone != "UTC":
            with suppress(Exception):  # a remote session may have gone
                spark.conf.set("spark.sql.session.timeZone", zone)


def _local_session(local: LocalSpark, *, name: str, connect: bool) -> SparkSession:
    check_java()
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    log4j = Path(__file__).with_name("log4j2.properties")
    quiet = f"-Dlog4j2.configurationFile={log4j.as_uri()}"
    java = f"{_JVM} {quiet} {archive_options()}"
    # Read when the JVM starts, so before any log line is written.
    os.environ.setdefault("SPARK_SUBMIT_OPTS", quiet)
    builder = SparkSession.builder.appName(name)
    if connect:
        builder = builder.remote(os.environ["SPARK_REMOTE"])
    else:
        builder = builder.master(local.master)
    settings = {
        **_LOCAL_CONF,
        **delta_jars(),
        "spark.driver.memory": local.driver_memory,
        "spark.driver.extraJavaOptions": java,
        "spark.sql.shuffle.partitions": str(local.shuffle_partitions),
        **local.conf,
    }
    for key, value in settings.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def delta_jars() -> dict[str, str]:
    """Spark settings that bring the Delta jars: those fetched before, else the package's name.

    Only delta-spark and delta-storage are needed; what else they name is left out.
    """
    spark_version = metadata.version("pyspark")
    delta_version = metadata.version("delta-spark")
    minor = ".".join(spark_version.split(".")[:2])
    # Since 4.1 the artifact says which Spark it is for.
    suffix = f"_{minor}" if _version(delta_version) >= (4, 1) else ""
    artifact = f"delta-spark{suffix}_2.13"
    wanted = [f"io.delta_{name}-{delta_version}.jar" for name in (artifact, "delta-storage")]
    for cache in sorted(Path.home().glob(".ivy2*/jars"), reverse=True):
        if all((cache / jar).is_file() for jar in wanted):
            return {"spark.jars": ",".join(str(cache / jar) for jar in wanted)}
    return {
        "spark.jars.packages": f"io.delta:{artifact}:{delta_version}",
        "spark.jars.excludes": "org.*:*,com.*:*,net.*:*,io.github.*:*,io.unitycatalog:*,"
        "io.delta:delta-kernel*",
    }


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])
