"""A range of days that a write replaces, as a SQL condition and as a note of its commit."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class DayRange:
    """The rows of a table whose day lies in ``[since, before)``.

    Attributes:
        column: Name of the column that holds the day.
        since: First day of the range; None: no lower bound.
        before: Day after the last one; None: no upper bound.
    """

    column: str
    since: dt.date | None = None
    before: dt.date | None = None

    @property
    def sql(self) -> str:
        """The range as a SQL condition.

        >>> DayRange("arrived_day", dt.date(2024, 5, 1), dt.date(2024, 5, 3)).sql
        "arrived_day >= DATE'2024-05-01' AND arrived_day < DATE'2024-05-03'"
        >>> DayRange("arrived_day").sql
        'true'
        """
        bounds = []
        if self.since is not None:
            bounds.append(f"{self.column} >= DATE'{self.since}'")
        if self.before is not None:
            bounds.append(f"{self.column} < DATE'{self.before}'")
        return " AND ".join(bounds) or "true"

    def as_note(self) -> dict[str, str]:
        """The range as plain text, for a commit's note."""
        days = {"since": self.since, "before": self.before}
        return {"days_of": self.column} | {k: d.isoformat() for k, d in days.items() if d}

    @classmethod
    def from_note(cls, note: Mapping[str, object]) -> DayRange | None:
        """The range that a note holds; None if it holds no valid one."""
        column = note.get("days_of")
        if column is None:
            return None
        try:
            since, before = (
                dt.date.fromisoformat(str(note[name])) if name in note else None
                for name in ("since", "before")
            )
        except ValueError:
            return None
        return cls(str(column), since, before)
