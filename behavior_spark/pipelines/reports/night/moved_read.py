"""Scores and features of a night, of the night before and of training, as users by value."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType

from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.sketch import Sketch
from behavior_spark.pipelines.reports.night.targets_read import Nights, people
from behavior_spark.pipelines.users.drift import count_nights
from behavior_spark.pipelines.users.training_rows import target_population
from behavior_spark.prediction.drift import (
    FEATURE,
    night_counts,
    sketched_columns,
    users_by_bin,
)
from behavior_spark.report.page.facts import no_rows
from behavior_spark.runs.run import Run
from behavior_spark.schemas import USER_FEATURES, USER_PROPENSITY

# Steps of a logarithmic scale by octave: values that differ by less than 19 % may be counted
# together. They are the same for all nights, so that the counts of two can be set side by side.
STEPS_AN_OCTAVE = 4
SMALLEST = 2.0**-10
# Steps per unit of a score.
STEPS_A_SCORE = 100
_COLUMNS = ("kind", "name", "now", "step", "users", "total")


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


@dataclass(frozen=True)
class Moved:
    """Users by value at a night and before: kind, name, now, step, users, total.

    Attributes:
        since_before: This night and the night before; empty without one.
        since_training: This night and the rows that models learned from; features as the model
            ``trained_target`` saw them, and each target's scores.
        trained_target: The target whose model tells of features; None: no model does.
    """

    since_before: pd.DataFrame
    since_training: pd.DataFrame
    trained_target: str | None


def read_moved(run: Run, before: dt.date | None, models: Mapping[str, PropensityModel]) -> Moved:
    """What moved since the night ``before`` and since ``models`` learned.

    A model whose target is about some users only says nothing of the features of all, and one that
    does not rank users has no part of them.
    """
    ranking = {name: model for name, model in models.items() if model.sketches[0] is not None}
    if before is None and not ranking:
        return Moved(no_rows(*_COLUMNS), no_rows(*_COLUMNS), None)
    frame = _counts(run, [run.as_of, *([before] if before else [])])
    of_all = [name for name in ranking if not target_population(run.settings, name).words]
    told = max(of_all, key=lambda name: int(ranking[name].metadata["rows"]), default=None)
    since_training = no_rows(*_COLUMNS)
    if ranking:
        since_training = _since_training(run, ranking, told, frame[frame["now"]])
    return Moved(frame if before else frame.head(0), since_training, told)


def _since_training(
    run: Run, models: Mapping[str, PropensityModel], told: str | None, tonight: pd.DataFrame
) -> pd.DataFrame:
    """Users by the bins of the models' sketches; ``tonight`` has the totals of now."""
    populations = {name: target_population(run.settings, name) for name in models}
    counts = night_counts(count_nights(run, models, populations, [run.as_of]), run.as_of)
    totals = tonight[tonight["step"].notna()].groupby(["kind", "name"])["total"].sum()
    rows: list[dict[str, Any]] = []
    for target, model in models.items():
        for kind, name, sketch in sketched_columns(model):
            column = target, kind, name
            if kind == FEATURE and target != told:
                continue
            if column not in counts or (kind, name) not in totals.index:
                continue
            now = users_by_bin(counts, column, sketch)
            then_total = sketch.mean * sum(sketch.counts[:-1])
            of_name = {"kind": kind, "name": name}
            rows += _by_bin(sketch, sketch.counts, then_total, of_name | {"now": False})
            rows += _by_bin(sketch, now, totals[(kind, name)], of_name | {"now": True})
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def _by_bin(
    sketch: Sketch, counts: Iterable[float], total: float, row: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """Rows of one column on one side, those of missing values last; the total is with the first."""
    missing = len(sketch.ends) + 1
    for place, users in enumerate(counts):
        step = None if place == missing else float(place)
        yield {**row, "step": step, "users": users, "total": total if place == 0 else 0.0}


def _counts(run: Run, days: list[dt.date]) -> pd.DataFrame:
    """Users by value on each of the days, the first of which is now."""
    frames = [people(run, day).withColumn("as_of", F.lit(day)) for day in days]
    kept = frames[0] if len(frames) == 1 else frames[0].unionByName(frames[1])
    values = _scores(run, kept, days).unionByName(_features(run, kept, days))
    counts = values.groupBy("kind", "name", "as_of", "step").agg(
        F.count(F.lit(1)).alias("users"), F.sum("value").alias("total")
    )
    frame = counts.toPandas()
    frame["now"] = frame["as_of"] == run.as_of
    return frame[list(_COLUMNS)]


def _scores(run: Run, kept: DataFrame, days: list[dt.date]) -> DataFrame:
    predictions = run.warehouse.read(USER_PROPENSITY).where(F.col("as_of").isin(days))
    return predictions.join(kept, ["user_id", "as_of"], "left_semi").select(
        F.lit("score").alias("kind"),
        F.col("target").alias("name"),
        "as_of",
        F.floor(F.col("score") * STEPS_A_SCORE).cast("double").alias("step"),
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
    size = F.greatest(F.abs(name), F.lit(SMALLEST)) / SMALLEST
    return F.signum(name) * F.floor(F.log2(size) * STEPS_AN_OCTAVE)
