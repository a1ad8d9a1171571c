"""Show a result on standard output: tables for people and, on request, one line of JSON."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from behavior_spark.config import Settings
from behavior_spark.model.measures.classification import as_plain
from behavior_spark.runs.result import Result
from behavior_spark.runs.run import without_secret


def show(
    result: Result,
    *,
    as_json: bool,
    queries: Sequence[str] = (),
    places: bool = True,
) -> None:
    """Print the summary of a command.

    Args:
        result: Result of the command.
        as_json: Whether to print the result as JSON on the last line.
        queries: Command lines to suggest as next queries.
        places: Whether to list the tables; only of a command that has an as_of.
    """
    console = Console()
    console.print(result.summary(places=places))
    for line in result.last_lines():
        console.print(f"\n{line}", markup=False, highlight=False, style="bold", soft_wrap=True)
    if queries:
        console.print("\n[bold]Ask next:[/]")
        for query in queries:  # never wrapped, so that they can be copied
            console.print(f"  {query}", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print_json(result)


def show_answer(result: Result, *, as_json: bool) -> None:
    """Print only the blocks of the stages, with notes on standard error."""
    console, aside = Console(), Console(stderr=True)
    for block in result.blocks():
        console.print(block)
    for note in result.notes:
        aside.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print_json(result)


def write_page(page: str, output: Path) -> None:
    """Write a page, with its folder if that is missing."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page, encoding="utf-8")


def print_json(result: Result) -> None:
    """Print the result as one line of JSON."""
    print(as_json_line(result.as_dict()))  # noqa: T201


def as_json_line(tree: Any) -> str:
    """One line of JSON; a number that is not finite, which JSON has not, is null."""
    return json.dumps(as_plain(tree), default=str, allow_nan=False)


def next_queries(
    settings: Settings,
    config: list[str],
    as_of: str,
    overrides: Sequence[str] = (),
    *,
    ranked: Sequence[str] | None = None,
) -> list[str]:
    """Command lines that are useful after a night: queries, and exports.

    Args:
        settings: Settings of the job.
        config: Config files, as given.
        as_of: The night.
        overrides: Overrides of the config, as given; secrets in them are shown as ``***``.
        ranked: Targets whose users are ranked, of which a list makes sense; None: all.
    """
    given = [word for name in config for word in ("--config", name)]
    given += [word for override in overrides for word in ("--set", without_secret(override))]
    command = shlex.join(["behavior-spark", "sql", *given])
    queries = [
        f"SELECT reason, sum(refused_rows) AS refused_rows FROM quarantine "
        f"WHERE as_of = '{as_of}' GROUP BY reason"
    ]
    targets = [name for name in settings.targets if ranked is None or name in ranked]
    if settings.targets and not targets:
        queries.insert(
            0,
            "SELECT target, better_than_chance, count(*) AS users, "
            "avg(coalesce(probability, expected)) AS predicted FROM user_propensity "
            f"WHERE as_of = '{as_of}' GROUP BY ALL",
        )
    elif targets:
        target = targets[0]
        queries = [
            "SELECT user_id, coalesce(probability, expected) AS predicted, "
            "reasons[0].text AS why FROM user_propensity "
            f"WHERE as_of = '{as_of}' AND target = '{target}' ORDER BY score DESC LIMIT 10",
            "SELECT segment, next_action, count(*) AS users FROM user_profile "
            f"WHERE as_of = '{as_of}' GROUP BY ALL ORDER BY users DESC",
            *queries,
        ]
    elif settings.text.heads:
        queries.insert(
            0, "SELECT head, label, count(*) AS texts FROM text_scores GROUP BY ALL ORDER BY ALL"
        )
    lines = [f'{command} "{query}"' for query in queries]
    if settings.audiences:
        name = next(iter(settings.audiences))
        export = command.replace("behavior-spark sql", f"behavior-spark audience {name}", 1)
        lines.append(f"{export} --as-of {as_of} -o {name}.csv")
    if settings.service is not None:
        export = command.replace("behavior-spark sql", "behavior-spark service-queue", 1)
        lines.append(f"{export} --as-of {as_of} -o queue.csv")
    return lines
