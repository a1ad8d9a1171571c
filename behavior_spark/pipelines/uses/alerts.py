"""Risk alerts of a night: every kind that can say something, one write, a summary for people."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from rich.console import RenderableType
from rich.text import Text

from behavior_spark.config import Alerts
from behavior_spark.extensions import ALERT_KINDS
from behavior_spark.io.counting import Counted
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.feedback import read_feedback
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines.users.features import Prepared
from behavior_spark.pipelines.uses.alert_inputs import alert_inputs
from behavior_spark.report.tables import rows_table, share_cell
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import (
    EVENTS,
    IDENTITIES,
    ITEMS,
    QUARANTINE,
    RISK_ALERTS,
    RUNS,
    TEXT_SCORES,
    TEXTS,
    USER_FEATURES,
)
from behavior_spark.uses.alerts.assembly import (
    ALERT_COLUMNS,
    alerts_of,
    is_shown,
    with_history,
    with_place,
)
from behavior_spark.uses.alerts.feedback import (
    SEVERITIES,
    precision_counts,
    rank_of_name,
    valid_verdicts,
    verdicts_by_subject,
)
from behavior_spark.uses.alerts.kind import AlertInputs, AlertKind

MOST_SHOWN, KEY = 10, 12


@dataclass(frozen=True)
class Judged:
    """Alerts of earlier nights that people have judged.

    Attributes:
        kind: Kind of alert.
        confirmed: Alerts that were confirmed.
        dismissed: Alerts that were dismissed.
    """

    kind: str
    confirmed: int
    dismissed: int

    @property
    def row(self) -> dict[str, Any]:
        """Precision with Wilson's 95 % interval, as a row of a table."""
        judged = self.confirmed + self.dismissed
        return {
            "kind": self.kind, "confirmed": self.confirmed, "dismissed": self.dismissed,
            "precision": share_cell(self.confirmed, judged),
        }  # fmt: skip


@dataclass(frozen=True)
class Alerted(StageResult):
    """Alerts of a night.

    Attributes:
        shown: Alerts written, by severity and kind.
        left_out: Alerts above the cap, by severity.
        dismissed: Alerts not shown because people dismissed their kind and subject.
        quiet: Kind -> why it could not say anything.
        silent: Subjects of which nothing could be said, by kind and reason.
        strongest: The first alerts: alert (start of its id), severity, kind, status, evidence.
        judged: Earlier alerts that people have judged, by kind.
    """

    shown: Mapping[tuple[str, str], int]
    left_out: Mapping[str, int]
    dismissed: int
    quiet: Mapping[str, str]
    silent: Mapping[str, Mapping[str, int]]
    strongest: list[dict[str, Any]] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)

    @property
    def figures(self) -> Mapping[str, float]:
        """Alerts by severity, and what was left out."""
        by_severity = {
            f"alerts_{name}": sum(n for (severity, _), n in self.shown.items() if severity == name)
            for name in SEVERITIES
        }
        return {
            "alerts": sum(self.shown.values()), **by_severity,
            "alerts_left_out": sum(self.left_out.values()), "alerts_dismissed": self.dismissed,
        }  # fmt: skip

    @property
    def details(self) -> Mapping[str, Any]:
        """Counts by kind, and why kinds are silent."""
        kinds: dict[str, int] = {}
        for (_, kind), n in self.shown.items():
            kinds[kind] = kinds.get(kind, 0) + n
        return {
            "alerts": {
                "by_kind": kinds, "quiet": dict(self.quiet),
                "silent": {kind: dict(reasons) for kind, reasons in self.silent.items()},
                "judged": [vars(judged) for judged in self.judged],
            }
        }  # fmt: skip

    def blocks(self) -> list[RenderableType]:
        """Counts, the strongest alerts, who is silent, and how often earlier ones were right."""
        blocks: list[RenderableType] = [Text(f"\n{self.line}", style="bold")]
        if self.strongest:
            shown = f"the {len(self.strongest)} strongest of {sum(self.shown.values())}"
            blocks.append(rows_table(self.strongest, title=f"Alerts: {shown}"))
        blocks += [Text(f"  {kind} is silent: {why}") for kind, why in self.quiet.items()]
        blocks += [
            Text(f"  {kind}: {count:,} {reason}")
            for kind, reasons in self.silent.items()
            for reason, count in reasons.items()
            if count
        ]
        if self.judged:
            title = "Earlier alerts that people judged (precision with its 95 % interval)"
            blocks.append(rows_table([judged.row for judged in self.judged], title=title))
        return blocks

    @property
    def line(self) -> str:
        """Counts by severity, and what was left out, in one line."""
        figures = self.figures
        counts = ", ".join(f"{figures[f'alerts_{s}']:,.0f} {s}" for s in reversed(SEVERITIES))
        line = f"{figures['alerts']:,.0f} risk alerts: {counts}"
        left_out = ", ".join(f"{n:,} {name}" for name, n in self.left_out.items() if n)
        if left_out:
            line += f"; above alerts.at_most and left out: {left_out}"
        if self.dismissed:
            line += f"; not shown because they were dismissed: {self.dismissed:,}"
        return line


@stage(
    "risk-alerts",
    does="what a security team should look at; nothing unless alerts: is in the config",
    reads=(EVENTS, TEXTS, ITEMS, TEXT_SCORES, IDENTITIES, QUARANTINE, USER_FEATURES, RUNS,
           RISK_ALERTS),
    writes=(RISK_ALERTS,),
)  # fmt: skip
def alerts_stage(run: Run, prepared: Prepared, settings: Alerts) -> Alerted:
    """Replace the alerts of the night; earlier nights stay, so a rerun gives the same."""
    with run.step("risk alerts"), spark_errors("looking for risk alerts"):
        run.warehouse.create(RISK_ALERTS)
        inputs = alert_inputs(run, prepared, settings)
        verdicts = _verdicts(run, settings)
        made = replace_alerts(run.warehouse, inputs, verdicts)
        result = replace(
            made,
            strongest=_strongest(run),
            judged=_judged(verdicts, inputs.earlier),
        )
    run.say(result.line)
    return result


def replace_alerts(
    warehouse: Warehouse, inputs: AlertInputs, verdicts: DataFrame | None = None
) -> Alerted:
    """Find the alerts of a night and write them, in one pass over what they read.

    Args:
        warehouse: Where ``risk_alerts`` is.
        inputs: What kinds read.
        verdicts: From ``feedback.valid_verdicts``; None without feedback.
    """
    settings, as_of = inputs.settings, inputs.as_of
    kinds = {n: ALERT_KINDS.load(n) for n in ALERT_KINDS.names() if n not in settings.leave_out}
    lacking = {name: kind.lacks(inputs) for name, kind in kinds.items()}
    quiet = {name: why for name, why in lacking.items() if why}
    able = {name: kind for name, kind in kinds.items() if name not in quiet}
    alerts, counters = found_alerts(able, inputs)
    judged = None
    if verdicts is not None:
        since = as_of - dt.timedelta(days=settings.feedback_days)
        judged = verdicts_by_subject(verdicts, inputs.earlier, since)
    history = with_history(alerts, inputs.earlier, judged, as_of=as_of)
    found = _counted_by_severity(history)
    caps = settings.at_most.model_dump()
    placed = with_place(found.frame.where("NOT is_dismissed"), caps)
    shown = Counted.over(placed.where(is_shown(caps)), **_shown_by_kind(able))
    warehouse.replace(shown.frame, RISK_ALERTS, where=f"as_of = DATE'{as_of}'")
    totals, counts = found.counts(), shown.counts()
    by_kind = {(severity, kind): counts[f"{severity} {kind}"] for severity in SEVERITIES
               for kind in able}  # fmt: skip
    written = {severity: sum(by_kind[severity, kind] for kind in able) for severity in SEVERITIES}
    return Alerted(
        {key: n for key, n in by_kind.items() if n},
        {severity: totals[severity] - written[severity] for severity in SEVERITIES},
        totals["dismissed"],
        quiet,
        {name: counter.counts() for name, counter in counters.items()},
    )


def found_alerts(
    kinds: Mapping[str, AlertKind], inputs: AlertInputs
) -> tuple[DataFrame, dict[str, Counted]]:
    """Alerts of all kinds as one frame; for each kind what counts its silent subjects."""
    # Without a kind that can say anything there are no rows, of the same columns.
    frames, counters = [inputs.earlier.where("false").select(*ALERT_COLUMNS)], {}
    for name, kind in kinds.items():
        seen = kind.candidates(inputs)
        frame = seen.frame
        if seen.silent:
            counters[name] = Counted.over(frame, **seen.silent)
            frame = counters[name].frame
        frames.append(alerts_of(name, seen, frame))
    return reduce(DataFrame.unionByName, frames), counters


def _counted_by_severity(alerts: DataFrame) -> Counted:
    """All alerts that were not dismissed by severity, those above the caps too; and the others."""
    dismissed = F.col("is_dismissed")
    metrics = {s: F.count_if((F.col("severity") == s) & ~dismissed) for s in SEVERITIES}
    return Counted.over(alerts, **metrics, dismissed=F.count_if(dismissed))


def _shown_by_kind(kinds: Iterable[str]) -> dict[str, Column]:
    return {
        f"{severity} {kind}": F.count_if((F.col("severity") == severity) & (F.col("kind") == kind))
        for kind in kinds
        for severity in SEVERITIES
    }


def _verdicts(run: Run, settings: Alerts) -> DataFrame | None:
    if settings.feedback is None:
        return None
    return valid_verdicts(read_feedback(run.spark, settings.feedback), run.as_of)


def _judged(verdicts: DataFrame | None, earlier: DataFrame) -> list[Judged]:
    if verdicts is None:
        return []
    rows = precision_counts(verdicts, earlier).orderBy("kind").collect()
    return [Judged(row["kind"], row["confirmed"], row["dismissed"]) for row in rows]


def _strongest(run: Run) -> list[dict[str, Any]]:
    """The first alerts of the night, at most ten; by id, for logs hold no user."""
    tonight = run.warehouse.read(RISK_ALERTS).where(F.col("as_of") == F.lit(run.as_of))
    severity = rank_of_name(F.col("severity"))
    order = [severity.desc(), F.desc("score"), F.col("alert_id")]
    rows = tonight.orderBy(*order).limit(MOST_SHOWN)
    key = F.substring("alert_id", 1, KEY).alias("alert")
    shown = rows.select(key, "severity", "kind", "status", "evidence")
    return [row.asDict() for row in shown.collect()]
