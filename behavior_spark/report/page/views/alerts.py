"""View of risk alerts: how many, of which kinds, and the strongest with their evidence."""

from __future__ import annotations

import pandas as pd

from behavior_spark.names import counted
from behavior_spark.report.page.blocks import Block, DataTable, Section, Words
from behavior_spark.report.page.facts import NightFacts
from behavior_spark.report.page.ranked import rows_of
from behavior_spark.report.page.words import number

STRONGEST = 10
SEVERITIES = ("high", "medium", "low")
_TITLE = "Risk alerts: what security should look at"
_KEY = 12  # characters of an alert_id: enough to find it, and no user


def alerts_view(facts: NightFacts) -> Section:
    """Counts by kind and severity, and the evidence of the strongest; users stay unnamed."""
    figures = facts.run.figures if facts.run else {}
    if facts.alerts.empty and "alerts" not in figures:
        return Section("alerts", _TITLE, left_out="no alerts were made (alerts: in the config)")
    if facts.alerts.empty:
        return Section("alerts", _TITLE, [Words("No risk alerts on this night.")], _queries(facts))
    left_out = figures.get("alerts_left_out", 0)
    capped = f"; {number(left_out)} more were above the cap (alerts.at_most)" if left_out else ""
    blocks: list[Block] = [
        Words(
            f"{counted(len(facts.alerts), 'alert')} on this night{capped}. An alert is a hint, not "
            "a verdict: check its figures."
        ),
        _by_kind(facts.alerts),
        _strongest(facts.alerts),
    ]
    return Section("alerts", _TITLE, blocks, _queries(facts))


def _by_kind(alerts: pd.DataFrame) -> DataTable:
    counts = alerts.groupby(["kind", "severity"]).size().unstack(fill_value=0)
    counts = counts.reindex(columns=list(SEVERITIES), fill_value=0).sort_index()
    rows = [[kind, *[number(n) for n in row]] for kind, row in zip(
        counts.index, counts.to_numpy(), strict=True)]  # fmt: skip
    return DataTable("Alerts by kind and severity", ["kind", *SEVERITIES], rows)


def _strongest(alerts: pd.DataFrame) -> DataTable:
    order = alerts["severity"].map({name: place for place, name in enumerate(SEVERITIES)})
    ranked = alerts.assign(order=order).sort_values(
        ["order", "score", "alert_id"], ascending=[True, False, True]
    )
    rows = [
        [row.alert_id[:_KEY], row.severity, row.kind, row.status, row.evidence]
        for row in rows_of(ranked.head(STRONGEST))
    ]
    return DataTable(
        f"The {len(rows)} strongest of {number(len(alerts))}",
        ["alert", "severity", "kind", "status", "evidence"], rows, text_columns=5,
    )  # fmt: skip


def _queries(facts: NightFacts) -> list[tuple[str, str]]:
    return [
        (
            "Alerts by kind and severity",
            "SELECT kind, severity, count(*) AS alerts FROM risk_alerts\n"
            f"WHERE as_of = DATE'{facts.as_of}' GROUP BY kind, severity ORDER BY kind, severity",
        ),
        (
            "The strongest alerts, with a query that shows what each rests on",
            "SELECT alert_id, severity, kind, subject, evidence, check_sql FROM risk_alerts\n"
            f"WHERE as_of = DATE'{facts.as_of}' ORDER BY score DESC LIMIT {STRONGEST}",
        ),
    ]
