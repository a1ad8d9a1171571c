"""A shop's night, which other ways of running Spark must reproduce; a cluster."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from night_process import CLI, choices, environment, run, tables
from pyspark import find_spark_home
from pyspark.sql import SparkSession
from rich.console import Console
from small_night import AS_OF, DAYS, SEED, USERS, Shop, small_settings, write_config

from behavior_spark.demo.generate import generate_demo
from behavior_spark.pipelines import finetune

QUIET = Console(quiet=True)


@pytest.fixture(scope="session")
def shop(
    spark: SparkSession, fast_plans: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    generate_demo(spark, str(folder / "data"), users=USERS, days=DAYS, seed=SEED)
    settings = small_settings(folder, warehouse=str(folder / "whole"), models="models")
    finetune(settings, as_of=AS_OF, spark=spark, console=QUIET)
    config = write_config(settings, folder / "night.yaml")
    night = ["nightly", "--config", str(config), "--as-of", AS_OF.isoformat(), *fast_plans]
    output = run([*CLI, *night], environment(SPARK_REMOTE="local[2]"))
    assert "Failed to set" not in output, output[:3000]
    plain = small_settings(folder, warehouse=str(folder / "whole"), models="models", plain=True)
    whole, chosen = tables(folder / "whole"), choices(folder / "whole")
    return Shop(folder, write_config(plain, folder / "plain.yaml"), whole, chosen)


@pytest.fixture(scope="session")
def fast_plans(interpreted: dict[str, str]) -> list[str]:
    """Options for nights where only the answers matter: compiling is a third of so small a night.

    Plans are made anew after each shuffle, as in real sessions; the suite's own do not.
    """
    return ["--set", f"spark.conf={json.dumps(interpreted)}"]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place)]
    run(build, environment())
    return next(place.glob("*.whl"))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[str]:
    """Address of a standalone cluster on loopback: a master, and two workers with a core each.

    Its workers have the environment as it is when they start.
    """
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
