"""What a page is made of: sections of words, figures, tables, charts and queries.

Views make these from facts; ``rendering`` writes them as HTML. All text is plain and is escaped
there, so a label may hold any character.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

_LONG_CELL = 80  # characters

Level = Literal["good", "care", "bad"]


@dataclass(frozen=True)
class Words:
    """A paragraph.

    Attributes:
        text: The paragraph.
        aside: Whether it is set smaller: how to read a figure, what is left out.
    """

    text: str
    aside: bool = False
    kind: Literal["words"] = "words"


@dataclass(frozen=True)
class Heading:
    """The name of a part of a section."""

    text: str
    kind: Literal["heading"] = "heading"


@dataclass(frozen=True)
class KeyFigure:
    """One large figure with its name and, below it, a remark."""

    name: str
    value: str
    remark: str = ""


@dataclass(frozen=True)
class KeyFigures:
    """Large figures side by side."""

    figures: Sequence[KeyFigure]
    kind: Literal["figures"] = "figures"


@dataclass(frozen=True)
class DataTable:
    """A table. Cells are text that is ready to show.

    Attributes:
        title: Caption of the table.
        columns: Names of the columns.
        rows: Cells, one for each column.
        text_columns: Number of columns, from the left, that hold text; the others hold numbers.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1
    kind: Literal["table"] = "table"

    @property
    def long(self) -> bool:
        """Whether a cell is a long text: on a phone it then stands below its row's other cells."""
        return any(len(cell) > _LONG_CELL for row in self.rows for cell in row[1:])


@dataclass(frozen=True)
class DataChart:
    """A chart with the words that replace it for who cannot see it.

    Attributes:
        title: What is shown.
        description: What the chart says, in a sentence, for screen readers and below the chart.
        chart: An Altair chart.
        table: The chart's numbers.
    """

    title: str
    description: str
    chart: Any
    table: DataTable
    kind: Literal["chart"] = "chart"


Block = Words | Heading | KeyFigures | DataTable | DataChart


@dataclass(frozen=True)
class Section:
    """A view of the night.

    Attributes:
        key: Name in the page's links, such as ``rows``.
        title: Title for readers.
        blocks: Content in order.
        queries: SQL that gives the same numbers, each with its name.
        left_out: Why there is nothing to show; the section is then this sentence alone.
        hidden: Number of groups that are not shown because they have too few users.
    """

    key: str
    title: str
    blocks: Sequence[Block] = ()
    queries: Sequence[tuple[str, str]] = ()
    left_out: str | None = None
    hidden: int = 0


@dataclass(frozen=True)
class Verdict:
    """Whether the night is good to use, in one line, and why.

    Attributes:
        level: ``good``, ``care`` or ``bad``.
        line: The verdict.
        reasons: What speaks against use without care, the gravest first.
        changes: What changed since the night before, in sentences.
    """

    level: Level
    line: str
    reasons: Sequence[str] = ()
    changes: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """A page.

    Attributes:
        title: Title.
        subtitle: Whose night, and when.
        verdict: Shown first.
        sections: Views in order.
        footer: How the page was made, and what is hidden.
    """

    title: str
    subtitle: str
    verdict: Verdict
    sections: Sequence[Section]
    footer: Sequence[str] = field(default_factory=tuple)
