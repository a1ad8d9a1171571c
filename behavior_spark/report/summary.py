"""The summary at the end of a run: rows, results of the stages, tables and notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text


def summary(
    title: str,
    *,
    seconds: float,
    sources: Sequence[Mapping[str, Any]],
    blocks: Sequence[RenderableType],
    tables: Mapping[str, str],
    notes: Sequence[str],
) -> Group:
    """The summary of a run as blocks for the terminal.

    Args:
        title: Name of the command, with its as_of if it has one.
        seconds: Wall time in seconds.
        sources: Row counts of each contract: in, out, duplicates, refused.
        blocks: Blocks of the stages.
        tables: Path or full name of each table.
        notes: Notes for the user.
    """
    parts: list[RenderableType] = [Text(f"\n{title}: done in {seconds:,.0f} s", style="bold")]
    if sources:
        parts.append(_rows_table(sources))
    parts += blocks
    if tables:
        parts.append(_places(tables))
    parts += [Text(f"note: {note}", style="yellow") for note in notes]
    return Group(*parts)


def _rows_table(sources: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Rows", title_justify="left")
    for name in ("table", "in", "= out", "+ duplicates", "+ refused", "without user"):
        table.add_column(name, justify="left" if name == "table" else "right")
    for row in sources:
        table.add_row(
            row["table_name"],
            *[f"{row[k]:,}" for k in
              ("rows_in", "rows_out", "duplicates", "refused", "without_user")],
        )  # fmt: skip
    return table


def _places(tables: Mapping[str, str]) -> Table:
    table = Table(title="Tables (Delta)", title_justify="left", show_header=False)
    for name, location in tables.items():
        table.add_row(name, Text(location, overflow="fold"))
    return table
