"""Spark itself reads the property files and the commands of docs/deploying.md."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from behavior_spark.config import load_settings
from behavior_spark.scoring.resources import resource_profile
from tests.deploy.spark_classes import SparkClasses
from tests.docs.pages import all_blocks, command_lines
from tests.docs.test_blocks import parse

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "conf" / "deploy"
FILES = ["kubernetes.properties", "yarn.properties"]
GPU = load_settings(["demo.yaml", "gpu.yaml"], environment={}).text.gpu


def settings_of(path: Path) -> dict[str, str]:
    """The keys and values of a property file."""
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = [line.split(None, 1) for line in lines if line and not line.startswith("#")]
    assert len({key for key, _ in pairs}) == len(pairs), "a key stands twice"
    return {key: value.strip() for key, value in pairs}


def submits(master: str) -> list[list[str]]:
    """The arguments of each spark-submit on any page for a cluster manager."""
    lines = [words for block in all_blocks("sh") for words in command_lines(block)]
    mine = [words[1:] for words in lines if words[0] == "spark-submit"]
    return [words for words in mine if words[words.index("--master") + 1].startswith(master)]


@pytest.fixture(scope="module")
def classes(spark: SparkSession) -> SparkClasses:
    return SparkClasses(spark._jvm)


def read(classes: SparkClasses, master: str) -> Any:
    """The only command for a cluster manager, parsed by Spark."""
    (words,) = submits(master)
    place = words.index("--properties-file") + 1
    words = [*words[:place], str(ROOT / words[place]), *words[place + 1 :]]
    return classes.submitted(words, {"HADOOP_CONF_DIR": "/etc/hadoop"})


@pytest.mark.parametrize("name", FILES)
def test_a_property_file_holds_all_of_the_clusters_and_says_what_each_line_does(name: str) -> None:
    ours, base = settings_of(DEPLOY / name), settings_of(ROOT / "conf" / "cluster.properties")
    assert base.items() <= ours.items()
    # Every setting is below a comment or below another setting that is.
    blocks = (DEPLOY / name).read_text(encoding="utf-8").split("\n\n")
    assert [block for block in blocks if not block.startswith("#")] == []
    # A GPU for every executor is what stage-level resources are there to avoid.
    assert not [key for key in ours if ".resource." in key]


def test_spark_and_delta_know_every_key_and_take_every_value(classes: SparkClasses) -> None:
    for name in ("deploy/kubernetes.properties", "deploy/yarn.properties", "cluster.properties"):
        pairs = settings_of(ROOT / "conf" / name).items()
        assert [why for key, value in pairs if (why := classes.refusal(key, value))] == [], name
    assert classes.refusal("spark.executor.core", "4") == "spark.executor.core is not a key"
    assert "does not take four" in classes.refusal("spark.executor.cores", "four")


def test_spark_submit_parses_the_commands_of_the_page(classes: SparkClasses) -> None:
    for master, job in (("k8s://", "local:///opt/behavior_spark/jobs/nightly.py"),
                        ("yarn", "jobs/nightly.py")):  # fmt: skip
        read_by_spark = read(classes, master)
        assert read_by_spark.deployMode() == "cluster" and read_by_spark.isPython()
        assert str(read_by_spark.primaryResource()).endswith(job)
        arguments = str(read_by_spark.childArgs().mkString("\n")).split("\n")
        options = parse(["nightly", *arguments])
        assert [Path(name).name for name in options["config"]] == ["mine.yaml", "gpu.yaml"]
        given = classes.configuration(read_by_spark)
        assert given.get("spark.dynamicAllocation.enabled") == "true"
    with pytest.raises(Exception, match="Unrecognized option '--archive'"):
        classes.submitted(["--master", "yarn", "--archive", "a.tar.gz", "job.py"], {})


def test_what_goes_along_to_yarn_is_what_the_job_looks_for(classes: SparkClasses) -> None:
    submitted = read(classes, "yarn")
    sent = {place.rpartition("/")[2] for place in str(submitted.files()).split(",")}
    assert sent == {"mine.yaml", "find_gpus.sh"}
    assert (DEPLOY / "find_gpus.sh").is_file()
    archive = str(submitted.archives()).rpartition("#")[2]
    conf = classes.configuration(submitted)
    assert conf.get("spark.pyspark.python") == f"./{archive}/bin/python"
    jars = str(submitted.jars())
    versions = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split()
                    if line.startswith(("pyspark==", "delta_spark==")))  # fmt: skip
    minor = versions["pyspark"].rpartition(".")[0]
    assert f"delta-spark_{minor}_2.13-{versions['delta_spark']}.jar" in jars
    assert f"delta-storage-{versions['delta_spark']}.jar" in jars


@pytest.mark.parametrize("master", ["k8s://", "yarn"])
def test_spark_gives_the_scoring_stage_resources_of_its_own_by_these_files(
    classes: SparkClasses, master: str
) -> None:
    submitted, profile = read(classes, master), resource_profile(GPU)
    assert profile is not None
    assert classes.supports(classes.configuration(submitted), profile)
    fixed = {"spark.dynamicAllocation.enabled": "false"}
    with pytest.raises(Exception, match="with dynamic allocation enabled"):
        classes.supports(classes.configuration(submitted, **fixed), profile)


def test_pods_of_the_scoring_stage_ask_for_a_gpu_and_others_for_none(classes: SparkClasses) -> None:
    conf = classes.configuration(read(classes, "k8s://"))
    profile = resource_profile(GPU)
    assert profile is not None
    with classes.default_profile(conf) as default:
        image, limits = classes.pod_limits(conf, profile._java_resource_profile)
        other_image, others = classes.pod_limits(conf, default)
    assert image == other_image == conf.get("spark.kubernetes.container.image")
    assert limits.pop("nvidia.com/gpu") == "1"
    assert set(limits) == set(others) == {"memory"}
    # 4g and 8g, each with 4g for Python.
    assert (limits["memory"], others["memory"]) == ("8192Mi", "12288Mi")


def test_tasks_that_share_a_gpu_fill_their_executor() -> None:
    assert GPU is not None and GPU.executor_cores is not None and GPU.per_executor is not None
    assert GPU.executor_cores / GPU.cpus_per_task == GPU.per_executor / GPU.per_task == 2


@pytest.mark.parametrize(
    ("printed", "addresses"), [("0\n1", ["0", "1"]), ("3", ["3"]), ("10 \n11 ", ["10", "11"])]
)
def test_the_discovery_script_lists_what_the_driver_of_the_gpus_says(
    tmp_path: Path, printed: str, addresses: list[str]
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\ncat <<'END'\n" + printed + "\nEND\n", encoding="utf-8")
    tool.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run([DEPLOY / "find_gpus.sh"], env=path, capture_output=True, text=True)
    assert json.loads(done.stdout) == {"name": "gpu", "addresses": addresses}
    tool.write_text("#!/bin/sh\nexit 9\n", encoding="utf-8")
    failed = subprocess.run([DEPLOY / "find_gpus.sh"], env=path, capture_output=True, text=True)
    assert (failed.returncode, failed.stdout) == (1, "")


def test_the_discovery_script_is_where_the_image_puts_it() -> None:
    assert GPU is not None
    image = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert re.search(rf"^COPY conf/deploy/find_gpus\.sh {re.escape(GPU.discovery_script)}$", image,
                     re.M)  # fmt: skip
    assert os.access(DEPLOY / "find_gpus.sh", os.X_OK)
