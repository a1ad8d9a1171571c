"""Parts of a Markdown page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; bars and line breaks in cells are made harmless.

    >>> print(markdown_table(["key", "type"], [["a", "x | y"]]))
    | key | type |
    | --- | --- |
    | a | x \\| y |
    """
    lines = [_row(header), _row(["---"] * len(header)), *[_row(row) for row in rows]]
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def code(text: object) -> str:
    """Text in code font; nothing for nothing."""
    return f"`{text}`" if str(text) else ""


def plain(text: str) -> str:
    """Words that Markdown and HTML leave as they are, but for what stands in backticks.

    >>> plain("a folder, `x < y`, or hub:org/name@<commit>")
    'a folder, `x < y`, or hub:org/name@&lt;commit&gt;'
    """
    parts = text.split("`")
    for place in range(0, len(parts), 2):
        escaped = parts[place].replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        parts[place] = escaped.replace("*", "\\*").replace("_", "\\_").replace("[", "\\[")
    return "`".join(parts)
