"""From what kinds saw to the alerts of a night: ids, severities, verdicts, and the caps."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.uses.alerts.feedback import (
    CONFIRMED,
    DISMISSED,
    SEVERITIES,
    rank_of,
    severity_of,
)
from behavior_spark.uses.alerts.kind import Candidates
from behavior_spark.uses.firsts import first_of_each

ALERT_COLUMNS = (
    "kind", "subject_kind", "subject", "about", "times_limit", "evidence", "figures", "check_sql",
    "members", "texts", "alert_id",
)  # fmt: skip
_PARTS = "array<string>"


def alerts_of(kind: str, seen: Candidates, frame: DataFrame) -> DataFrame:
    """Candidates at or above their limit, as rows of ``risk_alerts`` without their history.

    Args:
        kind: Name of the kind.
        seen: What it saw.
        frame: ``seen.frame``, or the same rows while they are counted.
    """
    no_strings = F.lit(None).cast(_PARTS)
    shown = frame.where((F.col("times_limit") >= 1) & seen.subject.isNotNull())
    return shown.select(
        F.lit(kind).alias("kind"),
        seen.subject_kind.alias("subject_kind"),
        seen.subject.alias("subject"),
        seen.about.alias("about"),
        F.col("times_limit").cast("double").alias("times_limit"),
        seen.evidence.alias("evidence"),
        seen.figures.cast("map<string,double>").alias("figures"),
        seen.check_sql.alias("check_sql"),
        (no_strings if seen.members is None else seen.members.cast(_PARTS)).alias("members"),
        (no_strings if seen.texts is None else seen.texts.cast(_PARTS)).alias("texts"),
    ).withColumn("alert_id", F.sha2(F.to_json(F.array("kind", "subject", "about")), 256))


def with_history(
    alerts: DataFrame, earlier: DataFrame, judged: DataFrame | None, *, as_of: dt.date
) -> DataFrame:
    """Add severity, score, first and last seen, nights, status, and ``is_dismissed``.

    Args:
        alerts: From ``alerts_of``.
        earlier: Contract ``risk_alerts``, of earlier nights.
        judged: From ``feedback.verdicts_by_subject``; None without feedback.
        as_of: The night.
    """
    before = earlier.groupBy("alert_id").agg(
        F.min("first_seen").alias("_first"), F.count(F.lit(1)).alias("_nights")
    )
    alerts = alerts.join(F.broadcast(before), "alert_id", "left")
    if judged is None:
        alerts = alerts.withColumns(
            {"verdict": F.lit(None).cast("string"), "verdict_rank": F.lit(None).cast("int")}
        )
    else:
        alerts = alerts.join(F.broadcast(judged), ["kind", "subject"], "left")
    rank = rank_of(F.col("times_limit"))
    confirmed = F.coalesce(F.col("verdict") == CONFIRMED, F.lit(False))
    dismissed = F.coalesce(F.col("verdict") == DISMISSED, F.lit(False))
    raised = F.least(rank + confirmed.cast("int"), F.lit(len(SEVERITIES) - 1))
    again = F.when(F.col("_first").isNotNull(), "again").otherwise("new")
    return alerts.withColumns(
        {
            "as_of": F.lit(as_of),
            "score": 1 - 0.5 / F.col("times_limit"),
            "severity": severity_of(raised),
            "first_seen": F.coalesce("_first", F.lit(as_of)),
            "last_seen": F.lit(as_of),
            "nights": (F.coalesce("_nights", F.lit(0)) + 1).cast("int"),
            "status": F.when(confirmed, "confirmed").when(dismissed, "risen").otherwise(again),
            "is_dismissed": dismissed & (rank <= F.coalesce("verdict_rank", F.lit(0))),
        }
    ).drop("_first", "_nights", "verdict", "verdict_rank")


def with_place(alerts: DataFrame, caps: Mapping[str, int]) -> DataFrame:
    """Add ``place``, from 1 within a severity: kinds take turns, each with its strongest first.

    So a kind with many alerts does not push the others out. Alerts that come after the largest cap
    are left out: none of them can be shown.

    Args:
        alerts: From ``with_history``.
        caps: Alerts of each severity at most.
    """
    strongest, most = [F.desc("times_limit")], max(caps.values())
    turns = first_of_each(
        alerts, "severity", "kind", order=strongest, key="alert_id", most=most, place="_turn"
    )
    order = [F.col("_turn"), *strongest]
    return first_of_each(turns, "severity", order=order, key="alert_id", most=most).drop("_turn")


def is_shown(caps: Mapping[str, int]) -> Column:
    """Whether an alert's place is within the cap of its severity."""
    within = F.lit(False)
    for severity, most in caps.items():
        within = within | ((F.col("severity") == severity) & (F.col("place") <= most))
    return within
