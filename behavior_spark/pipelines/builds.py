"""What earlier runs have built, and from which day on it must be built again.

A product (tiles, sessions, embeddings) is entered in its run's row of ``runs``, with the day it
reaches, what it means and the version of its source table that it read. What has changed since is
read from the history of that table, so that a night that was repeated, killed or reached further
back is noticed whoever wrote it. A run that dies leaves no row: the next one builds again.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Any

from pyspark.sql import functions as F

from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.run import Built, Run
from behavior_spark.schemas import RUNS, Contract

ACTIVITY, SESSIONS, EMBEDDINGS = "activity", "sessions", "embeddings"
_FIRST_DAY = re.compile(r"arrived_day >= DATE'(\d{4}-\d{2}-\d{2})'")
# Commits that change no row.
_UPKEEP = ("OPTIMIZE", "VACUUM", "ADD COLUMNS", "CHANGE COLUMN", "SET TBLPROPERTIES", "CLUSTER BY")


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


def last_built(run: Run, product: str) -> Built | None:
    """The build of a product that ended last, this run's own first; None where there is none."""
    if product in run.built:
        return run.built[product]
    if run.built_before is None:
        run.built_before = _built_before(run)
    return run.built_before.get(product)


def changes_since(
    run: Run, source: Contract, last: Built | None, *, own: Contract | None = None
) -> Changes:
    """What a build must take in: from the day it reached, or from one that changed before that.

    Ask before reading the source: a commit in between is then seen by the next build.

    Args:
        run: The run.
        source: The table that the product is built of.
        last: The build before, None without one.
        own: The product's own table, where rows may have been taken out of it.
    """
    since = last.source_version if last else None
    commits = run.warehouse.commits_since(source, since)
    version = max((commit["version"] for commit in commits), default=None)
    if version is None:  # the history ends before what is asked for: another table
        version = run.warehouse.version(source) or 0
    if last is None:
        return Changes(version, None, "there is none yet")
    if all(commit["version"] != since for commit in commits):
        why = f"the history of table {source.name} does not go back to the last build"
        return Changes(version, None, why)
    if own is not None and _lost_rows(run, own, last.own_version):
        return Changes(version, None, f"rows were taken out of table {own.name}")
    days = [last.through]
    for commit in commits:
        if _is_upkeep(commit) or commit["version"] == since:
            continue
        found = _FIRST_DAY.search(commit["rows"] or "")
        if found is None:
            why = f"table {source.name} was changed by {commit['operation']}"
            return Changes(version, None, why)
        days.append(dt.date.fromisoformat(found.group(1)))
    return Changes(version, min(days))


def _lost_rows(run: Run, table: Contract, version: int | None) -> bool:
    """Whether anything but appends happened to a table since a version."""
    if version is None:
        return True
    commits = {commit["version"]: commit for commit in run.warehouse.commits_since(table, version)}
    own = commits.pop(version, None)
    appends = all(
        _is_upkeep(commit) or (commit["operation"] == "WRITE" and commit["rows"] is None)
        for commit in commits.values()
    )
    return own is None or not appends


def _is_upkeep(commit: dict[str, Any]) -> bool:
    return str(commit["operation"]).startswith(_UPKEEP)


def _built_before(run: Run) -> dict[str, Built]:
    runs = run.warehouse.read(RUNS)
    if "built" not in runs.columns:  # a table of an earlier version
        return {}
    end = F.col("started_at") + F.make_dt_interval(secs=F.coalesce("seconds", F.lit(0.0)))
    with spark_errors("reading earlier runs"):
        rows = (
            runs.select(end.alias("end"), F.explode("built").alias("product", "made"))
            .groupBy("product")
            .agg(F.max_by("made", "end").alias("made"))
            .collect()
        )
    return {row["product"]: Built(**row["made"].asDict()) for row in rows}
