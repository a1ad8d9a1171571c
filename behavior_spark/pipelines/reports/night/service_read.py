"""The service queue of a night, as its page shows it: counts by queue."""

from __future__ import annotations

import pandas as pd
from pyspark.sql import functions as F

from behavior_spark.report.page.facts import no_rows
from behavior_spark.runs.run import Run
from behavior_spark.schemas import SERVICE_QUEUE

COLUMNS = ("queue", "texts", "users", "high", "raised", "needs", "replies")


def read_service(run: Run) -> pd.DataFrame:
    """Texts of the night's queue: queue, texts, users, high, raised, needs, replies.

    A text without a user counts as a user of its own.
    """
    if not run.warehouse.exists(SERVICE_QUEUE):
        return no_rows(*COLUMNS)
    return (
        run.warehouse.read(SERVICE_QUEUE)
        .where(F.col("as_of") == F.lit(run.as_of))
        .groupBy("queue")
        .agg(
            F.count(F.lit(1)).alias("texts"),
            F.count_distinct(F.coalesce("user_id", "text_id")).alias("users"),
            F.count_if(F.col("urgency") == "high").alias("high"),
            F.count_if(F.col("urgency") == "raised").alias("raised"),
            F.count("need").alias("needs"),
            F.count("reply_id").alias("replies"),
        )
        .toPandas()
    )
