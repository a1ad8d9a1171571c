"""Reasons of a night's predictions: of all users together, and of five."""

from __future__ import annotations

import pandas as pd
from pyspark.sql import functions as F

from behavior_spark.pipelines.reports.night.targets_read import people
from behavior_spark.runs.run import Run
from behavior_spark.schemas import USER_PROPENSITY

# One user of each of these deciles is shown.
DECILES = (1, 3, 5, 7, 10)
KEY_LENGTH = 10


def read_reasons(run: Run) -> pd.DataFrame:
    """Reasons of people's predictions: target, feature, users, size, raises."""
    reason = F.col("reason")
    return (
        run.warehouse.read(USER_PROPENSITY)
        .where(F.col("as_of") == F.lit(run.as_of))
        .join(people(run, run.as_of), "user_id", "left_semi")
        .select("target", F.explode("reasons").alias("reason"))
        .groupBy("target", reason["feature"].alias("feature"))
        .agg(
            F.count(F.lit(1)).alias("users"),
            F.avg(F.abs(reason["contribution"])).alias("size"),
            F.avg((reason["contribution"] > 0).cast("double")).alias("raises"),
        )
        .toPandas()
    )


def read_examples(run: Run, target: str) -> pd.DataFrame:
    """A target's user with the highest score in some deciles, without the user's id.

    ``user_key`` is a hash of the id with the key of this run, which is in the table ``runs`` and
    not on the page: who has the tables can find the user, who has the page cannot.
    """
    key = F.sha2(F.concat(F.lit(run.run_id), "user_id"), 256).substr(1, KEY_LENGTH)
    shown = F.struct(
        key.alias("user_key"),
        F.coalesce("probability", "expected").alias("predicted"),
        F.transform("reasons", lambda reason: reason["text"]).alias("reasons"),
        F.col("nearest_change")["text"].alias("change"),
    )
    return (
        run.warehouse.read(USER_PROPENSITY)
        .where((F.col("as_of") == F.lit(run.as_of)) & (F.col("target") == target))
        .where(F.col("decile").isin(*DECILES))
        .join(people(run, run.as_of), "user_id", "left_semi")
        .groupBy("target", "decile")
        .agg(F.max_by(shown, F.struct("score", key)).alias("shown"))
        .select("target", "decile", "shown.*")
        .orderBy("decile")
        .toPandas()
    )
