"""Counts of a night's queue, as aggregates: what came in, was left out, and where the rest went."""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.sql import Column
from pyspark.sql import functions as F

from behavior_spark.model.encoder.answers import NO_REPLY
from behavior_spark.uses.service.needs import ABSTAINED
from behavior_spark.uses.service.routing import ROUTES, URGENCIES

# Columns whose values are counted, with the values that they can have.
VALUES = {
    "abstained_because": ABSTAINED, "urgency": URGENCIES, "routed_by": ROUTES,
    "no_reply_because": NO_REPLY,
}  # fmt: skip


def arrivals() -> dict[str, Column]:
    """Aggregates over all texts that came in; ``unwanted`` says which nobody answers."""
    return {"incoming": F.count(F.lit(1)), "unwanted": F.count_if("unwanted")}


def measures_of(queues: Iterable[str]) -> dict[str, Column]:
    """Aggregates over the rows of the queue, by name: ``<column>.<value>`` and sums."""
    measures = {
        f"{name}.{value}": F.count_if(F.col(name) == value)
        for name, values in VALUES.items()
        for value in values
    }
    measures |= {f"queue.{queue}": F.count_if(F.col("queue") == queue) for queue in queues}
    cases = F.coalesce(F.size("similar_cases"), F.lit(0)) > 0
    return measures | {
        "rows": F.count(F.lit(1)),
        "with_need": F.count_if(F.col("need").isNotNull()),
        "with_reply": F.count_if(F.col("reply_id").isNotNull()),
        "with_cases": F.count_if(cases),
    }
