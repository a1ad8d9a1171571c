"""Predict every target for every user of a night: ``user_propensity``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.io.counting import Counted
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.pipelines.users.features import Prepared
from behavior_spark.prediction.predict import (
    decile_cuts,
    predict,
    score_histogram,
    score_margins,
    with_decile,
)
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import USER_FEATURES, USER_PROPENSITY


@dataclass(frozen=True)
class Predicted(StageResult):
    """Predictions as they were written: one row for each user and target."""

    rows: int

    @property
    def figures(self) -> Mapping[str, float]:
        """Rows written."""
        return {"predictions": self.rows}


@stage(
    "predict",
    does="features and models to a probability with reasons for each user and target",
    reads=(USER_FEATURES,),
    writes=(USER_PROPENSITY,),
    models=("propensity",),
)
def predict_stage(run: Run, prepared: Prepared, models: Mapping[str, PropensityModel]) -> Predicted:
    """Predict every target for every user of the night and replace its rows."""
    features = run.warehouse.require(USER_FEATURES, made_by="build-features").where(
        F.col("as_of") == F.lit(run.as_of)
    )
    needed = sorted({name for model in models.values() for name in model.features})
    # Deciles are of people: machines get a place among them, and none in the cuts.
    people = features.where(~F.coalesce("is_bot", F.lit(False))).select("user_id", *needed)
    features = features.select("user_id", *needed)
    settings = run.settings
    with run.step("predict"), spark_errors("predicting"):
        cuts = _cuts(people, {name: model for name, model in models.items() if model.ranks})
        predictions = predict(
            features,
            models,
            horizons={name: settings.targets[name].horizon_days for name in models},
            comments={f.name: f.comment for f in prepared.feature_set.features},
            reasons=settings.training.reasons,
            as_of=run.as_of,
        )
        counted = Counted.over(with_decile(predictions, cuts), rows=F.count(F.lit(1)))
        run.warehouse.replace(counted.frame, USER_PROPENSITY, where=f"as_of = DATE'{run.as_of}'")
        return Predicted(counted.counts()["rows"])


def _cuts(people: DataFrame, models: Mapping[str, PropensityModel]) -> dict[str, list[int]]:
    """Limits of the deciles of each model that ranks users."""
    by_target: dict[str, list[tuple[int, int]]] = defaultdict(list)
    if models:
        for row in score_histogram(score_margins(people, models)).collect():
            by_target[row["target"]].append((row["step"], row["users"]))
    return {name: decile_cuts(counts) for name, counts in by_target.items()}
