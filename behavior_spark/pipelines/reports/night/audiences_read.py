"""Audiences of a night, and the latest results of earlier ones: small tables."""

from __future__ import annotations

from typing import Any

from pyspark.sql import functions as F

from behavior_spark.runs.run import Run
from behavior_spark.schemas import AUDIENCE_RESULTS, AUDIENCES

# Results that are shown, the latest nights first.
RESULTS = 20


def read_audiences(run: Run) -> dict[str, Any]:
    """Facts of audiences by name, as in ``NightFacts``; none where there are no such tables."""
    facts: dict[str, Any] = {}
    if run.warehouse.exists(AUDIENCES):
        tonight = run.warehouse.read(AUDIENCES).where(F.col("as_of") == F.lit(run.as_of))
        facts["audiences"] = tonight.drop("model_digest").orderBy("audience").toPandas()
    if run.warehouse.exists(AUDIENCE_RESULTS):
        results = run.warehouse.read(AUDIENCE_RESULTS)
        known = results.where(F.col("as_of") <= F.lit(run.as_of))
        latest = known.orderBy(F.desc("as_of"), "audience").limit(RESULTS)
        facts["audience_results"] = latest.toPandas()
    return facts
