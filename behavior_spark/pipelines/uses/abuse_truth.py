"""Alerts about texts of the demo against the spam that was planted, beside a list of words."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich.console import RenderableType
from rich.text import Text

from behavior_spark.config import Alerts, Source
from behavior_spark.demo.generate import DemoLayout
from behavior_spark.demo.incidents import SPAM, SUSPECT_WORDS
from behavior_spark.io.counting import aggregated
from behavior_spark.io.sources import read_raw
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.report.tables import rows_table, share_cell
from behavior_spark.schemas import RISK_ALERTS, TEXTS

KIND = "text_abuse"


@dataclass(frozen=True)
class AbuseRule:
    """A rule that points at users who write spam, against the truth.

    Attributes:
        rule: Its name.
        users: Users that it points at.
        right: Those who wrote spam.
    """

    rule: str
    users: int
    right: int


@dataclass(frozen=True)
class AbuseMeasured:
    """Rules against the truth.

    Attributes:
        writers: Users who wrote spam in the days before the night.
        rules: The alerts, and the list of words with two texts and with one.
    """

    writers: int
    rules: list[AbuseRule]

    def blocks(self) -> list[RenderableType]:
        """A table of the rules: precision and recall with Wilson's 95 % intervals."""
        rows = [
            {
                "rule": rule.rule, "users": rule.users,
                "precision": share_cell(rule.right, rule.users),
                f"recall of {self.writers}": share_cell(rule.right, self.writers),
            }
            for rule in self.rules
        ]  # fmt: skip
        title = "\nUsers who write spam, against what was planted"
        return [Text(title, style="bold"), rows_table(rows)]


def measure_abuse(warehouse: Warehouse, layout: DemoLayout, settings: Alerts) -> AbuseMeasured:
    """Measure the alerts ``text_abuse`` of the demo's night; one row of counts is collected.

    Args:
        warehouse: The demo's tables.
        layout: Where the truth is.
        settings: The section ``alerts``.
    """
    source = Source(path=layout.planted, columns={"user_id": "uid"})
    planted = read_raw(warehouse.spark, source, label="planted").where(F.col("kind") == SPAM)
    night = F.lit(layout.as_of)
    tonight = (F.col("as_of") == night) & (F.col("kind") == KIND)
    alerted = warehouse.read(RISK_ALERTS).where(tonight).select(F.col("subject").alias("user_id"))
    ago = F.datediff(night, F.to_date("text_time"))
    known = F.col("arrived_at") < night.cast("timestamp")
    texts = warehouse.read(TEXTS).where(known & (ago > 0) & (ago <= settings.text_abuse.days))
    return measured(alerted, texts, planted.select(F.col("uid").alias("user_id")))


def measured(alerted: DataFrame, texts: DataFrame, writers: DataFrame) -> AbuseMeasured:
    """Rules against the truth.

    Args:
        alerted: ``user_id`` of the alerts.
        texts: ``user_id, text_id, text`` of the days that alerts look at.
        writers: ``user_id`` of those who wrote spam.
    """
    suspect = F.lower("text").rlike(rf"\b({'|'.join(SUSPECT_WORDS)})\b")
    words = texts.where(suspect).groupBy("user_id").agg(F.count_distinct("text_id").alias("texts"))
    users = (
        words.join(alerted.distinct().withColumn("alerted", F.lit(True)), "user_id", "full")
        .join(writers.distinct().withColumn("wrote", F.lit(True)), "user_id", "full")
        .where(F.col("user_id").isNotNull())
    )
    rules = {
        KIND: F.col("alerted"),
        "naive: two texts with a suspect word": F.col("texts") >= 2,
        "naive: one text with a suspect word": F.col("texts") >= 1,
    }
    wrote = F.col("wrote")
    counts = {"writers": F.count_if(wrote)}
    for name, points in rules.items():
        counts |= {f"{name} users": F.count_if(points), f"{name} right": F.count_if(points & wrote)}
    found = aggregated(users, counts)
    return AbuseMeasured(
        found["writers"],
        [AbuseRule(name, found[f"{name} users"], found[f"{name} right"]) for name in rules],
    )
