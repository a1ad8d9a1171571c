"""Texts of the days before a night, by what the heads said of them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from pyspark.sql import functions as F

from behavior_spark.report.page.facts import no_rows
from behavior_spark.runs.run import Run
from behavior_spark.schemas import TEXT_SCORES, TEXTS

WEEKS = 13
_HEAD = "head_"


def read_texts(run: Run, models: Mapping[str, str]) -> pd.DataFrame:
    """Texts that arrived in the weeks before the night: head, period, label, texts, users.

    Args:
        run: The run.
        models: Digests of the night's models, as ``runs`` has them.
    """
    digests = [digest for name, digest in models.items() if name.startswith(_HEAD)]
    if not digests or not run.warehouse.exists(TEXT_SCORES):
        return no_rows("head", "period", "label", "texts", "users")
    scores = (
        run.warehouse.read(TEXT_SCORES)
        .where(F.col("head_digest").isin(digests))
        .dropDuplicates(["text_hash", "head_digest"])
        .select("text_hash", "head", "label")
    )
    night = F.lit(run.as_of)
    weeks_ago = F.ceil(F.datediff(night, "arrived_day") / 7).cast("int")
    texts = (
        run.warehouse.read(TEXTS)
        .where((F.col("arrived_day") < night) & (weeks_ago <= WEEKS))
        .select("text_hash", "user_id", F.date_sub(night, weeks_ago * 7).alias("period"))
    )
    return (
        texts.join(scores, "text_hash")
        .groupBy("head", "period", "label")
        .agg(
            F.count(F.lit(1)).alias("texts"),
            F.count_distinct("user_id").alias("users"),
        )
        .toPandas()
    )
