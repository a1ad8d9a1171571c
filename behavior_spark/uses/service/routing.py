"""How urgent a text is, which queue takes it, and at which place.

Urgency, queue and the rule that chose it depend on the row alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.config import Service
from behavior_spark.uses.firsts import first_of_each
from behavior_spark.uses.service.needs import OTHER_LANGUAGE, TWO_NEEDS

HIGH, RAISED, NORMAL = "high", "raised", "normal"
URGENCIES = (HIGH, RAISED, NORMAL)
ANGRY, URGENT_NEED, AT_RISK = "angry", "urgent_need", "at_risk"
ROUTES = ("need", "both_needs", "condition", "language", "angry", "default")


def with_urgency(frame: DataFrame, service: Service) -> DataFrame:
    """Add ``urgent_because`` and ``urgency``: high from two reasons on, raised with one.

    A text that may have either of two needs is urgent if one of them is.

    Args:
        frame: With ``is_angry`` (boolean), ``need``, ``likeliest_need``, ``second_need`` and
            ``risk_decile`` (1: the highest; null: not ranked).
        service: Which needs and deciles are urgent.
    """
    needs = F.lit(False)
    if service.urgent:
        of_two = F.col("second_need").isNotNull() & (
            F.col("likeliest_need").isin(*service.urgent)
            | F.col("second_need").isin(*service.urgent)
        )
        needs = F.coalesce(F.col("need").isin(*service.urgent), F.lit(False)) | F.coalesce(
            of_two, F.lit(False)
        )
    at_risk = F.coalesce(F.col("risk_decile") <= service.risk_deciles, F.lit(False))
    reasons = F.filter(
        F.array(
            F.when(F.col("is_angry"), ANGRY), F.when(needs, URGENT_NEED), F.when(at_risk, AT_RISK)
        ),
        lambda reason: reason.isNotNull(),
    )
    count = F.size("urgent_because")
    urgency = F.when(count >= 2, HIGH).when(count == 1, RAISED).otherwise(NORMAL)
    return frame.withColumn("urgent_because", reasons).withColumn("urgency", urgency)


def with_queue(frame: DataFrame, service: Service) -> DataFrame:
    """Add ``queue`` and ``routed_by``, one of ``ROUTES``.

    In this order: texts in another language; the first queue by need, whose condition holds; the
    first that takes both needs of a text that fits two; the first that has a condition alone; angry
    texts without a need; all others.

    Args:
        frame: With the columns of ``with_need`` and ``with_urgency``, ``value``, ``risk`` and what
            conditions name.
        service: Queues.
    """
    rules: list[tuple[Column, str, str]] = []

    def add(condition: Column, queue: str, by: str) -> None:
        rules.append((condition, queue, by))

    by_need = {name: queue for name, queue in service.queues.items() if queue.needs}
    add(F.col("abstained_because") == OTHER_LANGUAGE,
        service.language_queue or service.default_queue, "language")  # fmt: skip
    for name, queue in by_need.items():
        add(F.col("need").isin(*queue.needs) & _holds(queue.where), name, "need")
    for name, queue in by_need.items():
        both = F.col("likeliest_need").isin(*queue.needs) & F.col("second_need").isin(*queue.needs)
        add((F.col("abstained_because") == TWO_NEEDS) & both & _holds(queue.where), name,
            "both_needs")  # fmt: skip
    for name, queue in service.queues.items():
        if not queue.needs:
            add(_holds(queue.where), name, "condition")
    add(F.col("is_angry") & F.col("need").isNull(),
        service.angry_queue or service.default_queue, "angry")  # fmt: skip
    route = _route(service.default_queue, "default")
    for condition, queue_name, by in reversed(rules):
        holds = F.coalesce(condition, F.lit(False))
        route = F.when(holds, _route(queue_name, by)).otherwise(route)
    routed = frame.withColumn("_route", route)
    return routed.withColumns(
        {"queue": F.col("_route.queue"), "routed_by": F.col("_route.by")}
    ).drop("_route")


def _route(queue: str, by: str) -> Column:
    return F.struct(F.lit(queue).alias("queue"), F.lit(by).alias("by"))


def _holds(condition: str | None) -> Column:
    return F.lit(True) if condition is None else F.expr(f"({condition})")


def with_place(frame: DataFrame, *, most: int) -> DataFrame:
    """The first texts of each queue, with ``place``: by urgency, risk, value and time of arrival.

    Args:
        frame: With ``queue``, ``urgency``, ``risk``, ``value``, ``arrived_at`` and ``text_id``.
        most: Texts of a queue that are kept.
    """
    return first_of_each(frame, "queue", order=place_order(), key="text_id", most=most)


def place_order() -> Sequence[Column]:
    """What comes first in a queue."""
    urgency = F.array_position(F.array(*map(F.lit, URGENCIES)), F.col("urgency"))
    return [
        urgency, F.desc_nulls_last("risk"), F.desc_nulls_last("value"), F.col("arrived_at"),
    ]  # fmt: skip
