"""Rows of Markdown tables, of cells that anybody wrote."""

from __future__ import annotations

from collections.abc import Iterable


def table_row(cells: Iterable[object]) -> str:
    r"""One row of a table; what would end a cell or the row does not.

    >>> print(table_row(["yes | no", "one\ntwo", 3]))
    | yes \| no | one two | 3 |
    """
    written = (one_line(str(cell)).replace("\\", "\\\\").replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(written)} |"


def one_line(text: str) -> str:
    """A text with a space in the place of each line break.

    >>> one_line("one\\r\\ntwo")
    'one two'
    """
    return " ".join(text.splitlines())
