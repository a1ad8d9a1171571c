"""Incremental builds: how far a table is built, and from which day on it must be built again.

A product is a table that is built from another one (tiles, sessions, embeddings). The commit that
writes a product records the day it reaches, its definition, and the version of the source table
that it was built from. Rows and this record are one commit, so they always agree, even if a run is
killed. A build that changes nothing leaves no commit (Delta skips it): the next run starts from the
last build that did, and the run itself remembers how far it came (``Run.reached``). Changes of the
source since then are read from its history, whoever made them.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass

from behavior_spark.io.history import Note
from behavior_spark.runs.run import Run
from behavior_spark.schemas import Contract


@dataclass(frozen=True)
class Build:
    """How far a product reaches.

    Attributes:
        through: All rows that arrived before this day's 00:00 UTC are included.
        definition: Identifies what was built; another definition means another product.
        source_version: Version of the source table that it was built from.
        own_version: Version of the product's table to which the build added rows; None if it
            replaced the rows.
    """

    through: dt.date
    definition: str
    source_version: int
    own_version: int | None = None

    @property
    def note(self) -> Note:
        """The note to record with the commit that completes the product."""
        return {**asdict(self), "through": self.through.isoformat()}


@dataclass(frozen=True)
class Changes:
    """Changes of a source table since a product was built from it.

    Attributes:
        version: Current version of the table.
        start: First arrival day whose rows may have changed; None: any day.
        why: If ``start`` is None, the reason.
    """

    version: int
    start: dt.date | None
    why: str = ""


def last_build(run: Run, product: Contract, *, definition: str | None = None) -> Build | None:
    """The last build of a product's table; None if there is none that is still valid.

    Args:
        run: The run.
        product: The table.
        definition: Only builds with this definition, for tables that hold several products; None:
            any.
    """
    if not run.warehouse.exists(product):
        return None
    last: Build | None = None
    for commit in run.warehouse.history(product):
        if last is None:
            build = _build_of(commit.note)
            if build and definition in (None, build.definition):
                last = build
        if last and (last.own_version is None or commit.version <= last.own_version):
            return last
        if not (commit.is_append or commit.is_upkeep):
            return None  # rows of the build, or that it added to, were removed
    return None


def _build_of(note: Note) -> Build | None:
    try:
        through = dt.date.fromisoformat(str(note["through"]))
        own = note["own_version"]
        source = int(note["source_version"] or 0)
        return Build(through, str(note["definition"]), source, None if own is None else int(own))
    except (KeyError, ValueError):
        return None


def changes_since(run: Run, source: Contract, last: Build | None) -> Changes:
    """Changes of ``source`` that a build must include: new days, and earlier days that changed.

    Call this before reading the source, so that the next build sees a commit in between.

    Args:
        run: The run.
        source: The table that the product is built from; it must exist.
        last: The last build; None if there is none.
    """
    if last is None:
        return Changes(run.warehouse.version(source) or 0, None, "there is none yet")
    commits = run.warehouse.history(source)
    version = commits[0].version if commits else 0
    since = [commit for commit in commits if commit.version > last.source_version]
    if all(commit.version != last.source_version for commit in commits):
        why = f"the history of table {source.name} does not go back to the last build"
        return Changes(version, None, why)
    days = [last.through]
    for commit in since:
        if commit.is_upkeep:
            continue
        first = commit.days.since if commit.days else None
        if first is None:
            why = f"table {source.name} was changed by {commit.operation}"
            return Changes(version, None, why)
        days.append(first)
    return Changes(version, min(days))
