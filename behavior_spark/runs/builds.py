"""What is built from night to night, and from which day on it must be built again.

The commit that writes a product (tiles, sessions, embeddings) says what it is: the day it
reaches, what it means and the version of the source table it was built of. So rows and what is
known of them cannot part, whenever a run dies. A build that changes nothing leaves no commit
(Delta skips it), and the next one starts where the last that did had ended; the run itself knows
how far it came. What has changed since is read from the history of the source table, whoever wrote
it.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass

from behavior_spark.io.warehouse import Note
from behavior_spark.runs.run import Run
from behavior_spark.schemas import Contract


@dataclass(frozen=True)
class Build:
    """How far a product reaches.

    Attributes:
        through: What arrived before its 00:00 UTC is in.
        definition: What it means: another one, another product.
        source_version: Version of the source table that it was built of.
        own_version: Version of its own table that it adds to; None where it replaces what is there.
    """

    through: dt.date
    definition: str
    source_version: int
    own_version: int | None = None

    @property
    def note(self) -> Note:
        """For the commit that completes the product."""
        return {**asdict(self), "through": self.through.isoformat()}


@dataclass(frozen=True)
class Changes:
    """What became of a source table since a product was built of it.

    Attributes:
        version: The table's version as it stands.
        start: First arrival day whose rows may be others; None: any.
        why: Where it is any, why.
    """

    version: int
    start: dt.date | None
    why: str = ""


def last_build(run: Run, product: Contract, *, definition: str | None = None) -> Build | None:
    """The build that a product's table rests on; None where there is none, or not any more.

    Args:
        run: The run.
        product: The table.
        definition: The last build with this definition, where several live in one table; by
            default the last of any.
    """
    if not run.warehouse.exists(product):
        return None
    found: Build | None = None
    for commit in run.warehouse.history(product):
        if found is None:
            build = _build_of(commit.note)
            if build and definition in (None, build.definition):
                found = build
        if found and (found.own_version is None or commit.version <= found.own_version):
            return found
        if not (commit.is_append or commit.is_upkeep):
            return None  # rows it rests on were taken out
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
    """What a build must take in: from the day it reached, or from one that changed before that.

    Ask before reading the source: a commit in between is then seen by the next build.

    Args:
        run: The run.
        source: The table that the product is built of; it must exist.
        last: The build before, None without one.
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
