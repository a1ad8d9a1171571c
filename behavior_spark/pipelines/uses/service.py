"""The queue of customer service: ``service_queue``, and a summary for a service lead."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich.console import RenderableType
from rich.text import Text

from behavior_spark.config import Service
from behavior_spark.errors import ConfigError
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.model.encoder.answers import AnswerIndex
from behavior_spark.model.heads.head import Head
from behavior_spark.names import quoted_name
from behavior_spark.pipelines.texts.active_model import ActiveTextModel, active_text_model
from behavior_spark.pipelines.uses.service_answers import answer_index, approved_answers
from behavior_spark.pipelines.uses.service_rows import ServiceInputs, queue_rows
from behavior_spark.pipelines.uses.service_threshold import RoutingThreshold, routing_threshold
from behavior_spark.report.tables import rows_table
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import (
    ANNOTATIONS,
    SERVICE_QUEUE,
    TEXT_EMBEDDINGS,
    TEXT_SCORES,
    TEXTS,
    USER_FEATURES,
    USER_PROPENSITY,
)
from behavior_spark.uses.service.counting import VALUES


@dataclass(frozen=True)
class ServiceQueued(StageResult):
    """The queue of a night.

    Attributes:
        incoming: Texts that came in = unwanted + capped + rows.
        unwanted: Texts that nobody answers (config: service.leave_out).
        capped: Texts above ``service.at_most`` of their queue.
        counts: Rows of the queue by ``queue.<name>``, by ``<column>.<value>``, and ``rows``,
            ``with_need``, ``with_reply``, ``with_cases``.
        threshold: Probability that a need had to reach.
        answers: Approved answers that were used.
        unused: Rows of answers that were not used, by reason.
    """

    incoming: int
    unwanted: int
    capped: int
    counts: Mapping[str, int]
    threshold: RoutingThreshold
    answers: int = 0
    unused: Mapping[str, int] = field(default_factory=dict)

    @property
    def figures(self) -> Mapping[str, float]:
        """Texts that came in, and how many of them got a need, an answer and similar cases."""
        rows = {"rows", "with_need", "with_reply", "with_cases", "urgency.high"}
        figures: dict[str, float] = {
            "service_incoming": self.incoming, "service_unwanted": self.unwanted,
            "service_capped": self.capped,
        }  # fmt: skip
        figures |= {f"service_{n.replace('.', '_')}": self.counts.get(n, 0) for n in sorted(rows)}
        if self.threshold.kept is not None:
            figures["service_precision_held_out"] = self.threshold.kept.accuracy
            figures["service_coverage_held_out"] = self.threshold.kept.share
        return figures

    @property
    def details(self) -> Mapping[str, Any]:
        """All counts, and what the threshold means."""
        least = self.threshold.least
        return {
            "service": {
                "incoming": self.incoming, "unwanted": self.unwanted, "capped": self.capped,
                "counts": dict(self.counts), "answers": self.answers, "unused": dict(self.unused),
                "least_confidence": least if math.isfinite(least) else None,
                "threshold": self.threshold.words,
            }
        }  # fmt: skip

    def blocks(self) -> list[RenderableType]:
        """Counts in words, the queues, and why texts have no need and no answer."""
        lines = [Text(f"\n{self.line}", style="bold"), Text(f"  {self.threshold.words}")]
        for column, words in (("abstained_because", "no need"), ("no_reply_because", "no answer")):
            reasons = ", ".join(
                f"{self.counts[f'{column}.{value}']:,} {value}"
                for value in VALUES[column]
                if self.counts.get(f"{column}.{value}")
            )
            if reasons:
                lines.append(Text(f"  {words}: {reasons}"))
        queues = [
            {"queue": name.removeprefix("queue."), "texts": count}
            for name, count in self.counts.items()
            if name.startswith("queue.")
        ]
        return [*lines, rows_table(queues)] if self.counts.get("rows") else [*lines]

    @property
    def line(self) -> str:
        """What came in and what became of it, in one line."""
        rows = self.counts.get("rows", 0)
        line = f"{self.incoming:,} texts for service: {rows:,} queued"
        for count, words in ((self.unwanted, "not wanted"), (self.capped, "above the cap")):
            line += f", {count:,} {words}" if count else ""
        return (
            f"{line}; of those queued {self.counts.get('with_need', 0):,} have a need, "
            f"{self.counts.get('with_reply', 0):,} a suggested answer, "
            f"{self.counts.get('urgency.high', 0):,} are very urgent"
        )


@stage(
    "service-queue",
    does="texts that came in to queues: need, urgency, past cases and an approved answer",
    reads=(TEXTS, TEXT_EMBEDDINGS, TEXT_SCORES, ANNOTATIONS, USER_FEATURES, USER_PROPENSITY),
    writes=(SERVICE_QUEUE,),
    models=("text",),
)
def service_stage(run: Run, service: Service) -> ServiceQueued:
    """Replace the queue of the night; other nights stay, and a rerun gives the same.

    Raises:
        ConfigError: The head of needs gives several labels a text.
        InputError: The answers cannot be read.
    """
    with run.step("service queue"), spark_errors("making the service queue"):
        model = active_text_model(run.settings, run.as_of)
        heads = dict(model.heads) if model else {}
        need = heads.get(service.need)
        _refuse_several_labels(need, service)
        threshold = _threshold(run, service, need)
        answers, unused = approved_answers(run, service) if model else ([], {})
        index = answer_index(run, model, answers, service)
        inputs = _inputs(run, service, model, index, threshold)
        result = replace_queue(run.warehouse, inputs, threshold, unused)
    run.say(result.line)
    _tell(run, service, need, unused, result)
    return result


def replace_queue(
    warehouse: Warehouse,
    inputs: ServiceInputs,
    threshold: RoutingThreshold,
    unused: Mapping[str, int] | None = None,
) -> ServiceQueued:
    """Make the queue of a night and write it, in one pass over what it reads.

    Args:
        warehouse: Where ``service_queue`` is.
        inputs: What it is made from.
        threshold: What ``inputs.least_confidence`` follows from.
        unused: Rows of answers that are not used.
    """
    rows = queue_rows(inputs)
    warehouse.replace(rows.frame, SERVICE_QUEUE, where=f"as_of = DATE'{inputs.as_of}'")
    arrived, kept = rows.arrived.counts(), rows.kept.counts()
    capped = arrived["incoming"] - arrived["unwanted"] - kept["rows"]
    return ServiceQueued(
        arrived["incoming"], arrived["unwanted"], capped, kept, threshold,
        len(set(inputs.index.ids)), unused or {},
    )  # fmt: skip


def _refuse_several_labels(need: Head | None, service: Service) -> None:
    if need is not None and not need.rules.exclusive:
        raise ConfigError(
            f"service.need: the head {service.need} gives several labels a text",
            found=f"a head of kind {need.kind}",
            fix="name a head that gives one label a text: one text goes to one queue",
        )


def _threshold(run: Run, service: Service, need: Head | None) -> RoutingThreshold:
    if need is None:
        return RoutingThreshold(math.inf, wanted=service.wanted_precision)
    return routing_threshold(run, service, need)


def _inputs(
    run: Run,
    service: Service,
    model: ActiveTextModel | None,
    index: AnswerIndex,
    threshold: RoutingThreshold,
) -> ServiceInputs:
    warehouse = run.warehouse
    embeddings = warehouse.read(TEXT_EMBEDDINGS)
    digest = model.digest if model else None
    return ServiceInputs(
        as_of=run.as_of,
        service=service,
        texts=warehouse.require(TEXTS, made_by="ingest"),
        embeddings=embeddings.where(F.col("backbone_digest") == F.lit(digest)),
        scores=warehouse.read(TEXT_SCORES),
        index=index,
        heads={name: head.digest for name, head in model.heads.items()} if model else {},
        backbone_digest=digest,
        least_confidence=threshold.least,
        users=users_of(run, service),
    )


def users_of(run: Run, service: Service) -> DataFrame | None:
    """``user_id`` and what is configured of ``value, risk, risk_decile``; None: nothing is."""
    tonight = F.col("as_of") == F.lit(run.as_of)
    predictions = run.warehouse.read(USER_PROPENSITY).where(tonight)
    parts = []
    if service.value in run.settings.targets:
        amount = predictions.where(F.col("target") == service.value)
        parts.append(amount.select("user_id", F.col("expected").alias("value")))
    elif service.value is not None:
        features = run.warehouse.read(USER_FEATURES).where(tonight)
        if service.value in features.columns:
            value = F.col(quoted_name(service.value)).cast("double").alias("value")
            parts.append(features.select("user_id", value))
    if service.risk is not None:
        risk = predictions.where(F.col("target") == service.risk)
        columns = F.col("probability").alias("risk"), F.col("decile").alias("risk_decile")
        parts.append(risk.select("user_id", *columns))
    if not parts:
        return None
    return parts[0] if len(parts) == 1 else parts[0].join(parts[1], "user_id", "full")


def _tell(
    run: Run, service: Service, need: Head | None, unused: Mapping[str, int], made: ServiceQueued
) -> None:
    if need is None:
        run.note(
            f"service: the head {service.need} is not trained or not in use: no text has a need "
            "(run `behavior-spark finetune` and `promote`)"
        )
    if unused:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in unused.items())
        run.note(f"service.answers: rows not used: {reasons}")
    if made.capped:
        run.note(
            f"service: {made.capped:,} texts are above service.at_most ({service.at_most:,} a "
            "queue) and in no queue"
        )
