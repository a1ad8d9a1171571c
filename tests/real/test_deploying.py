"""Airflow reads our DAG, Databricks our bundle's jobs, and a linter the container file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from night_process import ROOT, environment, run

from tests.docs.test_blocks import parse

pytestmark = pytest.mark.real
HERE = Path(__file__).parent
DEPLOY = ROOT / "conf" / "deploy"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The Python of an environment with Airflow, Databricks' bundles and hadolint."""
    place = tmp_path_factory.mktemp("schedulers") / "env"
    run([sys.executable, "-m", "venv", "--without-pip", str(place)], environment())
    python = str(place / "bin" / "python")
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet",
               "--no-compile", "--no-deps", "--disable-pip-version-check",
               "-r", str(HERE / "deploying.txt")]  # fmt: skip
    run(install, environment())
    return python


@pytest.fixture(scope="module")
def read(python: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    def read_files(dag: Path, bundle: dict[str, Any]) -> dict[str, Any]:
        folder = tmp_path_factory.mktemp("read")
        jobs = folder / "jobs.json"
        jobs.write_text(json.dumps(bundle["resources"]["jobs"]), encoding="utf-8")
        places = {"AIRFLOW_HOME": str(folder / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        script = str(HERE / "deploying_files.py")
        output = run([python, script, str(dag), str(jobs)], environment(**places), cwd=folder)
        line = next(line for line in output.splitlines() if line.startswith('{"dag"'))
        return dict(json.loads(line))

    return read_files


@pytest.fixture(scope="module")
def bundle() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "databricks.yml").read_text(encoding="utf-8")))


def test_airflow_and_databricks_take_the_files_as_they_are(read: Any, bundle: Any) -> None:
    found = read(DEPLOY / "airflow_dag.py", bundle)
    assert found["jobs"] == {"nightly": "", "nightly_gpu": ""}
    dag = found["dag"]
    assert dag["errors"] == {}
    # Nights of one warehouse do not overlap, and missed ones are not made up for unasked.
    assert (dag["max_active_runs"], dag["catchup"], dag["retries"]) == (1, False, 2)
    # The run that is due on a day at 02:00 UTC is that day's night, and another can be asked for.
    for rendered, day in (("scheduled", "2024-05-31"), ("chosen", "2023-12-24")):
        words = dag[rendered].split()
        assert words[:2] == ["behavior-spark", "nightly"]
        assert parse(words[1:])["as_of"] == day
    assert dag["refused"] == "ParamValidationError"
    # Bad input (2) fails at once; anything else is retried; nothing passes for a good night.
    assert dag["endings"] == {"0": "done", "1": "AirflowException", "2": "AirflowFailException",
                              "137": "AirflowException"}  # fmt: skip


def test_a_fault_in_either_file_is_noticed(read: Any, bundle: Any, tmp_path: Path) -> None:
    task = bundle["resources"]["jobs"]["nightly"]["tasks"][0]["python_wheel_task"]
    task["parametrs"] = task.pop("parameters")
    dag = tmp_path / "airflow_dag.py"
    written = (DEPLOY / "airflow_dag.py").read_text(encoding="utf-8")
    dag.write_text(written.replace("max_active_runs", "max_active_run"), encoding="utf-8")
    found = read(dag, bundle)
    assert "parametrs" in found["jobs"]["nightly"]
    assert "max_active_run" in "".join(found["dag"]["errors"].values())


def test_the_container_file_passes_its_linter(python: str, tmp_path: Path) -> None:
    linter = str(Path(python).with_name("hadolint"))
    assert run([linter, str(DEPLOY / "Dockerfile")], environment()) == ""
    wrong = tmp_path / "Dockerfile"
    wrong.write_text("FROM python:3.11-slim\nRUN cd /tmp && ls ${WHERE\nCOPPY a b\n")
    with pytest.raises(AssertionError, match="exit 1"):
        run([linter, str(wrong)], environment())
