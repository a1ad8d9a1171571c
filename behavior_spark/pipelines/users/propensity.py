"""Train propensity models where none is valid, and predict with them."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from pyspark.sql import functions as F
from rich.console import RenderableType

from behavior_spark.config import Target
from behavior_spark.config.section import Section
from behavior_spark.errors import BehaviorError, InputError, ModelError
from behavior_spark.features.sampling import ALL, Shares, is_positive, shares_for
from behavior_spark.features.targets import label_column, labels_otherwise, past_column
from behavior_spark.files import digest_of
from behavior_spark.io.counting import Counted
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.propensity.learner import DEFAULT_LEARNER, find_learner
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.target_kind import find_target_kind
from behavior_spark.model.propensity.training import train_propensity_model
from behavior_spark.pipelines.users.features import Prepared, inputs_at
from behavior_spark.prediction.predict import (
    decile_cuts,
    predict,
    score_histogram,
    score_margins,
    with_decile,
)
from behavior_spark.prediction.training_days import training_days
from behavior_spark.report.quality import targets_table
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import (
    ACTIVITY_DAYS,
    EVENTS,
    ITEMS,
    SESSIONS,
    TEXT_EMBEDDINGS,
    TEXT_SCORES,
    TEXTS,
    USER_FEATURES,
    USER_PROPENSITY,
    USER_STATE,
)
from behavior_spark.shared_folder import SharedFolder

BASELINE = {"recency": "recency_days", "frequency": "event_count_90d", "value": "value_all"}


def fingerprint(run: Run, prepared: Prepared, target: str) -> str:
    """What a model's meaning rests on: target, features and text model; 16 hex characters."""
    settings, features = run.settings, run.settings.features
    declared = [each.model_dump(exclude={"description"}) for each in features.declared]
    content = {
        "target": settings.targets[target].meaning,
        "population": settings.population,
        "features": prepared.names,
        "activity": prepared.feature_set.plan.meaning,
        "gap": features.session_gap_minutes,
        "declared": declared,
        "funnels": _plain(features.funnels),
        "attributes": _plain(settings.sources.attributes),
        "backbone": prepared.backbone,
        "heads": dict(prepared.inputs.heads),
    }
    if settings.training.learner != DEFAULT_LEARNER:
        content["learner"] = settings.training.learner
    return digest_of(content)


def _plain(sections: Mapping[str, Section]) -> dict[str, Any]:
    return {name: each.model_dump(mode="json") for name, each in sections.items()}


def valid_models(run: Run, prepared: Prepared) -> dict[str, PropensityModel]:
    """For each target the newest model that fits, knows nothing after as_of and is fresh enough."""
    found: dict[str, PropensityModel] = {}
    oldest = run.as_of - dt.timedelta(days=run.settings.training.retrain_every_days)
    for target in run.settings.targets:
        wanted = fingerprint(run, prepared, target)
        candidates = []
        for folder in model_store(run, target).fetch().glob("*/"):
            try:
                model = PropensityModel.load(folder)
            except ModelError as error:
                run.note(f"model {folder.name} of {target} is left out: {error.problem}")
                continue
            through = dt.date.fromisoformat(model.trained_through)
            if model.fingerprint == wanted and oldest < through <= run.as_of:
                candidates.append((model.trained_through, model.digest, model))
        if candidates:
            found[target] = max(candidates, key=lambda c: c[:2])[2]
    return found


@dataclass(frozen=True)
class PropensityModels(StageResult):
    """The models of a night.

    Attributes:
        by_target: For each target that can be predicted.
        left_out: For each other target why it cannot.
    """

    by_target: dict[str, PropensityModel]
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def figures_by_target(self) -> dict[str, dict[str, float]]:
        """Measures of each model on the held-out day, by name."""
        found: dict[str, dict[str, float]] = {}
        for target, model in self.by_target.items():
            measures = found.setdefault(target, {})
            for measure, value in model.metrics.get("holdout", {}).items():
                number = value.get("value") if isinstance(value, dict) else value
                if isinstance(number, int | float):
                    measures[measure] = float(number)
        return found

    @property
    def figures(self) -> Mapping[str, float]:
        """Measures of each target's model."""
        return {
            f"{target}_{measure}": number
            for target, measures in self.figures_by_target.items()
            for measure, number in measures.items()
        }

    @property
    def models(self) -> Mapping[str, str]:
        """Each target's model."""
        return {target: model.digest for target, model in self.by_target.items()}

    def blocks(self) -> list[RenderableType]:
        """Measures of each target's model as a table."""
        measured = {name: m for name, m in self.figures_by_target.items() if "roc_auc" in m}
        return [targets_table(measured)] if measured else []


@stage("find-models", does="find each target's newest valid model", models=("propensity",))
def find_models_stage(run: Run, prepared: Prepared) -> PropensityModels:
    """The models that a night uses as they are; a target without one is noted."""
    models = valid_models(run, prepared)
    why = "no valid model: run `behavior-spark train-propensity`"
    left_out = {name: why for name in run.settings.targets if name not in models}
    for name in left_out:
        run.note(f"{name} has {why}")
    return PropensityModels(models, left_out)


@stage(
    "train-propensity",
    does="a model for each target that has no valid one",
    reads=(EVENTS, ITEMS, TEXTS, TEXT_EMBEDDINGS, TEXT_SCORES, SESSIONS, ACTIVITY_DAYS, USER_STATE),
    models=("text", "propensity"),
)
def train_stage(run: Run, prepared: Prepared, *, retrain: bool) -> PropensityModels:
    """A model for every target that can have one.

    Args:
        run: The run.
        prepared: Tables and features.
        retrain: Train even where a valid model exists.

    Raises:
        InputError: No target has enough history or positives.
    """
    models = {} if retrain else valid_models(run, prepared)
    missing = [name for name in run.settings.targets if name not in models]
    left_out: dict[str, str] = {}
    if missing:
        with run.step("train"):
            trained = _train(run, prepared, missing)
        models |= trained.by_target
        left_out |= trained.left_out
    if not models:
        raise InputError(
            "no target can be predicted",
            found="; ".join(dict.fromkeys(left_out.values())),
            fix="ingest a longer history, or shorten the horizons",
        )
    return PropensityModels(models, left_out)


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
        histogram = score_histogram(score_margins(people, models)).collect()
        by_target: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for row in histogram:
            by_target[row["target"]].append((row["step"], row["users"]))
        predictions = predict(
            features,
            models,
            horizons={name: settings.targets[name].horizon_days for name in models},
            comments={f.name: f.comment for f in prepared.feature_set.features},
            reasons=settings.training.reasons,
            as_of=run.as_of,
        )
        cuts = {name: decile_cuts(counts) for name, counts in by_target.items()}
        counted = Counted.over(with_decile(predictions, cuts), rows=F.count(F.lit(1)))
        run.warehouse.replace(counted.frame, USER_PROPENSITY, where=f"as_of = DATE'{run.as_of}'")
        return Predicted(counted.counts()["rows"])


def _train(run: Run, prepared: Prepared, targets: list[str]) -> PropensityModels:
    by_horizon: dict[int, list[str]] = defaultdict(list)
    for name in targets:
        by_horizon[run.settings.targets[name].horizon_days].append(name)
    models: dict[str, PropensityModel] = {}
    left_out: dict[str, str] = {}
    for horizon, names in by_horizon.items():
        try:
            table = training_table(run, prepared, names, horizon)
        except InputError as error:
            why = " ".join(str(error).split())
            run.note(why)
            left_out |= dict.fromkeys(names, why)
            continue
        for name in names:
            try:
                models[name] = _train_one(run, prepared, table, name)
            except BehaviorError as error:
                left_out[name] = f"{name} is not predicted: {' '.join(str(error).split())}"
                run.note(left_out[name])
    return PropensityModels(models, left_out)


def training_table(run: Run, prepared: Prepared, targets: list[str], horizon: int) -> pd.DataFrame:
    """Features and labels of the training days on the driver, at most ``training.max_rows``.

    Raises:
        InputError: The log is too short for one training day.
    """
    training = run.settings.training
    first = prepared.inputs.events.agg(
        F.to_date(F.min("event_time")).alias("day"),
        F.approx_count_distinct("user_id").alias("users"),
    ).first()
    days = []
    if first and first["day"]:
        days = training_days(
            run.as_of, horizon_days=horizon, count=training.as_of_days,
            every_days=training.every_days, first_event=first["day"],
        )  # fmt: skip
    if not days or first is None:
        raise InputError(
            f"too little history to learn {', '.join(targets)}",
            found=f"first event on {first['day'] if first else None}, as_of {run.as_of}, "
            f"horizon {horizon} days",
            fix="a horizon must have passed: choose a later as_of or a shorter horizon",
        )
    late = prepared.trained_through
    if late is not None and late >= days[0].isoformat():
        run.note(
            f"the text model learned from labels up to {late}, later than training days from "
            f"{days[0]} on: what texts add on the held-out day may be flattered"
        )
    frame = prepared.feature_set.training_set(
        inputs_at(run, prepared, days),
        days,
        known_before=run.as_of,
        labelled=targets,
        shares=_shares(run, prepared, targets, days, rows=len(days) * first["users"]),
        seed=training.seed,
    )
    labelled = [label_column(name) for name in targets]
    with spark_errors("building the training set"):
        table = frame.select("user_id", "as_of", *prepared.names, *labelled, "weight").toPandas()
    run.say(f"{len(table):,} rows at {len(days)} as-of days, {days[0]} to {days[-1]}")
    return table


def _shares(
    run: Run, prepared: Prepared, targets: list[str], days: list[dt.date], *, rows: int
) -> Shares:
    """How many of about so many rows to learn from; who did what is foretold is kept longest."""
    most = run.settings.training.max_rows
    if rows <= most:
        return ALL
    known = prepared.feature_set.label_rows(prepared.inputs, days, targets, known_before=run.as_of)
    otherwise = labels_otherwise({name: run.settings.targets[name] for name in targets})
    did = is_positive(list(otherwise))
    with spark_errors("counting positives"):
        if any(otherwise.values()):  # users without a row are positives too
            positives = max(0, rows - known.where(~did).count())
        else:
            positives = known.where(did).count()
    shares = shares_for(rows, positives, most=most)
    run.note(
        f"training on {shares.positives:.1%} of the rows with a positive label and "
        f"{shares.negatives:.1%} of the others, weighted accordingly (training.max_rows)"
    )
    return shares


def _train_one(run: Run, prepared: Prepared, table: pd.DataFrame, target: str) -> PropensityModel:
    training = run.settings.training
    label, declared = label_column(target), run.settings.targets[target]
    kind = find_target_kind(declared.kind)
    evidence = kind.evidence(table[label].to_numpy(dtype=float))
    if evidence < training.min_positives:
        raise ModelError(
            f"too few {kind.evidence_words} to learn from",
            found=f"{evidence}, wanted {training.min_positives} (training.min_positives)",
        )
    model = train_propensity_model(
        table,
        target=target,
        features=prepared.names,
        label=label,
        as_of="as_of",
        weight="weight",
        kind=declared.kind,
        learner=training.learner,
        horizon_days=declared.horizon_days,
        options=find_learner(training.learner).make_options(seed=training.seed),
        calibration=training.calibration,
        baseline_columns=baseline_columns(prepared, target, declared),
        fingerprint=fingerprint(run, prepared, target),
    )
    store = model_store(run, target)
    model.save(store.path / model.digest)
    store.publish(model.digest)
    run.say(f"{target}: model {model.digest}, {model.metadata['positives']:,} positives")
    return model


def baseline_columns(prepared: Prepared, name: str, target: Target) -> dict[str, str]:
    """Columns that baselines read: recency, frequency and value, and the target's own past."""
    longest = [n for n in prepared.names if n.startswith("event_count_") and n.endswith("d")]
    past = past_column(name, target, prepared.names)
    return {**BASELINE, "frequency": longest[-1], **({"past": past} if past else {})}


def model_store(run: Run, target: str) -> SharedFolder:
    """Folder of a target's models, one subfolder a digest."""
    return SharedFolder(f"{run.settings.models_path}/propensity/{target}")
