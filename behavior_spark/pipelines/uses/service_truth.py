"""The demo's queue against what its texts were made to mean, beside routing by keywords."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F
from rich.console import RenderableType
from rich.text import Text

from behavior_spark.config import Service, Source
from behavior_spark.demo.answers import ANSWERS, KEYWORDS
from behavior_spark.demo.generate import DemoLayout
from behavior_spark.io.counting import aggregated
from behavior_spark.io.sources import read_raw
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.report.tables import rows_table, share_cell
from behavior_spark.schemas import SERVICE_QUEUE, TEXTS


@dataclass(frozen=True)
class RoutingMeasured:
    """A rule that gives needs, against the truth.

    Attributes:
        rule: Its name.
        texts: Texts in the queue.
        answered: Texts to which it gives a need.
        right: Of those, texts whose need is the true one.
        right_queue: Texts, with a need or not, that it sends to the true need's queue.
    """

    rule: str
    texts: int
    answered: int
    right: int
    right_queue: int

    @property
    def row(self) -> dict[str, Any]:
        """Precision and coverage, with Wilson's 95 % interval."""
        return {
            "rule": self.rule,
            "texts": self.texts,
            "needs given": share_cell(self.answered, self.texts),
            "of them right": share_cell(self.right, self.answered),
            "in the right queue": share_cell(self.right_queue, self.texts),
        }


@dataclass(frozen=True)
class ServiceMeasured:
    """The queue against the truth.

    Attributes:
        rules: The head at its threshold, the head without one, and keywords.
        replies: Answers that were suggested.
        fitting: Of those, answers that fit the true need.
    """

    rules: list[RoutingMeasured]
    replies: int
    fitting: int

    def blocks(self) -> list[RenderableType]:
        """A table of the rules, and one line about the answers."""
        return [
            Text("\nService queue against what the texts mean", style="bold"),
            rows_table([rule.row for rule in self.rules]),
            Text(f"  suggested answers that fit: {share_cell(self.fitting, self.replies)} of "
                 f"{self.replies:,}"),
        ]  # fmt: skip


def measure_service(
    warehouse: Warehouse, layout: DemoLayout, service: Service
) -> ServiceMeasured:
    """Measure the queue of the demo's night; one row of counts is collected.

    Args:
        warehouse: The demo's tables.
        layout: Where the truth is.
        service: Queues and their needs.
    """
    source = Source(path=layout.meanings, columns={"text_id": "id"})
    truth = read_raw(warehouse.spark, source, label="meanings").select(
        F.col("id").alias("text_id"), F.col("intent").alias("meant")
    )
    queue = warehouse.read(SERVICE_QUEUE).where(F.col("as_of") == F.lit(layout.as_of))
    texts = warehouse.read(TEXTS).select("text_id", "arrived_at", "text")
    rows = queue.join(texts, ["text_id", "arrived_at"]).join(truth, "text_id")
    rows = rows.withColumn("by_keywords", by_keywords(F.col("text")))
    rules = {"head": "need", "head, never abstaining": "likeliest_need", "keywords": "by_keywords"}
    right_queue = queue_of(F.col("meant"), service)
    counts = {"texts": F.count(F.lit(1))}
    for rule, column in rules.items():
        given = F.col("queue") if rule == "head" else queue_of(F.col(column), service)
        counts |= {
            f"{rule}.answered": F.count(column),
            f"{rule}.right": F.count_if(F.col(column) == F.col("meant")),
            f"{rule}.queue": F.count_if(given == right_queue),
        }
    fits = F.array_contains(_needs_of(F.col("reply_id")), F.col("meant"))
    counts |= {"replies": F.count("reply_id"), "fitting": F.count_if(fits)}
    n = aggregated(rows, counts)
    return ServiceMeasured(
        [
            RoutingMeasured(
                rule, n["texts"], n[f"{rule}.answered"], n[f"{rule}.right"], n[f"{rule}.queue"]
            )
            for rule in rules
        ],
        n["replies"],
        n["fitting"],
    )


def by_keywords(text: Column) -> Column:
    """The first need one of whose keywords stands in the text; null where none does."""
    lower = F.lower(text)
    need = F.lit(None).cast("string")
    for name, words in reversed(KEYWORDS.items()):
        need = F.when(lower.rlike(rf"\b({'|'.join(words)})"), name).otherwise(need)
    return need


def queue_of(need: Column, service: Service) -> Column:
    """The first queue that takes a need; the default one without a need."""
    queue = F.lit(service.default_queue)
    for name, settings in reversed(service.queues.items()):
        if settings.needs and settings.where is None:
            queue = F.when(need.isin(*settings.needs), name).otherwise(queue)
    return queue


def _needs_of(answer: Column) -> Column:
    """Needs that an answer of the demo fits."""
    needs = F.array().cast("array<string>")
    for name, fitting, _ in ANSWERS:
        needs = F.when(answer == name, F.array(*map(F.lit, fitting.split(",")))).otherwise(needs)
    return needs

