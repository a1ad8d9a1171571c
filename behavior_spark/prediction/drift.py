"""Count tonight's users, and last night's, in the bins of their models' sketches."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DateType, LongType, StringType, StructField, StructType

from behavior_spark.model.arrays import Integers
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.population import TargetPopulation
from behavior_spark.model.propensity.sketch import Drift, drift_between
from behavior_spark.prediction.predict import SCORE_STEPS

# Kinds of counts: deciles are cut by steps of scores; bins are those of sketches.
STEP, SCORE, FEATURE = "step", "score", "feature"
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
                    population = members.get(target)
                    rows = night if population is None else night[population.members(night)]
                    counted = _counts(rows, model)
                    yield counted.assign(as_of=as_of, target=target)[COUNTS.names]

    counts = features.mapInPandas(run, COUNTS)
    by = ("as_of", "target", "kind", "name", "step")
    return counts.groupBy(*by).agg(F.sum("users").alias("users"))


def _counts(rows: pd.DataFrame, model: PropensityModel) -> pd.DataFrame:
    """kind, name, step and users of the members in one batch."""
    margins = model.margins(rows)
    steps, users = np.unique(np.floor(margins * SCORE_STEPS).astype(np.int64), return_counts=True)
    parts = [pd.DataFrame({"kind": STEP, "name": "", "step": steps, "users": users})]
    score, of_features = model.sketches
    if score is not None:
        counts = score.count(margins).astype(np.int64)
        parts.append(_by_bin(SCORE, model.target, counts))
    for name, sketch in of_features.items():
        counts = sketch.count(rows[name].to_numpy(np.float64, na_value=np.nan)).astype(np.int64)
        parts.append(_by_bin(FEATURE, name, counts))
    return pd.concat(parts, ignore_index=True)


def _by_bin(kind: str, name: str, counts: Integers) -> pd.DataFrame:
    return pd.DataFrame({"kind": kind, "name": name, "step": range(len(counts)), "users": counts})


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
    drifts = []
    for target, model in models.items():
        part = counts[counts["target"] == target]
        score, of_features = model.sketches
        moved: dict[str, list[Drift]] = {SCORE: [], FEATURE: []}
        sketches = [(FEATURE, name, sketch) for name, sketch in of_features.items()]
        sketches += [(SCORE, target, score)] if score else []
        for kind, name, sketch in sketches:
            of_column = part[(part["kind"] == kind) & (part["name"] == name)]
            bins = len(sketch.counts)
            now = _night(of_column, as_of, bins)
            then = sketch.counts if before is None else _night(of_column, before, bins)
            moved[kind].append(drift_between(name, then, now))
        drifts.append(TargetDrift(target, next(iter(moved[SCORE]), None), tuple(moved[FEATURE])))
    return drifts


def _night(counts: pd.DataFrame, day: dt.date, bins: int) -> Sequence[float]:
    users = counts[counts["as_of"] == day].set_index("step")["users"]
    return [float(count) for count in users.reindex(range(bins), fill_value=0)]
