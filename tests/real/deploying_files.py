"""Read the DAG and the bundle's jobs with Airflow's and Databricks' own code; run the DAG's task.

Started by test_deploying.py in an environment that has both and lacks behavior_spark. Prints one
line of JSON.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from copy import copy
from pathlib import Path
from types import SimpleNamespace
from typing import Any


def read_dag(path: Path) -> dict[str, Any]:
    """What Airflow's loader finds in a file, the commands of some runs, and how they end."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(path, safe_mode=True)
    if bag.import_errors:
        return {"errors": dict(bag.import_errors)}
    (dag,) = bag.dags.values()
    (task,) = dag.tasks
    due = dt.datetime(2024, 5, 31, 2, tzinfo=dt.UTC)
    return {
        "errors": {},
        "dag_id": dag.dag_id,
        "catchup": dag.catchup,
        "max_active_runs": dag.max_active_runs,
        "schedule": str(dag.schedule),
        "retries": task.retries,
        "scheduled": rendered(dag, as_of=None, run_after=due),
        "chosen": rendered(dag, as_of="2023-12-24", run_after=due),
        "refused": refused(dag, as_of="$(reboot)"),
        "endings": {code: ending(dag, f"exit {code}") for code in (0, 1, 2, 137)},
    }


def rendered(dag: Any, *, as_of: str | None, run_after: dt.datetime) -> str:
    """The command of a run, as Airflow fills in its template."""
    task = copy(dag.tasks[0])
    run = SimpleNamespace(run_after=run_after)
    context = {"params": {"as_of": as_of}, "dag_run": run}
    task.render_template_fields(context, dag.get_template_env())
    return str(task.bash_command)


def refused(dag: Any, *, as_of: str) -> str:
    """Name of the error by which Airflow refuses a parameter; empty if it takes it."""
    parameter = dag.params.get_param("as_of")
    try:
        parameter.resolve(as_of)
    except Exception as error:
        return type(error).__name__
    return ""


def ending(dag: Any, command: str) -> str:
    """How Airflow takes a command of the task: ``done``, or the name of the error."""
    task = copy(dag.tasks[0])
    task.bash_command = command
    try:
        task.execute({"ti": None})
    except Exception as error:
        return type(error).__name__
    return "done"


def read_jobs(jobs: dict[str, Any]) -> dict[str, str]:
    """By job: empty if Databricks' model takes it, else what it says."""
    from databricks.bundles.jobs import Job

    answers = {}
    for name, job in jobs.items():
        try:
            answers[name] = "" if Job.from_dict(job).as_dict() else "empty"
        except ValueError as error:
            answers[name] = str(error)
    return answers


if __name__ == "__main__":
    report = {
        "dag": read_dag(Path(sys.argv[1]).resolve()),
        "jobs": read_jobs(json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))),
    }
    print(json.dumps(report))  # noqa: T201
