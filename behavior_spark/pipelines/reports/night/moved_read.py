"""Scores and features of a night and of the night before, as counts of users by value."""

from __future__ import annotations

import datetime as dt

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType

from behavior_spark.pipelines.reports.night.targets_read import Nights, people
from behavior_spark.pipelines.reports.outcomes import PAGE_STEPS
from behavior_spark.report.page.facts import no_rows
from behavior_spark.runs.run import Run
from behavior_spark.schemas import USER_FEATURES, USER_PROPENSITY

# Steps by octave: values that differ by less than 19 % may be counted together.
STEPS_AN_OCTAVE = 4
_SMALLEST = 2.0**-10


def night_before(nights: Nights, as_of: dt.date) -> dt.date | None:
    """The last night before with predictions."""
    days = [day for by_day in nights.values() for day in by_day if day < as_of]
    return max(days, default=None)


def feature_words(run: Run) -> dict[str, str]:
    """The comment of each column of ``user_features``."""
    return {
        field.name: field.metadata.get("comment", field.name)
        for field in run.warehouse.read(USER_FEATURES).schema.fields
    }


def read_moved(run: Run, before: dt.date | None) -> pd.DataFrame:
    """Users by value at both nights: kind, name, now, step, users, total."""
    if before is None:
        return no_rows("kind", "name", "now", "step", "users", "total")
    days = [run.as_of, before]
    kept = people(run, run.as_of).withColumn("as_of", F.lit(run.as_of))
    kept = kept.unionByName(people(run, before).withColumn("as_of", F.lit(before)))
    values = _scores(run, kept, days).unionByName(_features(run, kept, days))
    counts = values.groupBy("kind", "name", "as_of", "step").agg(
        F.count(F.lit(1)).alias("users"), F.sum("value").alias("total")
    )
    frame = counts.toPandas()
    frame["now"] = frame["as_of"] == run.as_of
    return frame.drop(columns="as_of")


def _scores(run: Run, kept: DataFrame, days: list[dt.date]) -> DataFrame:
    predictions = run.warehouse.read(USER_PROPENSITY).where(F.col("as_of").isin(days))
    return predictions.join(kept, ["user_id", "as_of"], "left_semi").select(
        F.lit("score").alias("kind"),
        F.col("target").alias("name"),
        "as_of",
        F.floor(F.col("score") * PAGE_STEPS).cast("double").alias("step"),
        F.coalesce("probability", "expected").alias("value"),
    )


def _features(run: Run, kept: DataFrame, days: list[dt.date]) -> DataFrame:
    features = run.warehouse.read(USER_FEATURES).where(F.col("as_of").isin(days))
    names = [f.name for f in features.schema.fields if isinstance(f.dataType, NumericType)]
    values = F.array(
        *[
            F.struct(F.lit(name).alias("name"), F.col(f"`{name}`").cast("double").alias("value"))
            for name in names
        ]
    )
    long = (
        features.join(kept, ["user_id", "as_of"], "left_semi")
        .select("as_of", F.explode(values).alias("v"))
        .select("as_of", "v.name", "v.value")
    )
    return long.select(
        F.lit("feature").alias("kind"), "name", "as_of", _step("value").alias("step"), "value"
    )


def _step(name: str) -> Column:
    """Number of the step in which a value lies, on a logarithmic scale; 0 of values near 0."""
    size = F.greatest(F.abs(name), F.lit(_SMALLEST)) / _SMALLEST
    return F.signum(name) * F.floor(F.log2(size) * STEPS_AN_OCTAVE)
