"""Find each target's newest valid propensity model, and train where there is none."""

from __future__ import annotations

import math
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import RenderableType

from behavior_spark.config.section import Section
from behavior_spark.errors import BehaviorError, InputError, ModelError
from behavior_spark.features.targets import label_column
from behavior_spark.files import digest_of
from behavior_spark.model.propensity.learner import DEFAULT_LEARNER, find_learner
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.target_kind import find_target_kind
from behavior_spark.model.propensity.training import train_propensity_model
from behavior_spark.model.propensity.verdict import TargetVerdict
from behavior_spark.pipelines.users.drift import moved_models
from behavior_spark.pipelines.users.features import Prepared
from behavior_spark.pipelines.users.stored_models import Origin, newest_model
from behavior_spark.pipelines.users.training_rows import (
    TrainingRows,
    baseline_columns,
    of_target,
    target_population,
    training_rows,
)
from behavior_spark.report.quality import targets_table
from behavior_spark.report.verdicts import verdicts_table, without_ranking
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
    USER_STATE,
)
from behavior_spark.shared_folder import SharedFolder


def fingerprint(run: Run, prepared: Prepared, target: str) -> str:
    """What a model's meaning rests on: target, features and text model; 16 hex characters."""
    settings, features = run.settings, run.settings.features
    declared = [feature.model_dump(exclude={"description"}) for feature in features.declared]
    content = {
        "target": settings.targets[target].meaning,
        "population": settings.population,
        "features": prepared.names,
        "activity": prepared.feature_set.plan.meaning,
        "gap": features.session_gap_minutes,
        "declared": declared,
        "funnels": _plain(features.funnels),
        "attributes": {
            # Without categories as before there were any, so that models stay valid.
            name: {key: value for key, value in plain.items() if key != "categories" or value}
            for name, plain in _plain(settings.sources.attributes).items()
        },
        "backbone": prepared.backbone,
        "heads": dict(prepared.inputs.heads),
    }
    if features.taste and features.built("taste"):
        content["taste"] = features.taste.model_dump(mode="json")
    if prepared.user_vector:
        # Numbers of another model mean other things.
        content["user_vector"] = prepared.user_vector
    if settings.training.learner != DEFAULT_LEARNER:
        content["learner"] = settings.training.learner
    if settings.training.prior_shift != "none":
        content["prior_shift"] = settings.training.prior_shift
    return digest_of(content)


def _plain(sections: Mapping[str, Section]) -> dict[str, Any]:
    return {name: section.model_dump(mode="json") for name, section in sections.items()}


def valid_models(run: Run, prepared: Prepared) -> dict[str, PropensityModel]:
    """For each target the newest model that fits, knows nothing after as_of and is fresh enough."""
    newest = {
        target: newest_model(
            run, model_store(run, target), _read, fingerprint=fingerprint(run, prepared, target),
            through=run.as_of, fresh_days=run.settings.training.retrain_every_days,
            name=f"model of {target}",
        )
        for target in run.settings.targets
    }  # fmt: skip
    return {target: model for target, model in newest.items() if model is not None}


def _read(folder: Path) -> tuple[PropensityModel, Origin]:
    model = PropensityModel.load(folder)
    return model, Origin(model.fingerprint, model.trained_through, model.digest)


@dataclass(frozen=True)
class PropensityModels(StageResult):
    """The models of a night.

    Attributes:
        by_target: For each target that can be predicted.
        left_out: For each other target why it cannot.
        counted: Counts of the night's users by models whose drift was looked at, and that stay.
    """

    by_target: dict[str, PropensityModel]
    left_out: Mapping[str, str] = field(default_factory=dict)
    counted: pd.DataFrame | None = None

    @property
    def figures_by_target(self) -> dict[str, dict[str, float]]:
        """Measures of each model on the held-out day, by name."""
        by_target: dict[str, dict[str, float]] = {}
        for target, model in self.by_target.items():
            measures = by_target.setdefault(target, {})
            for measure, value in model.metrics.get("holdout", {}).items():
                number = value.get("value") if isinstance(value, dict) else value
                if isinstance(number, int | float):
                    measures[measure] = float(number)
            for rival, gain in model.verdict.gains.items() if model.verdict else ():
                for end, number in gain.figures().items():
                    if math.isfinite(number):
                        suffix = "" if end == "value" else f"_{end}"
                        measures[f"gain_over_{rival}{suffix}"] = number
        return by_target

    @property
    def verdicts(self) -> dict[str, TargetVerdict]:
        """The verdict of each target whose model has one."""
        return {name: m.verdict for name, m in self.by_target.items() if m.verdict}

    @property
    def figures(self) -> Mapping[str, float]:
        """Measures of each target's model, and what it gains over chance and baselines."""
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
        """Measures of each target's model as a table, and its verdict as another."""
        measured = {name: m for name, m in self.figures_by_target.items() if "roc_auc" in m}
        tables: list[RenderableType] = [targets_table(measured)] if measured else []
        if self.verdicts:
            tables.append(verdicts_table(self.verdicts))
        return tables

    @property
    def details(self) -> Mapping[str, Any]:
        """For each target the answers of its verdict, and whether it ranks users."""
        return {
            "targets": {
                name: {
                    "ranked": model.ranks,
                    "better_than": model.verdict.answers if model.verdict else {},
                }
                for name, model in self.by_target.items()
            }
        }


@stage("find-models", does="find each target's newest valid model", models=("propensity",))
def find_models_stage(run: Run, prepared: Prepared) -> PropensityModels:
    """The models that a night uses as they are; a target without one is noted."""
    models = valid_models(run, prepared)
    why = "no valid model: run `behavior-spark train-propensity`"
    left_out = {name: why for name in run.settings.targets if name not in models}
    for name in left_out:
        run.note(f"{name} has {why}")
    _note_base_rates(run, models)
    return PropensityModels(models, left_out)


@stage(
    "train-propensity",
    does="a model for each target that has no valid one",
    reads=(
        EVENTS, ITEMS, TEXTS, TEXT_EMBEDDINGS, TEXT_SCORES, SESSIONS, ACTIVITY_DAYS, USER_STATE,
        USER_FEATURES,
    ),
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
    at_psi, counted = run.settings.training.retrain_at_psi, None
    if models and at_psi is not None:
        populations = {name: target_population(run.settings, name) for name in models}
        moved = moved_models(run, models, populations, at_psi=at_psi)
        models = {name: model for name, model in models.items() if name not in moved.targets}
        if moved.counts is not None:
            counted = moved.counts[moved.counts["target"].isin(list(models))]
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
    _note_base_rates(run, models)
    return PropensityModels(models, left_out, counted)


def _note_base_rates(run: Run, models: Mapping[str, PropensityModel]) -> None:
    """Say of which targets everybody gets the base rate, and why."""
    for name, model in models.items():
        if not model.ranks and model.verdict is not None:
            run.note(without_ranking(name, model.verdict))


def _train(run: Run, prepared: Prepared, targets: list[str]) -> PropensityModels:
    by_horizon: dict[int, list[str]] = defaultdict(list)
    for name in targets:
        by_horizon[run.settings.targets[name].horizon_days].append(name)
    models: dict[str, PropensityModel] = {}
    left_out: dict[str, str] = {}
    for horizon, names in by_horizon.items():
        with tempfile.TemporaryDirectory(prefix="behavior-training-") as folder:
            try:
                rows = training_rows(run, prepared, names, horizon, Path(folder))
            except InputError as error:
                why = error.line
                run.note(why)
                left_out |= dict.fromkeys(names, why)
                continue
            for name in names:
                try:
                    models[name] = _train_one(run, prepared, rows, name)
                except BehaviorError as error:
                    left_out[name] = f"{name} is not predicted: {error.line}"
                    run.note(left_out[name])
    _note_constant(run, models, len(prepared.names))
    return PropensityModels(models, left_out)


def _note_constant(run: Run, models: Mapping[str, PropensityModel], features: int) -> None:
    """Say how many features no model can learn from, as all training rows have the same."""
    constant = {name: int(model.metadata["constant_features"]) for name, model in models.items()}
    if not any(constant.values()):
        return
    counts = set(constant.values())
    each = ", ".join(f"{count:,} ({name})" for name, count in constant.items())
    run.note(
        f"{f'{min(counts):,}' if len(counts) == 1 else each} of {features:,} features are the same "
        "in all training rows and are not learned from"
    )


def _train_one(run: Run, prepared: Prepared, rows: TrainingRows, target: str) -> PropensityModel:
    training = run.settings.training
    label, declared = label_column(target), run.settings.targets[target]
    kind = find_target_kind(declared.kind)
    rows = of_target(run, rows, target)
    table = rows.table
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
        recent_days=training.as_of_days,
        prior_shift=training.prior_shift,
        matrix=rows.matrix,
    )
    store = model_store(run, target)
    model.save(store.path / model.digest)
    store.publish(model.digest)
    run.say(f"{target}: model {model.digest}, {model.metadata['positives']:,} positives")
    return model


def model_store(run: Run, target: str) -> SharedFolder:
    """Folder of a target's models, one subfolder a digest."""
    return SharedFolder(f"{run.settings.models_path}/propensity/{target}")
