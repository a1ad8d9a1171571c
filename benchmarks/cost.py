"""What each step of a night costs, by size of the log, and what it would cost for many more users.

    python -m benchmarks.cost [--users 200,800,3200] [--days 150] [--to 10000000]

The demo's shop is generated with each number of users. A first night is run on it, then the next
one, which has one new day. Bytes and jobs are Spark's own, of the event log, by the tag that each
step gives its jobs; processor seconds are those of all processes (Python, JVM, workers) while the
step ran. So all of them hold whatever else the machine does.

Prints Markdown: a table of the second night for each size; how well a straight line through the
two smaller sizes foretells the largest; and the line through the smallest and the largest
continued to ``--to`` users.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from rich.console import Console

from behavior_spark.config import LocalSpark
from behavior_spark.io.session import get_session
from behavior_spark.pipelines import commands, model_commands
from behavior_spark.pipelines.demonstration import demo, demo_settings
from behavior_spark.runs.run import Run
from benchmarks.night import ProcessorTime

MEGABYTE = 1e6
NIGHT = ["training.min_positives=5", "text.finetune=heads", "text.precision=fp32"]
UNITS = {"jobs": 1.0, "tasks": 1.0, "processor": 1.0, "read": MEGABYTE, "shuffled": MEGABYTE,
         "written": MEGABYTE, "spilled": MEGABYTE}  # fmt: skip
HEADER = "| step | jobs | tasks | processor s | MB read | MB shuffled | MB written | MB spilled |"
# What a straight line in users says of.
GROWING = ("processor", "read", "shuffled", "written")
BETWEEN = "between steps"
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
    return named[0] if named else BETWEEN


@contextmanager
def processor_of_steps(processor: ProcessorTime) -> Iterator[dict[str, float]]:
    """Processor seconds of all processes in each step of the runs inside the block."""
    spent: dict[str, float] = defaultdict(float)
    step = Run.step

    @contextmanager
    def counted(run: Run, name: str) -> Iterator[None]:
        before = processor.seconds()
        with step(run, name):
            yield
        spent[name] += processor.seconds() - before

    with patch.object(Run, "step", counted):
        yield spent


def measure(users: int, days: int, folder: Path) -> tuple[Costs, dict[str, int]]:
    """Costs of the second night of a shop, and the rows of its tables."""
    log = folder / "log"
    log.mkdir()
    conf = {
        "spark.eventLog.enabled": "true", "spark.eventLog.dir": log.as_uri(),
        "spark.eventLog.compress": "false",
        # At every size: what is small would be interpreted, and fit no line.
        "spark.sql.codegen.wholeStage": "true",
    }  # fmt: skip
    spark, _ = get_session(LocalSpark(conf=conf), name="cost")
    quiet = Console(quiet=True)
    root = folder / "shop"
    shop = demo(root, users=users, days=days, generate_only=True, spark=spark, console=quiet)
    settings = demo_settings(root, overrides=NIGHT)
    first, second = shop.layout.as_of, shop.layout.as_of + dt.timedelta(days=1)
    model_commands.finetune(settings, as_of=first, spark=spark, console=quiet)
    commands.nightly(settings, as_of=first, spark=spark, console=quiet)
    processor = ProcessorTime()
    start, before = dt.datetime.now(dt.UTC), processor.seconds()
    with processor_of_steps(processor) as spent:
        commands.nightly(settings, as_of=second, spark=spark, console=quiet)
    between = processor.seconds() - before - sum(spent.values())
    rows = {
        name: spark.read.format("delta").load(f"{settings.warehouse.path}/{name}").count()
        for name in ("events", "text_embeddings", "user_features")
    }
    spark.stop()
    costs = night_costs(log, start)
    for step, seconds in (spent | {BETWEEN: between}).items():
        costs[step]["processor"] = seconds
    return costs, rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--users", default="200,800,3200")
    parser.add_argument("--days", type=int, default=150)
    parser.add_argument("--to", type=int, default=10_000_000)
    options = parser.parse_args()
    by_size: dict[int, Costs] = {}
    for users in sorted(map(int, options.users.split(","))):
        with tempfile.TemporaryDirectory() as folder:
            by_size[users], rows = measure(users, options.days, Path(folder))
        print(f"\n{users:,} users: " + ", ".join(f"{n:,} {name}" for name, n in rows.items()))
        _show(by_size[users])
        sys.stdout.flush()
    sizes = list(by_size)
    if len(sizes) > 2:
        print(f"\n{sizes[-1]:,} users, foretold from {sizes[0]:,} and {sizes[-2]:,} / measured:")
        _show_foretold(by_size[sizes[0]], by_size[sizes[-2]], by_size[sizes[-1]],
                       sizes=(sizes[0], sizes[-2], sizes[-1]))  # fmt: skip
    if len(sizes) > 1:
        print(f"\n{options.to:,} users, foretold from {sizes[0]:,} and {sizes[-1]:,}:")
        _show_foretold(by_size[sizes[0]], by_size[sizes[-1]], None,
                       sizes=(sizes[0], sizes[-1], options.to))  # fmt: skip


def line(small: float, large: float, sizes: tuple[int, int, int]) -> float:
    """What a straight line through two sizes gives at a third, never less than nothing."""
    slope = (large - small) / (sizes[1] - sizes[0])
    return max(0.0, small + slope * (sizes[2] - sizes[0]))


def total(costs: Costs, name: str) -> float:
    """A figure of the whole night."""
    return sum(figures[name] for figures in costs.values())


def _show(costs: Costs) -> None:
    print(f"\n{HEADER}\n|" + " --- |" * (len(UNITS) + 1))
    rows = costs | {"all": {name: total(costs, name) for name in UNITS}}
    for step, figures in rows.items():
        cells = [f"{figures[name] / unit:,.{0 if name in ('jobs', 'tasks') else 1}f}"
                 for name, unit in UNITS.items()]  # fmt: skip
        print(f"| {step} | " + " | ".join(cells) + " |")


def _show_foretold(
    small: Costs, large: Costs, measured: Costs | None, *, sizes: tuple[int, int, int]
) -> None:
    """A row for each step and the whole night; ``foretold / measured`` where that is known."""
    print("\n| step | processor s | MB read | MB shuffled | MB written |\n|" + " --- |" * 5)
    nothing = dict.fromkeys(UNITS, 0.0)
    sums: dict[str, list[float]] = {name: [0.0, 0.0] for name in GROWING}
    for step in [*large, "all"]:
        cells = []
        for name in GROWING:
            if step == "all":
                foretold, real = sums[name]
            else:
                before, after = small.get(step, nothing)[name], large[step][name]
                foretold = line(before, after, sizes) / UNITS[name]
                real = (measured or {}).get(step, nothing)[name] / UNITS[name]
                sums[name][0] += foretold
                sums[name][1] += real
            cells.append(f"{foretold:,.1f}" + (f" / {real:,.1f}" if measured else ""))
        print(f"| {step} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
