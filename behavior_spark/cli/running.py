"""Run a command's function for the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from behavior_spark.cli.options import day_from, settings_from


def run_command(
    name: str,
    config: list[str],
    overrides: list[str],
    as_of: str | None,
    as_json: bool,
    **options: Any,
) -> Any:
    """Run the function of ``behavior_spark.pipelines`` with this name, and show its result."""
    day, settings = day_from(as_of), settings_from(config, overrides)
    from behavior_spark import pipelines
    from behavior_spark.cli.showing import next_queries, show

    result = getattr(pipelines, name)(settings, as_of=day, **options)
    asks = name in ("nightly", "predict", "profile")
    night = result.as_of.isoformat()
    queries = next_queries(settings, config, night, overrides) if asks else []
    show(result, settings, as_json=as_json, queries=queries)
    return result


def write_page(result: Any, output: Path | None) -> None:
    """Write a result's page of Markdown where ``--output`` asks for it."""
    if output is not None:
        output.parent.mkdir(parents=True, exist_ok=True)
        output.write_text(result.details["markdown"], encoding="utf-8")
