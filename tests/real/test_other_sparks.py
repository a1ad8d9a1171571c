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
from night_process import ROOT, assert_same_tables, environment, run, tables
from pyspark import find_spark_home
from small_night import Shop

from behavior_spark.io.session import delta_jars

pytestmark = pytest.mark.real

CLI = [sys.executable, "-m", "behavior_spark"]


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
    cluster: str, shop: Shop, night_places: list[str], wheel: Path, tmp_path: Path
) -> None:
    submit = str(Path(sys.executable).parent / "spark-submit")
    run(
        [submit, "--master", cluster, "--properties-file", "conf/cluster.properties",
         "--jars", delta_jars()["spark.jars"], "--py-files", str(wheel), "jobs/nightly.py",
         "--config", str(shop.plain), *night_places],
        environment(),
    )  # fmt: skip
    assert_same_tables(shop.whole, tables(tmp_path / "warehouse"))


def test_spark_connect_gives_the_same_tables(
    shop: Shop, night_places: list[str], fast_plans: list[str], tmp_path: Path
) -> None:
    night = ["nightly", "--config", str(shop.config), *night_places, *fast_plans]
    run([*CLI, *night], environment(SPARK_REMOTE="local[2]"))
    assert_same_tables(shop.whole, tables(tmp_path / "warehouse"))


def test_spark_4_0_with_its_delta_gives_the_same_tables(
    shop: Shop, night_places: list[str], fast_plans: list[str], tmp_path: Path
) -> None:
    older = os.environ.get("PYSPARK_40")
    if not older:
        if os.environ.get("CI"):
            pytest.fail("CI must bring Spark 4.0: make real sets PYSPARK_40")
        pytest.skip("PYSPARK_40 names no folder with pyspark 4.0 (make real sets it)")
    env = environment(PYTHONPATH=os.pathsep.join([older, str(ROOT)]))
    seen = run([sys.executable, "-c", "import pyspark; print(pyspark.__version__)"], env)
    assert seen.strip().endswith("4.0.1")
    run([*CLI, "nightly", "--config", str(shop.config), *night_places, *fast_plans], env)
    assert_same_tables(shop.whole, tables(tmp_path / "warehouse"))
