"""The history of a Delta table: its commits, with what their writers recorded."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from behavior_spark.io.day_range import DayRange
from behavior_spark.io.small_data import interpreted

# Names of operations whose commits change no row.
_UPKEEP = ("OPTIMIZE", "VACUUM", "ADD COLUMNS", "CHANGE COLUMN", "SET TBLPROPERTIES", "CLUSTER BY")
_WRITER = "writer"

Note = Mapping[str, str | int | None]


@dataclass(frozen=True)
class Commit:
    """A commit of a table's history.

    Attributes:
        version: Version of the table; each commit adds 1.
        operation: Delta's name of the operation, such as ``WRITE``.
        days: Range that holds the days of all rows added or removed; None if not recorded.
        note: What the writer recorded with the commit.
        is_append: Whether the commit added rows and removed none.
        writer: What the ``Warehouse`` that wrote it calls itself; None if not recorded.
        at: When, as ``collect`` gives times: in the time zone of this machine, without saying so.
    """

    version: int
    operation: str
    days: DayRange | None
    note: Note
    is_append: bool
    writer: str | None = None
    at: dt.datetime | None = None

    @property
    def is_upkeep(self) -> bool:
        """Whether the commit changed no row."""
        return self.operation.startswith(_UPKEEP)


def as_metadata(writer: str, days: DayRange | None, note: Note | None = None) -> str:
    """What to record with a commit as ``userMetadata``; ``read_commits`` reads it.

    Args:
        writer: Id of the warehouse that writes.
        days: Range that holds the days of all rows added or removed.
        note: More to record.
    """
    return json.dumps({**(days.as_note() if days else {}), **(note or {}), _WRITER: writer})


def read_commits(spark: SparkSession, identifier: str, *, last: int | None) -> list[Commit]:
    """Commits of a table, the latest first: all that Delta still has, or the ``last`` ones.

    Args:
        spark: Session to work in.
        identifier: The table's name in SQL.
        last: How many; None: all.
    """
    limit = "" if last is None else f" LIMIT {last}"
    # Collected as it is: a projection would run one more job.
    with interpreted(spark):
        rows = spark.sql(f"DESCRIBE HISTORY {identifier}{limit}").collect()
    commits = [_commit(row.asDict()) for row in rows]
    return sorted(commits, key=lambda commit: commit.version, reverse=True)


def _commit(row: Mapping[str, Any]) -> Commit:
    parameters, metadata = row["operationParameters"] or {}, row["userMetadata"] or ""
    try:
        note = json.loads(metadata)
    except ValueError:
        note = {}  # written by another program
    note = note if isinstance(note, dict) else {}
    writer = note.pop(_WRITER, None)
    is_append = row["operation"] == "WRITE" and parameters.get("mode") == "Append"
    days = DayRange.from_note(note)
    return Commit(row["version"], row["operation"], days, note, is_append, writer, row["timestamp"])
