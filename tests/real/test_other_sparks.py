"""The same night under spark-submit, Spark Connect and an older Spark gives the same tables."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from night_process import ROOT, Tables, assert_same_tables, environment, run, tables
from pyspark import find_spark_home

from behavior_spark.io.session import delta_jars
from behavior_spark.pipelines.demonstration import DemoResult

pytestmark = pytest.mark.real

CLI = [sys.executable, "-m", "behavior_spark"]


@pytest.fixture
def demo_root(demo_night: DemoResult) -> str:
    return str(Path(demo_night.layout.root).parent)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """Address of a standalone cluster on loopback: a master, and two workers with a core each."""
    spark_class = str(Path(find_spark_home._find_spark_home(), "bin", "spark-class"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    address = f"spark://127.0.0.1:{port}"
    deploy = "org.apache.spark.deploy"
    here = ["--host", "127.0.0.1", "--webui-port", "0"]
    commands = [[f"{deploy}.master.Master", *here, "--port", port]]
    commands += [
        [f"{deploy}.worker.Worker", *here, "--cores", "1", "--memory", "2g",
         "--work-dir", str(tmp_path / f"worker{number}"), address]
        for number in range(2)
    ]  # fmt: skip
    logs = tmp_path / "cluster.log"
    with logs.open("wb") as log:
        processes = [
            subprocess.Popen([spark_class, *command], env=environment(), stdout=log, stderr=log)
            for command in commands
        ]
        try:
            deadline = time.monotonic() + 120
            while logs.read_text().count("Registering worker") < len(processes) - 1:
                assert time.monotonic() < deadline, logs.read_text()[-3000:]
                assert all(process.poll() is None for process in processes), logs.read_text()
                time.sleep(0.2)
            yield address
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(timeout=60)


def test_spark_submit_on_a_standalone_cluster_gives_the_same_tables(
    cluster: str,
    first_night: Tables,
    night_arguments: list[str],
    demo_root: str,
    tmp_path: Path,
) -> None:
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path)],
        environment())  # fmt: skip
    wheel = next(tmp_path.glob("*.whl"))
    submit = str(Path(sys.executable).parent / "spark-submit")
    run(
        [submit, "--master", cluster, "--properties-file", "conf/cluster.properties",
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
