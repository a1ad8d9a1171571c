"""Predict every target for the users of a night: ``user_propensity``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd
from pyspark.sql import functions as F

from behavior_spark.io.counting import Counted
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.propensity.goals import Goal
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.pipelines.users.drift import count_nights, nights_to_count, note_drift
from behavior_spark.pipelines.users.features import Prepared
from behavior_spark.pipelines.users.training_rows import target_population
from behavior_spark.prediction.drift import STEP, TargetDrift
from behavior_spark.prediction.predict import (
    columns_needed,
    decile_cuts,
    goals,
    predict,
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
        drift: How scores and features moved since each model was trained.
        drift_of_night: How they moved since the night before; empty without one.
        changes: Predictions with a nearest change; None if none is looked for.
    """

    rows: int
    users: int = 0
    by_target: Mapping[str, int] = field(default_factory=dict)
    drift: Sequence[TargetDrift] = ()
    drift_of_night: Sequence[TargetDrift] = ()
    changes: int | None = None

    @property
    def figures(self) -> Mapping[str, float]:
        """Rows written; users inside and outside of populations that are not everybody."""
        figures: dict[str, float] = {"predictions": self.rows}
        if self.changes is not None:
            figures["nearest_changes"] = self.changes
        for target, rows in self.by_target.items():
            figures[f"{target}_population"] = rows
            figures[f"{target}_outside_population"] = self.users - rows
        for drifts, since in ((self.drift, "training"), (self.drift_of_night, "last_night")):
            for drift in drifts:
                figures |= drift.figures(since)
        return figures


@stage(
    "predict",
    does="features and models to a probability with reasons for each user and target",
    reads=(USER_FEATURES,),
    writes=(USER_PROPENSITY,),
    models=("propensity",),
)
def predict_stage(
    run: Run,
    prepared: Prepared,
    models: Mapping[str, PropensityModel],
    *,
    counted: pd.DataFrame | None = None,
) -> Predicted:
    """Predict every target for the night's users of its population, and replace its rows.

    Notes what moved much since the models were trained, and since the night before.

    Args:
        run: The run.
        prepared: Tables and features.
        models: Models by target.
        counted: Counts of users by some of these models, as training has made them.
    """
    populations = {name: target_population(run.settings, name) for name in models}
    needed = columns_needed(models, populations)
    night = run.warehouse.require(USER_FEATURES, made_by="build-features").where(
        F.col("as_of") == F.lit(run.as_of)
    )
    settings = run.settings
    with run.step("predict"), spark_errors("predicting"):
        ranking = {name: model for name, model in models.items() if model.ranks}
        # Deciles are of people: machines get a place among them, and none in the cuts.
        nights = nights_to_count(run)
        counts = count_nights(run, ranking, populations, nights, known=counted)
        cuts = _cuts(counts[counts["as_of"] == run.as_of])
        drift, drift_of_night = note_drift(run, counts, ranking)
        users = Counted.over(night.select("user_id", *needed), users=F.count(F.lit(1)))
        goals_of = _goals(run, prepared, models, cuts)
        predictions = predict(
            users.frame,
            models,
            horizons={name: settings.targets[name].horizon_days for name in models},
            told=prepared.feature_set.told,
            reasons=settings.training.reasons,
            as_of=run.as_of,
            populations=populations,
            changes=goals_of,
        )
        changes = {"changes": F.count("nearest_change")} if goals_of else {}
        parts = [name for name, population in populations.items() if population.columns]
        replaced = Counted.over(
            with_decile(predictions, cuts),
            rows=F.count(F.lit(1)),
            **changes,
            **{f"rows of {name}": F.count_if(F.col("target") == name) for name in parts},
        )
        run.warehouse.replace(replaced.frame, USER_PROPENSITY, where=f"as_of = DATE'{run.as_of}'")
        written = replaced.counts()
        by_target = {name: written[f"rows of {name}"] for name in parts}
        predicted = Predicted(
            written["rows"], users.counts()["users"], by_target, drift, drift_of_night,
            written.get("changes"),
        )  # fmt: skip
    for name, rows in by_target.items():
        outside = predicted.users - rows
        run.say(f"{name}: {rows:,} users, {populations[name].words}; {outside:,} others")
        if not rows:
            run.note(f"{name}: nobody is of its population ({populations[name].words})")
    return predicted


def _cuts(counts: pd.DataFrame) -> dict[str, list[int]]:
    """Limits of the deciles of each model that ranks users, from a night's counts of scores."""
    by_target: dict[str, list[tuple[int, int]]] = defaultdict(list)
    steps = counts[counts["kind"] == STEP]
    for target, step, users in zip(steps["target"], steps["step"], steps["users"], strict=True):
        by_target[target].append((int(step), int(users)))
    return {name: decile_cuts(histogram) for name, histogram in by_target.items()}


def _goals(
    run: Run,
    prepared: Prepared,
    models: Mapping[str, PropensityModel],
    cuts: Mapping[str, Sequence[int]],
) -> dict[str, Goal]:
    """The changes to look for; notes targets whose learner cannot be searched for them."""
    targets = run.settings.targets
    wanted = {name: targets[name].wanted for name in models}
    asked = goals(wanted, prepared.feature_set.movable, cuts)
    able = {name: goal for name, goal in asked.items() if models[name].finds_changes}
    for name in asked.keys() - able.keys():
        if models[name].ranks:
            learner = models[name].learner.name
            run.note(f"{name}: no nearest_change: the learner {learner} has no split points")
    return able
