"""Check what the section ``service`` names, before a night starts; no row is read."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.cleaning.languages import require_languages
from behavior_spark.config import Service
from behavior_spark.errors import ConfigError
from behavior_spark.io.answers import read_answers
from behavior_spark.io.expressions import check_condition
from behavior_spark.names import normal_name
from behavior_spark.pipelines.uses.audience_check import user_columns
from behavior_spark.runs.run import Run
from behavior_spark.schemas import SERVICE_QUEUE, TEXTS

# What a queue's condition may name: columns of the row that are known before it is routed.
_BEFORE_ROUTING = (
    "text_id", "user_id", "arrived_at", "kind", "language", "need", "need_confidence",
    "second_need", "likeliest_need", "abstained_because", "mood", "urgency", "urgent_because",
    "value", "risk",
)  # fmt: skip


def check_service_settings(run: Run) -> None:
    """Check conditions, languages, the mapping of answers, and the column of value.

    Raises:
        ConfigError: One does not fit.
        InputError: The answers cannot be read.
    """
    service = run.settings.service
    if service is None:
        return
    texts = run.warehouse.empty(TEXTS)
    check_condition(texts, service.texts, label="service.texts")
    row = routable(run.warehouse.empty(SERVICE_QUEUE))
    for name, queue in service.queues.items():
        if queue.where:
            check_condition(row, queue.where, label=f"service.queues.{name}.where")
    if service.languages:
        require_languages(service.languages)
    if service.answers is not None:
        read_answers(run.spark, service.answers)
    _check_value(run, service)
    _check_needs(run, service)


def routable(queue: DataFrame) -> DataFrame:
    """The columns that a queue's condition may name."""
    return queue.select(*[F.col(name) for name in _BEFORE_ROUTING])


def _check_value(run: Run, service: Service) -> None:
    if service.value is None:
        return
    target = run.settings.targets.get(service.value)
    if target is not None and target.kind != "amount":
        raise ConfigError(
            f"service.value: the target {service.value} predicts no amount",
            found=f"kind {target.kind}",
            fix="name a target of kind amount, or a column of user_features",
        )
    if target is None and service.value not in user_columns(run).names:
        raise ConfigError(
            f"service.value: no column {service.value} in user_features",
            fix="`behavior-spark features describe` lists them; or name a target of kind amount",
        )


def _check_needs(run: Run, service: Service) -> None:
    """Note labels that two queues take: the first has them."""
    seen: dict[str, str] = {}
    for name, queue in service.queues.items():
        for need in map(normal_name, queue.needs):
            if need in seen and service.queues[seen[need]].where is None:
                run.note(f"service.queues.{name}: {seen[need]} takes {need} before it")
            seen.setdefault(need, name)
