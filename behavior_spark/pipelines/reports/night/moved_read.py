"""Scores and features of a night, of the night before and of training, as users by value."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType

from behavior_spark.model.propensity.distribution import (
    FEATURES,
    SCORES,
    SMALLEST,
    STEPS_A_SCORE,
    STEPS_AN_OCTAVE,
)
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.pipelines.reports.night.targets_read import Nights, people
from behavior_spark.pipelines.users.training_rows import target_population
from behavior_spark.report.page.facts import no_rows
from behavior_spark.runs.run import Run
from behavior_spark.schemas import USER_FEATURES, USER_PROPENSITY

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

    A model whose target is about some users only says nothing of the features of all.
    """
    of_all = [name for name in models if not target_population(run.settings, name).words]
    of_all = [name for name in of_all if "learned_from" in models[name].metadata]
    learned = {name: model for name, model in models.items()
               if "learned_from" in model.metadata and model.ranks}  # fmt: skip
    if before is None and not of_all and not learned:
        return Moved(no_rows(*_COLUMNS), no_rows(*_COLUMNS), None)
    days = [run.as_of, *([before] if before else [])]
    frame = _counts(run, days)
    since_before = frame if before else frame.head(0)
    told = max(of_all, key=lambda name: int(models[name].metadata["rows"]), default=None)
    features = models[told].metadata["learned_from"][FEATURES] if told else {}
    then = [*_stored("feature", features)]
    for name, model in learned.items():
        if of_score := model.metadata["learned_from"][SCORES]:
            then += _stored("score", {name: of_score["score"]})
    known = {(row["kind"], row["name"]) for row in then}
    now = frame[frame["now"]]
    compared = [key in known for key in zip(now["kind"], now["name"], strict=True)]
    since = pd.concat([pd.DataFrame(then, columns=list(_COLUMNS)), now[compared]])
    present = set(zip(now["kind"], now["name"], strict=True))
    both = [key in present for key in zip(since["kind"], since["name"], strict=True)]
    return Moved(since_before, since[both].reset_index(drop=True), told)


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


def _stored(kind: str, distributions: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Rows of what a model has stored of its training rows; the total stands with the first."""
    for name, counts in distributions.items():
        row = {"kind": kind, "name": name, "now": False}
        for place, (step, users) in enumerate(zip(counts["steps"], counts["users"], strict=True)):
            total = counts["total"] if place == 0 else 0.0
            yield row | {"step": float(step), "users": users, "total": total}
        if counts["unknown"]:
            yield row | {"step": None, "users": counts["unknown"], "total": 0.0}


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
