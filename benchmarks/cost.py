"""What each step of a night reads, shuffles and writes, by size of the log.

    python -m benchmarks.cost [--users 200,800,3200] [--days 150]

The demo's shop is generated with each number of users. A first night is run on it, then the next
one, which has one new day. The figures are Spark's own, of the event log, by the tag that each
step gives its jobs: so they hold whatever else the machine does. Prints a Markdown table of the
second night for each size, and how many times each figure grew from the smallest size to the
largest.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from behavior_spark.config import LocalSpark
from behavior_spark.io.session import get_session
from behavior_spark.pipelines import commands, model_commands
from behavior_spark.pipelines.demonstration import demo, demo_settings

MEGABYTE = 1e6
NIGHT = ["training.min_positives=5", "text.finetune=heads", "text.precision=fp32"]
UNITS = {"jobs": 1.0, "tasks": 1.0, "cpu": 1e9, "read": MEGABYTE, "shuffled": MEGABYTE,
         "written": MEGABYTE, "spilled": MEGABYTE}  # fmt: skip
Costs = dict[str, dict[str, float]]


def night_costs(log: Path, start: dt.datetime) -> Costs:
    """Figures of each step of the runs that began at a moment or later, from an event log."""
    costs: Costs = defaultdict(lambda: dict.fromkeys(UNITS, 0.0))
    step_of: dict[int, str] = {}
    # Jobs of an execution that other threads start have no tags of their own: it has them.
    tags_of_execution: dict[str, str] = {}
    for event in _events(log):
        kind = event["Event"]
        if kind.endswith("SparkListenerSQLExecutionStart"):
            tags_of_execution[str(event["executionId"])] = ",".join(event.get("jobTags") or ())
        elif kind == "SparkListenerJobStart":
            if event["Submission Time"] < start.timestamp() * 1000:
                continue
            execution = event["Properties"].get("spark.sql.execution.id", "")
            own = event["Properties"].get("spark.job.tags", "")
            step = _step(f"{own},{tags_of_execution.get(execution, '')}")
            costs[step]["jobs"] += 1
            step_of |= dict.fromkeys(event["Stage IDs"], step)
        elif kind == "SparkListenerTaskEnd" and event["Stage ID"] in step_of:
            measured = costs[step_of[event["Stage ID"]]]
            metrics = event.get("Task Metrics") or {}
            measured["tasks"] += 1
            measured["cpu"] += metrics.get("Executor CPU Time", 0)
            measured["read"] += metrics.get("Input Metrics", {}).get("Bytes Read", 0)
            shuffle = metrics.get("Shuffle Write Metrics", {})
            measured["shuffled"] += shuffle.get("Shuffle Bytes Written", 0)
            measured["written"] += metrics.get("Output Metrics", {}).get("Bytes Written", 0)
            measured["spilled"] += metrics.get("Disk Bytes Spilled", 0)
    return costs


def _events(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith((".", "appstatus")):  # checksums, a marker
            with path.open() as lines:
                yield from map(json.loads, lines)


def _step(tags: str) -> str:
    """The step's name in a job's tags; they begin with the session's and the thread's ids."""
    named = [tag.rpartition("nightly: ")[2] for tag in tags.split(",") if "nightly: " in tag]
    return named[0] if named else "between steps"


def measure(users: int, days: int, folder: Path) -> tuple[Costs, dict[str, int]]:
    """Costs of the second night of a shop, and the rows of its logs."""
    log = folder / "log"
    log.mkdir()
    conf = {
        "spark.eventLog.enabled": "true", "spark.eventLog.dir": log.as_uri(),
        "spark.eventLog.compress": "false",
    }  # fmt: skip
    spark, _ = get_session(LocalSpark(conf=conf), name="cost")
    quiet = Console(quiet=True)
    root = folder / "shop"
    shop = demo(root, users=users, days=days, generate_only=True, spark=spark, console=quiet)
    settings = demo_settings(root, overrides=NIGHT)
    first, second = shop.layout.as_of, shop.layout.as_of + dt.timedelta(days=1)
    model_commands.finetune(settings, as_of=first, spark=spark, console=quiet)
    commands.nightly(settings, as_of=first, spark=spark, console=quiet)
    start = dt.datetime.now(dt.UTC)
    commands.nightly(settings, as_of=second, spark=spark, console=quiet)
    rows = {
        name: spark.read.format("delta").load(f"{settings.warehouse.path}/{name}").count()
        for name in ("events", "text_embeddings", "user_features")
    }
    spark.stop()
    return night_costs(log, start), rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--users", default="200,800,3200")
    parser.add_argument("--days", type=int, default=150)
    options = parser.parse_args()
    by_size: dict[int, Costs] = {}
    for users in map(int, options.users.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            by_size[users], rows = measure(users, options.days, Path(folder))
        print(f"\n{users:,} users: " + ", ".join(f"{n:,} {name}" for name, n in rows.items()))
        _show(by_size[users])
        sys.stdout.flush()
    if len(by_size) > 1:
        _show_growth(by_size[min(by_size)], by_size[max(by_size)])


def _show(costs: Costs) -> None:
    print("\n| step | jobs | tasks | CPU s | MB read | MB shuffled | MB written | MB spilled |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for step, figures in costs.items():
        cells = [f"{figures[name] / unit:,.{0 if unit == 1 else 1}f}"
                 for name, unit in UNITS.items()]  # fmt: skip
        print(f"| {step} | " + " | ".join(cells) + " |")


def _show_growth(small: Costs, large: Costs) -> None:
    print("\ntimes the smallest size:\n\n| step | " + " | ".join(UNITS) + " |")
    print("| --- |" + " --- |" * len(UNITS))
    for step, figures in large.items():
        before = small.get(step, {})
        cells = [f"{figures[name] / before[name]:.1f}" if before.get(name) else ""
                 for name in UNITS]  # fmt: skip
        print(f"| {step} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
