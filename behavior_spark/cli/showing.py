"""Show a result: tables for people on standard output, or one line of JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from behavior_spark.config import Settings
from behavior_spark.pipelines.commands import Result
from behavior_spark.report.outcomes import outcome_table
from behavior_spark.report.summary import summary

WIDEST_CELL = 60
QUERY_CELL = 400


def show(
    result: Result,
    settings: Settings,
    *,
    as_json: bool,
    queries: list[str],
    places: bool = True,
) -> None:
    """Print what a command did; ``places`` says whether to list the tables."""
    console = Console()
    for outcome in result.details.get("outcomes", []):
        console.print(outcome_table(outcome))
    for name, rows in result.details.get("rows", {}).items() if result.command == "check" else ():
        console.print(records(rows, title=name))
    if result.command in ("funnel", "check-leakage"):
        console.print(result.details["markdown"], markup=False, highlight=False, soft_wrap=True)
    console.print(
        summary(
            command=result.command,
            as_of="" if result.command == "check" else result.as_of.isoformat(),
            seconds=result.seconds,
            sources=result.sources,
            figures=result.figures,
            targets=list(settings.targets),
            tables=result.tables if places and result.command != "check" else {},
            notes=result.notes,
        )
    )
    if queries:
        console.print("\n[bold]Ask next:[/]")
        for query in queries:  # one line each, to be copied
            console.print(f"  {query}", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print_json(result)


def print_json(result: Result) -> None:
    """The result as one line of JSON."""
    print(json.dumps(result.as_dict(), default=str))  # noqa: T201


def show_rows(rows: list[dict[str, Any]], console: Console) -> None:
    """Rows of a query: a table where it fits the terminal, else one row below the other."""
    widths = [
        max([len(name), *(len(cell(row[name], widest=QUERY_CELL)) for row in rows)])
        for name in (rows[0] if rows else {})
    ]
    fits = sum(min(width, 40) + 3 for width in widths) <= console.width
    if fits or len(widths) <= 4:
        console.print(rows_table(rows))
    else:
        console.print(records(rows, title=f"{len(rows):,} rows", widest=QUERY_CELL))


def rows_table(rows: list[dict[str, Any]], *, title: str | None = None) -> Table:
    """Rows of a query or a sample as a table; long cells are cut."""
    table = Table(title=title and Text(title), title_justify="left")
    names = list(rows[0]) if rows else ["(no rows)"]
    for name in names:
        numeric = bool(rows) and all(isinstance(r[name], int | float) for r in rows)
        header = Text(name)
        table.add_column(header, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*[Text(cell(row[name], widest=QUERY_CELL)) for name in names])
    return table


def records(rows: list[dict[str, Any]], *, title: str, widest: int = WIDEST_CELL) -> Table:
    """Rows one below the other, a line a column: for wide rows."""
    table = Table(title=Text(title), title_justify="left", show_header=False, box=None)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for row in rows:
        for name, value in row.items():
            table.add_row(Text(name), Text(cell(value, widest=widest)))
        table.add_section()
        table.add_row("", "")
    if not rows:
        table.add_row("(no rows)", "")
    return table


def cell(value: Any, *, widest: int = WIDEST_CELL) -> str:
    """A value in few characters."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list) and len(value) > 8:
        value = [*value[:3], f"... {len(value)} values"]
    text = str(value)
    return text if len(text) <= widest else text[: widest - 3] + "..."


def next_queries(
    settings: Settings, config: list[str], as_of: str, overrides: Sequence[str] = ()
) -> list[str]:
    """Queries worth asking after a night."""
    target = next(iter(settings.targets))
    command = "behavior-spark sql" + "".join(f" --config {name}" for name in config)
    command += "".join(f" --set {override}" for override in overrides)
    return [
        f'{command} "SELECT user_id, probability, reasons[0].text AS why FROM user_propensity '
        f"WHERE as_of = '{as_of}' AND target = '{target}' ORDER BY probability DESC LIMIT 10\"",
        f'{command} "SELECT segment, next_action, count(*) AS users FROM user_profile '
        f"WHERE as_of = '{as_of}' GROUP BY ALL ORDER BY users DESC\"",
        f'{command} "SELECT reason, sum(refused_rows) AS refused_rows FROM quarantine '
        f"WHERE as_of = '{as_of}' GROUP BY reason\"",
    ]
