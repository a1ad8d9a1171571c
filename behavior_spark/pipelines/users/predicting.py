"""Predict every target for the users of a night: ``user_propensity``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.io.counting import Counted
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.population import TargetPopulation
from behavior_spark.pipelines.users.features import Prepared
from behavior_spark.pipelines.users.training_rows import target_population
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
    """Predictions as they were written: one row for each target and user of its population.

    Attributes:
        rows: Rows written.
        users: Users of the night.
        by_target: Rows of each target that is not about everybody; its other users have none.
    """

    rows: int
    users: int = 0
    by_target: Mapping[str, int] = field(default_factory=dict)

    @property
    def figures(self) -> Mapping[str, float]:
        """Rows written; users inside and outside of populations that are not everybody."""
        figures: dict[str, float] = {"predictions": self.rows}
        for target, rows in self.by_target.items():
            figures[f"{target}_population"] = rows
            figures[f"{target}_outside_population"] = self.users - rows
        return figures


@stage(
    "predict",
    does="features and models to a probability with reasons for each user and target",
    reads=(USER_FEATURES,),
    writes=(USER_PROPENSITY,),
    models=("propensity",),
)
def predict_stage(run: Run, prepared: Prepared, models: Mapping[str, PropensityModel]) -> Predicted:
    """Predict every target for the night's users of its population, and replace its rows."""
    populations = {name: target_population(run.settings, name) for name in models}
    needed = {name for model in models.values() for name in model.features}
    needed |= {name for population in populations.values() for name in population.columns}
    night = run.warehouse.require(USER_FEATURES, made_by="build-features").where(
        F.col("as_of") == F.lit(run.as_of)
    )
    # Deciles are of people: machines get a place among them, and none in the cuts.
    people = night.where(~F.coalesce("is_bot", F.lit(False))).select("user_id", *sorted(needed))
    settings = run.settings
    with run.step("predict"), spark_errors("predicting"):
        ranking = {name: model for name, model in models.items() if model.ranks}
        cuts = _cuts(people, ranking, populations)
        users = Counted.over(night.select("user_id", *sorted(needed)), users=F.count(F.lit(1)))
        predictions = predict(
            users.frame,
            models,
            horizons={name: settings.targets[name].horizon_days for name in models},
            told={f.name: f.in_reasons for f in prepared.feature_set.features},
            reasons=settings.training.reasons,
            as_of=run.as_of,
            populations=populations,
        )
        parts = [name for name, population in populations.items() if population.columns]
        counted = Counted.over(
            with_decile(predictions, cuts),
            rows=F.count(F.lit(1)),
            **{f"rows of {name}": F.count_if(F.col("target") == name) for name in parts},
        )
        run.warehouse.replace(counted.frame, USER_PROPENSITY, where=f"as_of = DATE'{run.as_of}'")
        counts = counted.counts()
        by_target = {name: counts[f"rows of {name}"] for name in parts}
        predicted = Predicted(counts["rows"], users.counts()["users"], by_target)
    for name, rows in by_target.items():
        outside = predicted.users - rows
        run.say(f"{name}: {rows:,} users, {populations[name].words}; {outside:,} others")
        if not rows:
            run.note(f"{name}: nobody is of its population ({populations[name].words})")
    return predicted


def _cuts(
    people: DataFrame,
    models: Mapping[str, PropensityModel],
    populations: Mapping[str, TargetPopulation],
) -> dict[str, list[int]]:
    """Limits of the deciles of each model that ranks users."""
    by_target: dict[str, list[tuple[int, int]]] = defaultdict(list)
    if models:
        for row in score_histogram(score_margins(people, models, populations)).collect():
            by_target[row["target"]].append((row["step"], row["users"]))
    return {name: decile_cuts(counts) for name, counts in by_target.items()}
