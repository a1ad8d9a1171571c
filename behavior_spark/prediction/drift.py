"""Count tonight's users, and last night's, in the bins of their models' sketches."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DateType, LongType, StringType, StructField, StructType

from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.population import TargetPopulation
from behavior_spark.model.propensity.sketch import Drift, Sketch, drift_between
from behavior_spark.prediction.predict import members_of, score_steps

# Kinds of counts: deciles are cut by steps of scores; bins are those of sketches.
STEP, SCORE, FEATURE = "step", "score", "feature"
# Target, kind and name.
Column = tuple[str, str, str]
COUNTS = StructType(
    [
        StructField("as_of", DateType()),
        StructField("target", StringType()),
        StructField("kind", StringType()),
        StructField("name", StringType()),
        StructField("step", LongType()),
        StructField("users", LongType()),
    ]
)


def count_users(
    features: DataFrame,
    models: Mapping[str, PropensityModel],
    populations: Mapping[str, TargetPopulation],
) -> DataFrame:
    """Users of each target's population by score, and by bin of score and features.

    Args:
        features: ``as_of`` and the features of models and populations, one row per user and night.
        models: Models by target that rank users; they are pickled into the function.
        populations: Populations by target; of others everybody is a member.

    Returns:
        as_of, target, kind (``step``, ``score``, ``feature``), name, step (of scores
        score * 1000; else the bin) and users; no user ids.
    """
    models_by_target, members = dict(models), dict(populations)

    def run(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for frame in frames:
            for as_of, night in frame.groupby("as_of"):
                for target, model in models_by_target.items():
                    counted = _counts(members_of(night, members.get(target)), model)
                    yield counted.assign(as_of=as_of, target=target)[COUNTS.names]

    counts = features.mapInPandas(run, COUNTS)
    by = ("as_of", "target", "kind", "name", "step")
    return counts.groupBy(*by).agg(F.sum("users").alias("users"))


def _counts(rows: pd.DataFrame, model: PropensityModel) -> pd.DataFrame:
    """kind, name, step and users of the members in one batch."""
    margins = model.margins(rows)
    steps, users = np.unique(score_steps(margins), return_counts=True)
    parts = [pd.DataFrame({"kind": STEP, "name": "", "step": steps, "users": users})]
    for kind, name, sketch in sketched_columns(model):
        values = margins if kind == SCORE else rows[name].to_numpy(np.float64, na_value=np.nan)
        counts = sketch.count(values).astype(np.int64)
        of_bins = {"kind": kind, "name": name, "step": range(len(counts)), "users": counts}
        parts.append(pd.DataFrame(of_bins))
    return pd.concat(parts, ignore_index=True)


def sketched_columns(model: PropensityModel) -> list[tuple[str, str, Sketch]]:
    """What a model has sketches of: kind (``score``, ``feature``), name and sketch."""
    score, of_features = model.sketches
    columns = [(FEATURE, name, sketch) for name, sketch in of_features.items()]
    return [*columns, (SCORE, model.target, score)] if score is not None else columns


def night_counts(counts: pd.DataFrame, as_of: dt.date) -> dict[Column, pd.Series]:
    """Users by step of a night, from :func:`count_users`: of each target, kind and name."""
    night = counts[counts["as_of"] == as_of]
    return {
        (str(target), str(kind), str(name)): rows.set_index("step")["users"]
        for (target, kind, name), rows in night.groupby(["target", "kind", "name"])
    }


def users_by_bin(counts: Mapping[Column, pd.Series], column: Column, sketch: Sketch) -> list[float]:
    """Users in each bin of a sketch, then those with a missing value; of a night's counts."""
    bins = len(sketch.counts)
    if column not in counts:
        return [0.0] * bins
    return [float(users) for users in counts[column].reindex(range(bins), fill_value=0)]


@dataclass(frozen=True)
class TargetDrift:
    """How a target's scores and features moved.

    Attributes:
        target: The target.
        score: Of its scores; None if the model has no sketch of them.
        features: Of each feature of its model.
    """

    target: str
    score: Drift | None
    features: tuple[Drift, ...]

    def figures(self, since: str) -> dict[str, float]:
        """PSI and KS of the scores, and how many features moved much.

        Args:
            since: What is compared with, as a part of the names: ``training``, ``last_night``.
        """
        start = f"{self.target}_drift_since_{since}"
        much = sum(drift.words == "much" for drift in self.features)
        figures: dict[str, float] = {f"{start}_features": much}
        if self.score is not None:
            figures |= {f"{start}_psi": self.score.psi, f"{start}_ks": self.score.ks}
        return figures


def drift_of(
    counts: pd.DataFrame,
    models: Mapping[str, PropensityModel],
    as_of: dt.date,
    *,
    before: dt.date | None = None,
) -> list[TargetDrift]:
    """What moved up to a night, of each target.

    Args:
        counts: As from :func:`count_users`.
        models: Models by target.
        as_of: The night.
        before: The night to compare with; None: the training rows of each model.
    """
    tonight, earlier = (night_counts(counts, day) if day else {} for day in (as_of, before))
    drifts = []
    for target, model in models.items():
        moved: dict[str, list[Drift]] = {SCORE: [], FEATURE: []}
        for kind, name, sketch in sketched_columns(model):
            column = target, kind, name
            now = users_by_bin(tonight, column, sketch)
            then = sketch.counts if before is None else users_by_bin(earlier, column, sketch)
            moved[kind].append(drift_between(name, then, now))
        drifts.append(TargetDrift(target, next(iter(moved[SCORE]), None), tuple(moved[FEATURE])))
    return drifts
