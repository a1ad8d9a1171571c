"""The same night under spark-submit, Spark Connect and an older Spark gives the same tables."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from night_process import ROOT, Tables, assert_same_tables, environment, run, tables

from behavior_spark.io.session import delta_jars
from behavior_spark.pipelines.demonstration import DemoResult

pytestmark = pytest.mark.real

CLI = [sys.executable, "-m", "behavior_spark"]


@pytest.fixture
def demo_root(demo_night: DemoResult) -> str:
    return str(Path(demo_night.layout.root).parent)


def test_spark_submit_on_a_local_cluster_gives_the_same_tables(
    first_night: Tables, night_arguments: list[str], demo_root: str, tmp_path: Path
) -> None:
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)],
        environment())  # fmt: skip
    wheel = next(tmp_path.glob("*.whl"))
    submit = str(Path(sys.executable).parent / "spark-submit")
    confs = {
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        # Delta's defaults start 50 tasks for each look at a table's log.
        "spark.databricks.delta.snapshotPartitions": "2",
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
    }
    options = [part for key, value in confs.items() for part in ("--conf", f"{key}={value}")]
    run(
        [submit, "--master", "local-cluster[2,1,2048]", "--driver-memory", "2g", *options,
         "--jars", delta_jars()["spark.jars"], "--py-files", str(wheel), "jobs/nightly.py",
         *night_arguments],
        environment(DEMO_ROOT=demo_root),
    )  # fmt: skip
    assert_same_tables(first_night, tables(tmp_path / "warehouse"))


def test_spark_connect_gives_the_same_tables(
    first_night: Tables, interpreted_night: list[str], demo_root: str, tmp_path: Path
) -> None:
    run([*CLI, "nightly", *interpreted_night],
        environment(DEMO_ROOT=demo_root, SPARK_REMOTE="local[2]"))  # fmt: skip
    assert_same_tables(first_night, tables(tmp_path / "warehouse"))


def test_spark_4_0_with_its_delta_gives_the_same_tables(
    first_night: Tables, interpreted_night: list[str], demo_root: str, tmp_path: Path
) -> None:
    older = os.environ.get("PYSPARK_40")
    if not older:
        if os.environ.get("CI"):
            pytest.fail("CI must bring Spark 4.0: make real sets PYSPARK_40")
        pytest.skip("PYSPARK_40 names no folder with pyspark 4.0 (make real sets it)")
    env = environment(DEMO_ROOT=demo_root, PYTHONPATH=os.pathsep.join([older, str(ROOT)]))
    seen = run([sys.executable, "-c", "import pyspark; print(pyspark.__version__)"], env)
    assert seen.strip().endswith("4.0.1")
    run([*CLI, "nightly", *interpreted_night], env)
    assert_same_tables(first_night, tables(tmp_path / "warehouse"))
