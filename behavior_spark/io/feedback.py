"""Read the user's table of verdicts about alerts."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.config import AlertFeedback
from behavior_spark.io.expressions import type_of
from behavior_spark.io.sources import read_raw

_LABEL = "alerts.feedback"


def read_feedback(spark: SparkSession, source: AlertFeedback) -> DataFrame:
    """``alert_id, verdict, by`` (strings) and ``at`` (timestamp; null where it cannot be read).

    Raises:
        InputError: The table is not there.
        ConfigError: A mapping is not SQL over its columns.
    """
    frame = read_raw(spark, source, label=_LABEL)
    for name, expression in source.columns.items():
        type_of(frame, expression, label=f"{_LABEL}.columns.{name}")
    kinds = {"alert_id": "string", "verdict": "string", "by": "string", "at": "timestamp"}
    return frame.select(
        *[F.expr(source.columns[name]).try_cast(kind).alias(name) for name, kind in kinds.items()]
    )
