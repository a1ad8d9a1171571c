"""The asset bundle starts commands that exist, in the order of a night, from files that exist."""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement

from behavior_spark.config import load_settings
from behavior_spark.config.days import day_from
from behavior_spark.pipelines import COMMANDS
from tests.docs.test_blocks import parse

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "conf" / "deploy"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
BUNDLE = yaml.safe_load((DEPLOY / "databricks.yml").read_text(encoding="utf-8"))
JOBS = BUNDLE["resources"]["jobs"]
TASKS = [task for job in JOBS.values() for task in job["tasks"]]
# Databricks' documentation: bundle configuration reference, and dynamic value references.
TOP = {"bundle", "variables", "artifacts", "sync", "targets", "resources"}
DAY = "{{job.trigger.time.iso_date}}"


def parameters(task: dict[str, Any]) -> list[str]:
    """The arguments of a task as Databricks gives them to the process."""
    given = task["python_wheel_task"]["parameters"]
    known = {"{{job.parameters.as_of}}": "2024-05-31", "${workspace.file_path}": "/Workspace/files"}
    for reference, value in known.items():
        given = [word.replace(reference, value) for word in given]
    assert not [word for word in given if "${" in word or "{{" in word]
    return list(given)


def test_every_task_is_a_command_with_options_that_it_has() -> None:
    assert {parameters(task)[0] for task in TASKS} == {"ingest", "score-texts", "nightly"}
    for task in TASKS:
        options = parse(parameters(task))
        assert options["config"] == ["/Workspace/files/conf/mine.yaml", "databricks.yaml"]
        assert str(day_from(options["as_of"])) == "2024-05-31"


def test_the_day_is_the_runs_own_and_not_the_clocks() -> None:
    for job in JOBS.values():
        assert job["parameters"] == [{"name": "as_of", "default": DAY}]
        assert job["schedule"]["pause_status"] == "PAUSED"
        # A night before midnight UTC, or in a zone where it is the day before, would miss a day.
        assert job["schedule"]["timezone_id"] == "UTC"
        assert job["max_concurrent_runs"] == 1


def test_the_split_job_scores_on_gpus_alone_and_ends_with_the_whole_night() -> None:
    job = JOBS["nightly_gpu"]
    runs = [COMMANDS[parameters(task)[0]] for task in job["tasks"]]
    night = [stage.name for stage in COMMANDS["nightly"].stages]
    # What comes before the night is stages of it, in its order, and nothing else.
    early = [stage.name for command in runs[:-1] for stage in command.stages]
    assert [name for name in night if name in early] == early
    assert runs[-1].name == "nightly"
    keys = [task["task_key"] for task in job["tasks"]]
    waits = [[each["task_key"] for each in task.get("depends_on", [])] for task in job["tasks"]]
    assert waits == [[], *([key] for key in keys[:-1])]
    clusters = {each["job_cluster_key"]: each["new_cluster"] for each in job["job_clusters"]}
    on = {parameters(task)[0]: task["job_cluster_key"] for task in job["tasks"]}
    assert on == {"ingest": "cpu", "score-texts": "gpu", "nightly": "cpu"}
    assert "gpu" in clusters["gpu"]["spark_version"] and "cpu" in clusters["cpu"]["spark_version"]
    assert clusters["gpu"]["node_type_id"] != clusters["cpu"]["node_type_id"]


def test_every_reference_of_the_bundle_is_to_something_in_it() -> None:
    assert set(BUNDLE) == TOP
    text = (DEPLOY / "databricks.yml").read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{var\.(\w+)\}", text)) == set(BUNDLE["variables"])
    for job in JOBS.values():
        clusters = {each["job_cluster_key"] for each in job["job_clusters"]}
        assert {task["job_cluster_key"] for task in job["tasks"]} == clusters
    places = [*BUNDLE["sync"]["paths"], BUNDLE["artifacts"]["behavior_spark"]["path"]]
    assert all((DEPLOY / place).is_dir() for place in places)
    # The folder that those uploaded have in common is the checkout: where the tasks look for conf/.
    assert {(DEPLOY / place).resolve().parent for place in BUNDLE["sync"]["paths"]} == {ROOT}


def test_the_wheel_that_is_built_is_the_wheel_that_is_installed() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"$(BIN)/{BUNDLE['artifacts']['behavior_spark']['build']}\n" in makefile
    extras = {text for extra in PROJECT["optional-dependencies"].values() for text in extra}
    for task in TASKS:
        wheels = [each["whl"] for each in task["libraries"] if "whl" in each]
        assert [(DEPLOY / wheel).resolve().relative_to(ROOT) for wheel in wheels] == [
            Path("dist/*.whl")
        ]
        packages = [each["pypi"]["package"] for each in task["libraries"] if "pypi" in each]
        assert packages and set(packages) <= extras
        assert all(Requirement(package) for package in packages)


def test_the_entry_point_returns_where_the_command_line_would_end_the_process(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for task in (task["python_wheel_task"] for task in TASKS):
        assert task["package_name"] == PROJECT["name"].replace("-", "_")
        module, _, function = PROJECT["scripts"][task["entry_point"]].partition(":")
        entry_point = getattr(import_module(module), function)
    monkeypatch.setattr(sys, "argv", ["behavior-spark-job", "--version"])
    assert entry_point() is None
    assert "behavior-spark" in capsys.readouterr().out
    monkeypatch.setattr(sys, "argv", ["behavior-spark-job", "nightly", "--config", "no.yaml"])
    with pytest.raises(Exception, match=r"no\.yaml") as caught:
        entry_point()
    assert not isinstance(caught.value, SystemExit)


def test_the_overlay_puts_tables_and_models_where_the_bundles_variables_say() -> None:
    places = {"BEHAVIOR_CATALOG": "sales", "BEHAVIOR_SCHEMA": "nights"}
    for environment, schema in ((places, "sales.nights"), ({}, "main.behaviour")):
        settings = load_settings(["demo.yaml", "databricks.yaml"], environment=environment)
        assert settings.warehouse.schema_ == schema
        assert settings.warehouse.path is None
        assert settings.models_path == f"/Volumes/{schema.replace('.', '/')}/models"
    clusters = [each["new_cluster"] for job in JOBS.values() for each in job["job_clusters"]]
    assert all(set(cluster["spark_env_vars"]) == set(places) for cluster in clusters)
    variables = BUNDLE["variables"]
    assert f"{variables['catalog']['default']}.{variables['schema']['default']}" == "main.behaviour"
