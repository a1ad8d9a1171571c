"""Get a Spark session: the platform's session, or a local one.

A session that the platform provides (Databricks, spark-submit, a remote Spark Connect server) is
used unchanged: no master, extension or Python is set, and it is not stopped. If there is none, a
local session is created with settings for one machine and small data. These settings never apply
to a cluster.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib import metadata
from pathlib import Path

import pyspark
from pyspark.sql import SparkSession

from behavior_spark.config import LocalSpark
from behavior_spark.io import python_daemon
from behavior_spark.io.class_archive import archive_options
from behavior_spark.io.conf import conf_meanwhile
from behavior_spark.io.failures import quiet_query_logs
from behavior_spark.io.java import check_java
from behavior_spark.io.java_names import keep_java_names
from behavior_spark.io.observations import answered_observations
from behavior_spark.io.small_data import small_data_setting
from behavior_spark.names import version_numbers

_LOCAL_CONF = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
    # For small data on one machine: Delta's defaults start 50 to 10,000 tasks per step.
    "spark.databricks.delta.snapshotPartitions": "2",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "2",
    "spark.databricks.delta.vacuum.parallelDelete.enabled": "false",
    "spark.sql.debug.maxToStringFields": "200",
    "spark.python.worker.reuse": "true",
    # If on, Spark records the Python line of each API call, at the cost of ten JVM calls.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
}

_JAVA_OPTIONS = "spark.driver.extraJavaOptions"
# For a small heap and a short process: only the fast compiler, and fewer garbage-collector marking
# cycles, which class loading and heap growth would start (a tenth of the CPU time of small steps).
_JVM = (
    "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -XX:MetaspaceSize=256m "
    "-XX:-G1UseAdaptiveIHOP -XX:InitiatingHeapOccupancyPercent=70"
)


@contextmanager
def spark_session(
    local: LocalSpark,
    *,
    name: str,
    given: SparkSession | None = None,
    models: Sequence[str] = (),
) -> Iterator[SparkSession]:
    """Yield a session whose time zone is UTC inside the block.

    A session created here is stopped at the end. For any other, the time zone is restored.

    Args:
        local: How to create a local session.
        name: Its name.
        given: A session to use instead.
        models: See ``get_session``.
    """
    spark, ours = (
        (given, False) if given is not None else get_session(local, name=name, models=models)
    )
    with ExitStack() as at_end:
        if ours:
            at_end.callback(spark.stop)
            if models:
                at_end.callback(python_daemon.start_early(spark).join, timeout=60)
        keep_java_names(spark)
        with utc(spark), answered_observations(spark), quiet_query_logs():
            yield spark


def get_session(
    local: LocalSpark, *, name: str, models: Sequence[str] = ()
) -> tuple[SparkSession, bool]:
    """The session, and whether it was created here (so that the caller must stop it).

    Args:
        local: How to create a local session, where there is none and no platform's.
        name: Its name.
        models: Text models that its Python workers will load: they then start with what these
            need imported.

    Raises:
        SetupError: A local session is needed and there is no supported JDK.
    """
    active = SparkSession.getActiveSession()
    if active is not None:
        return active, False
    remote = os.environ.get("SPARK_REMOTE", "")
    platform = "PYSPARK_GATEWAY_PORT" in os.environ or "DATABRICKS_RUNTIME_VERSION" in os.environ
    if platform or (remote and not remote.startswith("local")):
        return SparkSession.builder.appName(name).getOrCreate(), False
    # Read by the daemon, a child of this process.
    os.environ[python_daemon.MODELS] = "\n".join(models)
    return _local_session(local, name=name, connect=bool(remote)), True


def utc(spark: SparkSession) -> AbstractContextManager[None]:
    """Set the session's time zone to UTC inside the block, and restore it after."""
    return conf_meanwhile(spark, {"spark.sql.session.timeZone": "UTC"})


def _local_session(local: LocalSpark, *, name: str, connect: bool) -> SparkSession:
    check_java()
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    # Read when the JVM starts, before it writes any log line.
    os.environ.setdefault("SPARK_SUBMIT_OPTS", _quiet_logs())
    builder = SparkSession.builder.appName(name)
    if connect:
        builder = builder.remote(os.environ["SPARK_REMOTE"])
    else:
        builder = builder.master(local.master)
    for key, value in local_settings(local).items():
        builder = builder.config(key, value)
    with warnings.catch_warnings():
        # Connect starts its server with these settings, then sets each once more, and warns of
        # those that only a start can set.
        warnings.filterwarnings("ignore", "Failed to set spark", UserWarning)
        return builder.getOrCreate()


def _quiet_logs() -> str:
    return f"-Dlog4j2.configurationFile={Path(__file__).with_name('log4j2.properties').as_uri()}"


def local_settings(local: LocalSpark) -> dict[str, str]:
    """Spark settings of a local session: ours, and those of the config over them.

    Java options of the config come after ours: of two that disagree the JVM takes the last.
    """
    theirs = local.conf.get(_JAVA_OPTIONS, "")
    # A JVM that writes a class archive cannot use one.
    archive = "" if "-XX:ArchiveClassesAtExit" in theirs else archive_options()
    java = [_JVM, _quiet_logs(), archive, theirs]
    return {
        **_LOCAL_CONF,
        **python_daemon.daemon_settings(),
        "spark.driver.memory": local.driver_memory,
        "spark.sql.shuffle.partitions": str(local.shuffle_partitions),
        **small_data_setting(local.conf),
        **local.conf,
        _JAVA_OPTIONS: " ".join(filter(None, java)),
        **_with_delta_jars(local.conf),
    }


def _with_delta_jars(conf: Mapping[str, str]) -> dict[str, str]:
    """Delta's jars beside those that the configuration names itself."""
    ours = delta_jars()
    if "spark.jars.packages" in conf:
        ours.pop("spark.jars.excludes", None)  # they may be what the other packages need
    both = {key: [value, *filter(None, [conf.get(key)])] for key, value in ours.items()}
    return {key: ",".join(values) for key, values in both.items()}


def delta_jars() -> dict[str, str]:
    """Spark settings for the Delta jars: their paths in the Ivy cache, or packages to download.

    None if they lie among Spark's own, as in the container. Only delta-spark and delta-storage are
    needed; their other dependencies are excluded.
    """
    spark_version = metadata.version("pyspark")
    delta_version = metadata.version("delta-spark")
    minor = ".".join(spark_version.split(".")[:2])
    # Since Delta 4.1 the artifact's name contains the Spark version.
    suffix = f"_{minor}" if version_numbers(delta_version) >= (4, 1) else ""
    artifact = f"delta-spark{suffix}_2.13"
    wanted = [f"io.delta_{name}-{delta_version}.jar" for name in (artifact, "delta-storage")]
    if all((Path(pyspark.__file__).parent / "jars" / jar).is_file() for jar in wanted):
        return {}
    for cache in sorted(Path.home().glob(".ivy2*/jars"), reverse=True):
        if all((cache / jar).is_file() for jar in wanted):
            return {"spark.jars": ",".join(str(cache / jar) for jar in wanted)}
    return {
        "spark.jars.packages": f"io.delta:{artifact}:{delta_version}",
        "spark.jars.excludes": "org.*:*,com.*:*,net.*:*,io.github.*:*,io.unitycatalog:*,"
        "io.delta:delta-kernel*",
    }
