"""Alerts of the demo against what was planted in its logs, beside a naive rule."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich.console import RenderableType
from rich.text import Text

from behavior_spark.config import Source
from behavior_spark.demo.generate import DemoLayout
from behavior_spark.io.sources import read_raw
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.report.tables import rows_table, share_cell
from behavior_spark.schemas import EVENTS, RISK_ALERTS


@dataclass(frozen=True)
class RuleMeasured:
    """A rule that points at users, against the truth.

    Attributes:
        rule: Its name.
        users: Users that it points at.
        right: Those with whom something was planted.
        found: Kind of incident -> users with it that it points at.
    """

    rule: str
    users: int
    right: int
    found: dict[str, int]

    def row(self, planted: dict[str, int]) -> dict[str, Any]:
        """Precision with Wilson's 95 % interval, and recall of each kind."""
        precision = share_cell(self.right, self.users)
        recall = {kind: f"{self.found.get(kind, 0)} of {n}" for kind, n in planted.items()}
        return {"rule": self.rule, "users": self.users, "precision": precision, **recall}


@dataclass(frozen=True)
class AlertsMeasured:
    """Rules against the truth.

    Attributes:
        planted: Kind of incident -> users.
        rules: The alerts, each kind of alert alone, and the naive rule.
    """

    planted: dict[str, int]
    rules: list[RuleMeasured]

    def blocks(self) -> list[RenderableType]:
        """A table of the rules."""
        return [
            Text("\nRisk alerts against what was planted", style="bold"),
            rows_table([rule.row(self.planted) for rule in self.rules]),
        ]


def measure_alerts(warehouse: Warehouse, layout: DemoLayout, *, days: int) -> AlertsMeasured:
    """Measure the alerts of the demo's night; counts alone are collected.

    The naive rule points at as many users as the alerts do: those with most events that arrived
    in the same days.

    Args:
        warehouse: The demo's tables.
        layout: Where the truth is.
        days: ``alerts.days``.
    """
    source = Source(path=layout.planted, columns={"user_id": "uid"})
    truth = read_raw(warehouse.spark, source, label="planted").select(
        F.col("uid").alias("user_id"), F.col("kind").alias("incident")
    )
    night = F.lit(layout.as_of)
    alerts = warehouse.read(RISK_ALERTS).where(F.col("as_of") == night)
    users = F.when(F.col("subject_kind") == "user", F.array("subject")).otherwise(F.col("members"))
    pointed = alerts.select("kind", F.explode(users).alias("user_id")).distinct()
    everyone = pointed.select(F.lit("all alerts").alias("kind"), "user_id").distinct()
    planted = {r["incident"]: r["n"] for r in _counted(truth, "incident").collect()}
    alerted = everyone.count()
    arrived = F.datediff(night, "arrived_day")
    busiest = (
        warehouse.read(EVENTS)
        .where((arrived > 0) & (arrived <= days) & F.col("user_id").isNotNull())
        .groupBy("user_id")
        .agg(F.count_distinct("event_id").alias("n"))
        .orderBy(F.desc("n"), "user_id")
        .limit(alerted)
        .select(F.lit(f"naive: the {alerted} users with most events").alias("kind"), "user_id")
    )
    rules = [
        measured
        for frame in (everyone.unionByName(pointed), busiest)
        for measured in _measured(frame, truth)
    ]
    return AlertsMeasured(planted, sorted(rules, key=_order))


def _order(measured: RuleMeasured) -> tuple[int, str]:
    first = {"all alerts": 0}.get(measured.rule, 2 if measured.rule.startswith("naive") else 1)
    return first, measured.rule


def _counted(truth: DataFrame, *by: str) -> DataFrame:
    return truth.groupBy(*by).agg(F.count_distinct("user_id").alias("n")).orderBy(*by)


def _measured(pointed: DataFrame, truth: DataFrame) -> list[RuleMeasured]:
    joined = pointed.join(truth, "user_id", "left")
    sizes = joined.groupBy("kind").agg(
        F.count_distinct("user_id").alias("users"),
        F.count_distinct(F.when(F.col("incident").isNotNull(), F.col("user_id"))).alias("right"),
    )
    found: dict[str, dict[str, int]] = {}
    hits = joined.where(F.col("incident").isNotNull())
    for row in _counted(hits, "kind", "incident").collect():
        found.setdefault(row["kind"], {})[row["incident"]] = row["n"]
    return [
        RuleMeasured(row["kind"], row["users"], row["right"], found.get(row["kind"], {}))
        for row in sizes.collect()
    ]
