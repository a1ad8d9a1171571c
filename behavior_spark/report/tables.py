"""Rows of a query, a sample or a registry as tables for the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from behavior_spark.model.measures.confidence import wilson_interval

WIDEST_CELL = 60
QUERY_CELL = 400


@dataclass(frozen=True)
class FittedRows:
    """Rows of a query: a table if it fits the terminal, else one record below the other."""

    rows: list[dict[str, Any]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Choose the form by the width of the terminal."""
        yield _fitted(self.rows, width=options.max_width)


def _fitted(rows: list[dict[str, Any]], *, width: int) -> Table:
    widths = [
        max([len(name), *(len(cell(row[name], widest=QUERY_CELL)) for row in rows)])
        for name in (rows[0] if rows else {})
    ]
    if sum(min(cells, 40) + 3 for cells in widths) <= width or len(widths) <= 4:
        return rows_table(rows)
    return records(rows, title=f"{len(rows):,} rows", widest=QUERY_CELL)


def share_cell(hits: int, count: int) -> str:
    """A share with Wilson's 95 % interval, such as ``50% (28% to 72%)``; of none ``-``."""
    if not count:
        return "-"
    low, high = wilson_interval(hits / count, count)
    return f"{hits / count:.0%} ({low:.0%} to {high:.0%})"


def rows_table(rows: list[dict[str, Any]], *, title: str | None = None) -> Table:
    """Rows of a query or a sample as a table; long cells are shortened."""
    table = Table(title=title and Text(title), title_justify="left")
    names = list(rows[0]) if rows else ["(no rows)"]
    for name in names:
        numeric = bool(rows) and all(isinstance(r[name], int | float) for r in rows)
        header = Text(name)
        table.add_column(header, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*[Text(cell(row[name], widest=QUERY_CELL)) for name in names])
    return table


@dataclass(frozen=True)
class SampledRows:
    """Some rows of a source, one beside the other: a line for each column that has a value.

    As many rows are shown as the terminal is wide enough for. Columns without a value are named in
    one line.
    """

    rows: list[dict[str, Any]]
    title: str

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Choose the number of rows by the width of the terminal."""
        most = max(1, min(len(self.rows), (options.max_width - 16) // 22))
        shown = self.rows[:most]
        table = Table(title=Text(self.title), title_justify="left", show_header=False, box=None)
        table.add_column(style="dim", no_wrap=True)
        for _ in shown:
            table.add_column(overflow="ellipsis", no_wrap=True)
        empty = []
        for name in self.rows[0] if self.rows else ():
            values = [row[name] for row in self.rows]
            if all(value is None for value in values):
                empty += [name] if name != "refused" else []
            else:
                table.add_row(Text(name), *[Text(cell(value)) for value in values[:most]])
        if not self.rows:
            table.add_row("(no rows)")
        yield table
        if empty:
            yield Text(f"no value here: {', '.join(empty)}", style="dim")


def records(rows: list[dict[str, Any]], *, title: str, widest: int = WIDEST_CELL) -> Table:
    """Wide rows as records, one below the other, with one line for each column."""
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
    """A value as text of at most ``widest`` characters; empty for None."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list) and len(value) > 8:
        value = [*value[:3], f"... {len(value)} values"]
    text = str(value)
    return text if len(text) <= widest else text[: widest - 3] + "..."
