"""Run ``behavior-spark demo`` and show its results."""

from __future__ import annotations

import shlex
from pathlib import Path

from rich.console import Console

from behavior_spark.cli.showing import as_json_line, next_queries, show, write_page
from behavior_spark.errors import to_install
from behavior_spark.pipelines.demonstration import DemoResult, demo


def run_demo(
    *, users: int, days: int, seed: int, output: Path, generate_only: bool, as_json: bool
) -> None:
    """Run the demo and print the results of fine-tuning, the report and the night."""
    result = demo(output, users=users, days=days, seed=seed, generate_only=generate_only)
    console = Console()
    if generate_only:
        console.print(f"raw logs: {result.layout.root}")
        console.print(f"next: {_with_root(output)}behavior-spark nightly --config demo.yaml "
                      f"--as-of {result.layout.as_of}", soft_wrap=True)  # fmt: skip
    else:
        _show_steps(result, output)
    if as_json:
        steps = {name: step.as_dict() for name, step in result.steps.items()}
        print(as_json_line(steps))  # noqa: T201


def _show_steps(result: DemoResult, output: Path) -> None:
    settings, steps = result.settings, result.steps
    show(steps["finetune"], as_json=False, places=False)
    show(steps["report"], as_json=False, places=False)
    show(steps["audiences"], as_json=False, places=False)
    night = steps["nightly"]
    queries = next_queries(settings, ["demo.yaml"], night.as_of.isoformat())
    show(night, as_json=False, queries=[_with_root(output) + q for q in queries])
    page = steps["report"].html()
    console = Console()
    for measured in (result.alerts, result.abuse, result.service):
        for block in measured.blocks() if measured else ():
            console.print(block)
    if page is None:
        console.print(f"no report.html; {to_install('report')}", markup=False)
        return
    write_page(page, output / "report.html")
    console.print(f"\nThe night on one page, for your browser: {output / 'report.html'}",
                  markup=False, highlight=False, soft_wrap=True)  # fmt: skip


def _with_root(output: Path) -> str:
    return "" if output == Path("build/demo") else f"DEMO_ROOT={shlex.quote(str(output))} "
