"""Predictions of a night by score, their models, and what happened after the last that can tell."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.errors import BehaviorError
from behavior_spark.features.families.bots import without_bots
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.target_kind import find_target_kind
from behavior_spark.pipelines.reports.outcomes import (
    PAGE_STEPS,
    MeasuredTarget,
    horizon_end,
    measure_night,
)
from behavior_spark.pipelines.users.propensity import model_store
from behavior_spark.pipelines.users.training_rows import target_population
from behavior_spark.report.page.facts import TargetFacts, no_rows
from behavior_spark.runs.run import Run
from behavior_spark.schemas import USER_FEATURES, USER_PROPENSITY

# Nights before this one whose predictions may be measured, beyond the longest horizon.
NIGHTS_BACK = 60

Nights = dict[str, dict[dt.date, str]]


def predicted_nights(run: Run) -> Nights:
    """Nights up to this one with predictions: target -> as_of -> digest of the model."""
    longest = max((t.horizon_days for t in run.settings.targets.values()), default=0)
    rows = (
        run.warehouse.read(USER_PROPENSITY)
        .where(F.col("as_of") <= F.lit(run.as_of))
        .where(F.col("as_of") >= F.lit(run.as_of - dt.timedelta(days=longest + NIGHTS_BACK)))
        .groupBy("target", "as_of")
        .agg(F.max("model_digest").alias("digest"))
        .collect()
    )
    nights: Nights = defaultdict(dict)
    for row in rows:
        nights[row["target"]][row["as_of"]] = row["digest"]
    return nights


def people(run: Run, as_of: dt.date) -> DataFrame:
    """``user_id`` of the users of a night who are no bots."""
    return features_of_people(run, as_of).select("user_id")


def features_of_people(run: Run, as_of: dt.date) -> DataFrame:
    """Rows of ``user_features`` of the users of a night who are no bots."""
    features = run.warehouse.read(USER_FEATURES).where(F.col("as_of") == F.lit(as_of))
    return without_bots(features)


def models_of_night(run: Run, nights: Nights) -> dict[str, PropensityModel]:
    """The models of this night's predictions by target; one that cannot be read is noted."""
    models: dict[str, PropensityModel] = {}
    for name in run.settings.targets:
        digest = nights[name].get(run.as_of)
        if digest is None:
            continue
        try:
            models[name] = PropensityModel.load(model_store(run, name).fetch(digest))
        except BehaviorError as error:
            run.note(f"the quality of {name} is not in the page: {error.problem}")
    return models


def read_targets(
    run: Run, nights: Nights, models: Mapping[str, PropensityModel]
) -> tuple[TargetFacts, ...]:
    """Facts of every configured target."""
    scores = _scores(run)
    measured = _measured(run, nights)
    return tuple(
        _target(
            run, name, nights[name].get(run.as_of), models.get(name), scores, measured.get(name)
        )
        for name in run.settings.targets
    )


def _scores(run: Run) -> pd.DataFrame:
    """Sums of people by target and score, the highest first."""
    predictions = run.warehouse.read(USER_PROPENSITY).where(F.col("as_of") == F.lit(run.as_of))
    chance = F.col("probability")
    step = F.floor(F.col("score") * PAGE_STEPS).alias("step")
    return (
        predictions.join(people(run, run.as_of), "user_id")
        .groupBy("target", step)
        .agg(
            F.count(F.lit(1)).alias("users"),
            F.sum(F.coalesce("probability", "expected")).alias("expected"),
            F.sum(chance * (1 - chance)).alias("variance"),
        )
        .orderBy("target", F.desc("step"))
        .toPandas()
    )


def _measured(run: Run, nights: Nights) -> dict[str, MeasuredTarget]:
    """Of each target the latest night up to this one whose horizon has been ingested."""
    through = run.past.last_ingested or run.as_of
    by_night: dict[dt.date, dict[str, str]] = defaultdict(dict)
    for target in run.settings.targets:
        passed = [
            as_of for as_of in nights[target]
            if horizon_end(run.settings, target, as_of) <= through
        ]  # fmt: skip
        if passed:
            by_night[max(passed)][target] = nights[target][max(passed)]
    measured: dict[str, MeasuredTarget] = {}
    for as_of, digests in by_night.items():
        try:
            targets = measure_night(run, as_of, digests, through=through)
        except BehaviorError as error:
            run.note(f"what happened after {as_of} is not in the page: {error.problem}")
            continue
        measured |= {target.outcome.target: target for target in targets}
    return measured


def _target(
    run: Run,
    name: str,
    digest: str | None,
    model: PropensityModel | None,
    scores: pd.DataFrame,
    measured: MeasuredTarget | None,
) -> TargetFacts:
    declared = run.settings.targets[name]
    first = model.kind.measures[0] if model else None
    kind = model.kind if model else find_target_kind(declared.kind)
    return TargetFacts(
        name=name,
        description=declared.description,
        kind=declared.kind,
        event=declared.event,
        item=declared.item,
        horizon_days=declared.horizon_days,
        population=target_population(run.settings, name).words,
        numbers=kind.predicted != "probability",
        digest=digest,
        trained_through=model.trained_through if model else "",
        holdout=model.metrics.get("holdout", {}) if model else {},
        baselines=model.metrics.get("baselines", {}) if model else {},
        verdict=model.verdict if model else None,
        ranks=model.ranks if model else True,
        first_measure=first.name if first else "roc_auc",
        first_title=first.title if first else "AUC",
        scores=scores[scores["target"] == name].drop(columns="target"),
        measured_as_of=measured.outcome.as_of if measured else None,
        happened=measured.by_score if measured else no_rows("step", "users", "hits"),
        outcome=measured.outcome if measured else None,
    )
