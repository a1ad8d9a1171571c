"""The end of a run for people: what was done, how good it is, where it is."""

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
    """Rows, what the stages show, places and notes of a run, as blocks for the terminal.

    Args:
        title: What was done.
        seconds: How long it took.
        sources: Rows of each contract: in, out, duplicates, refused.
        blocks: What the stages show.
        tables: Where each table is.
        notes: What the reader should know.
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
    for name, place in tables.items():
        table.add_row(name, Text(place, overflow="fold"))
    return table
