"""Measure audiences whose horizon has passed: ``audience_results``."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import functions as F
from rich.console import RenderableType

from behavior_spark.features.point_in_time import of_users
from behavior_spark.features.targets import label_column, labels, mark_targets, outcome_of
from behavior_spark.io.failures import spark_errors
from behavior_spark.report.tables import rows_table
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import AUDIENCE_MEMBERS, AUDIENCE_RESULTS, AUDIENCES, EVENTS, ITEMS
from behavior_spark.uses.audiences.counting import arm_counts
from behavior_spark.uses.audiences.rows import NO_HOLDOUT, READY, result_row

KEY = ("audience", "as_of", "target", "valid_until")


@dataclass(frozen=True)
class AudiencesMeasured(StageResult):
    """Results of audiences whose horizon has passed.

    Attributes:
        rows: Rows of ``audience_results`` that this night wrote.
    """

    rows: Sequence[Mapping[str, Any]]

    @property
    def figures(self) -> Mapping[str, float]:
        """How many audiences were measured."""
        return {"audiences_measured": len(self.rows)} if self.rows else {}

    @property
    def details(self) -> Mapping[str, Any]:
        """The rows, days as ISO text."""
        return {"audience_results": [
            {n: v.isoformat() if isinstance(v, dt.date) else v for n, v in row.items()}
            for row in self.rows
        ]} if self.rows else {}  # fmt: skip

    def blocks(self) -> list[RenderableType]:
        """A table of the results."""
        if not self.rows:
            return []
        return [rows_table([_shown(row) for row in self.rows], title="audiences, measured")]


def _shown(row: Mapping[str, Any]) -> dict[str, str]:
    shown = {
        "audience": f"{row['audience']} of {row['as_of']}",
        "reached": f"{row['reached_conversions']:,} of {row['reached']:,}",
        "held out": f"{row['holdout_conversions']:,} of {row['holdout']:,}",
    }
    if row["verdict"] == NO_HOLDOUT:
        return shown | {"won by reaching": "-", "verdict": NO_HOLDOUT}
    return shown | {
        "won by reaching": f"{row['incremental']:,.1f} ({row['incremental_low']:,.1f} to "
        f"{row['incremental_high']:,.1f})",
        "verdict": f"{row['verdict']} (could see {row['detectable']:.1%})",
    }


@stage(
    "measure-audiences",
    does="outcomes of earlier audiences whose horizon has passed: reached beside held out",
    reads=(AUDIENCES, AUDIENCE_MEMBERS, EVENTS, ITEMS, AUDIENCE_RESULTS),
    writes=(AUDIENCE_RESULTS,),
)
def measure_audiences_stage(run: Run) -> AudiencesMeasured:
    """Measure what is due and was not measured on an earlier night; a rerun measures it again."""
    due = _due(run)
    if not due:
        return AudiencesMeasured([])
    with run.step("measure audiences"), spark_errors("measuring audiences"):
        rows = _measure(run, due)
        frame = run.warehouse.frame(AUDIENCE_RESULTS, rows)
        run.warehouse.replace(
            frame, AUDIENCE_RESULTS, where=f"measured_on = DATE'{run.as_of}'"
        )
    return AudiencesMeasured(rows)


def _due(run: Run) -> list[dict[str, Any]]:
    """Keys of the audiences to measure tonight, whose target is still what it was."""
    if not run.warehouse.exists(AUDIENCES):
        return []
    earlier = run.warehouse.read(AUDIENCE_RESULTS).where(
        F.col("measured_on") != F.lit(run.as_of)
    )
    passed = (F.col("valid_until") <= F.lit(run.as_of)) & (F.col("status") == READY)
    with spark_errors("reading audiences"):
        rows = (
            run.warehouse.read(AUDIENCES)
            .where(passed)
            .join(earlier.select("audience", "as_of"), ["audience", "as_of"], "left_anti")
            .select(*KEY)
            .orderBy("as_of", "audience")
            .collect()
        )
    due = []
    for row in rows:
        target = run.settings.targets.get(row["target"])
        horizon = (row["valid_until"] - row["as_of"]).days
        if target is None or target.horizon_days != horizon:
            run.note(
                f"audience {row['audience']} of {row['as_of']} is not measured: its target "
                f"{row['target']} was changed or removed since"
            )
        else:
            due.append(row.asDict())
    return due


def _measure(run: Run, due: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    days = sorted({key["as_of"] for key in due})
    targets = {name: run.settings.targets[name] for name in {key["target"] for key in due}}
    # What arrived before the first day did not happen after it, but for clocks that differ.
    since = F.lit(days[0] - dt.timedelta(days=1)).cast("timestamp")
    events = run.warehouse.require(EVENTS, made_by="ingest").where(F.col("arrived_at") >= since)
    items = run.warehouse.read(ITEMS) if run.settings.sources.items else None
    marked = mark_targets(of_users(events, key="event_id"), items, targets)
    outcomes = labels(marked, days, targets, known_before=run.as_of)
    members = run.warehouse.require(AUDIENCE_MEMBERS, made_by="audiences").where(
        F.col("as_of").isin(days)
    )
    named = {
        name: (label_column(name), float(outcome_of(target).otherwise))
        for name, target in targets.items()
    }
    arms: dict[tuple[str, dt.date], dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for row in arm_counts(members, outcomes, named).collect():
        arms[row["audience"], row["as_of"]][row["arm"]] = row.asDict()
    return [
        result_row(key, arms[key["audience"], key["as_of"]], measured_on=run.as_of) for key in due
    ]
