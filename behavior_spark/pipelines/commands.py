"""The commands as functions, for notebooks, jobs and the command line.

Each takes settings, its own options, and ``Place``: ``as_of``, ``spark`` and ``console``. The
first part of a docstring is the command's ``--help``.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Unpack

from behavior_spark.config import Settings
from behavior_spark.errors import ConfigError
from behavior_spark.io.catalog import register_in_catalog
from behavior_spark.pipelines.checks import check_stage, sample_stage
from behavior_spark.pipelines.logs.ingestion import ingest_stage
from behavior_spark.pipelines.logs.sessions import build_sessions_stage
from behavior_spark.pipelines.logs.verdict import foresee_stage, verdict_stage
from behavior_spark.pipelines.texts.active_model import active_text_model
from behavior_spark.pipelines.texts.scoring import Rescore, score_texts_stage
from behavior_spark.pipelines.texts.shadow import shadow_stage
from behavior_spark.pipelines.texts.store_cleaning import clean_scores_stage
from behavior_spark.pipelines.unchanged import compare_stage, mark_inputs
from behavior_spark.pipelines.users.features import (
    build_features_stage,
    days_between,
    open_stage,
)
from behavior_spark.pipelines.users.next_items import predict_items_stage
from behavior_spark.pipelines.users.predicting import predict_stage
from behavior_spark.pipelines.users.profiles import profile_stage
from behavior_spark.pipelines.users.propensity import find_models_stage, train_stage
from behavior_spark.pipelines.uses.alerts import alerts_stage
from behavior_spark.pipelines.uses.audience_results import measure_audiences_stage
from behavior_spark.pipelines.uses.audiences import audiences_stage
from behavior_spark.pipelines.uses.service import service_stage
from behavior_spark.runs.commands import Option, Place, command
from behavior_spark.runs.result import Result
from behavior_spark.runs.run import Run, running
from behavior_spark.runs.stages import StageResult, stage


@command(stages=(check_stage, sample_stage, verdict_stage), dated=False)
def check(settings: Settings, **place: Unpack[Place]) -> Result:
    """Validate a config against its tables; show some mapped rows of each. Starts no model.

    The last line says whether the night can run, on which as_of, and how many users of each
    target there are to learn from.
    """
    with running("check", settings, record=False, **place) as run:
        checked = check_stage(run)
        sampled = sample_stage(run, checked)
        verdict_stage(run, checked.mapped, sampled.ends, texts=sampled.texts)
        return Result.of_run(run)


@command(stages=(check_stage, ingest_stage))
def ingest(settings: Settings, **place: Unpack[Place]) -> Result:
    """Raw tables to clean events, texts and items; refused rows go to quarantine."""
    with running("ingest", settings, **place) as run:
        ingest_stage(run, check_stage(run).mapped)
        return Result.of_run(run)


@command(stages=(score_texts_stage,))
def score_texts(
    settings: Settings,
    *,
    rescore: Annotated[bool, Option("Score every text again, known or not.")] = False,
    retry_failed: Annotated[bool, Option("Also try the texts whose scoring failed.")] = False,
    **place: Unpack[Place],
) -> Result:
    """Embed and classify every distinct text that was not scored before.

    A text is embedded once: its embedding is stored under the digests of the text and of the
    encoder, and heads read the stored embeddings. A killed run loses at most the last
    commit_seconds of work; start it again.
    """
    again: Rescore = "all" if rescore else "failed" if retry_failed else "nothing"
    with running("score-texts", settings, **place) as run:
        score_texts_stage(run, rescore=again)
        return Result.of_run(run)


@command(stages=(build_sessions_stage, build_features_stage))
def build_features(
    settings: Settings,
    *,
    first: Annotated[
        dt.date | None,
        Option(
            "Also build earlier days, back to this one, in one job; each sees what had happened "
            "and had arrived by then. A text model that learned from labels of the first day or "
            "later is left out of all of them.",
            flags=("--from",),
        ),
    ] = None,
    every: Annotated[int, Option("With --from: days between them.", metavar="N", least=1)] = 1,
    **place: Unpack[Place],
) -> Result:
    """Features of every user as of a day, without anything that became known later.

    Reads what arrived since the last build and the stored tiles (activity_days) of the windows;
    all history only the first time, or after event types, conditions or targets were changed.
    """
    with running("build-features", settings, **place) as run:
        days = days_between(first, run.as_of, every=every)
        build_sessions_stage(run)
        model = active_text_model(run.settings, days[0])
        for note in model.notes if model else ():
            run.note(note)
        build_features_stage(run, model, days)
        return Result.of_run(run)


@command(stages=(open_stage, train_stage))
def train_propensity(settings: Settings, *, retrain: bool = True, **place: Unpack[Place]) -> Result:
    """Train each target's model on earlier as-of days and check it on later ones."""
    with running("train-propensity", settings, **place) as run:
        train_stage(run, open_stage(run).prepared, retrain=retrain)
        return Result.of_run(run)


@command(stages=(open_stage, find_models_stage, predict_stage))
def predict(settings: Settings, **place: Unpack[Place]) -> Result:
    """Calibrated probability, decile and reasons for every user and target."""
    with running("predict", settings, **place) as run:
        prepared = open_stage(run).prepared
        models = find_models_stage(run, prepared)
        if models.by_target:
            predict_stage(run, prepared, models.by_target)
        return Result.of_run(run)


@command(stages=(open_stage, predict_items_stage))
def predict_items(
    settings: Settings,
    *,
    retrain: Annotated[bool, Option("Train even where a valid model exists.")] = False,
    **place: Unpack[Place],
) -> Result:
    """Items that each user is likely to go to next, by a sequence model; needs a section sequence.

    Trains the model where none is valid. It says how well it ranks the last item of users beside
    a Markov chain and popularity.
    """
    with running("predict-items", settings, **place) as run:
        predict_items_stage(run, open_stage(run).prepared, retrain=retrain)
        return Result.of_run(run)


@command(stages=(open_stage, profile_stage))
def profile(settings: Settings, **place: Unpack[Place]) -> Result:
    """One row per user for people: intent, emotion, preference, segment, next action."""
    with running("profile", settings, **place) as run:
        profile_stage(run, open_stage(run).prepared)
        return Result.of_run(run)


@command(stages=(open_stage, alerts_stage))
def alerts(settings: Settings, **place: Unpack[Place]) -> Result:
    """Risk alerts of a night for a security team, each with evidence that can be checked.

    Needs `alerts:` in the config; an empty section takes the defaults. Writes the table
    risk_alerts of --as-of anew and shows its strongest alerts. Run nightly or build-features for
    this day first.

    Raises:
        ConfigError: The config has no section ``alerts``.
    """
    if settings.alerts is None:
        raise ConfigError(
            "there is nothing to alert",
            found="the config has no section alerts",
            fix="add `alerts: {}` to it; docs/alerts.md says what it can hold",
        )
    with running("alerts", settings, **place) as run:
        alerts_stage(run, open_stage(run).prepared, settings.alerts)
        return Result.of_run(run)


@dataclass(frozen=True)
class Registered(StageResult):
    """Tables that were registered in the catalog.

    Attributes:
        names: Their full names; empty if no schema is configured.
    """

    names: list[str]

    @property
    def details(self) -> Mapping[str, Any]:
        """The names, as plain data."""
        return {"registered": self.names} if self.names else {}


@stage("register", does="name the tables in the catalog, where warehouse.register says so")
def register_stage(run: Run) -> Registered:
    """Register the warehouse's tables in the configured schema."""
    return Registered(register_in_catalog(run.warehouse))


@command(
    stages=(
        check_stage,
        compare_stage,
        foresee_stage,
        ingest_stage,
        build_sessions_stage,
        score_texts_stage,
        shadow_stage,
        build_features_stage,
        train_stage,
        predict_stage,
        predict_items_stage,
        profile_stage,
        audiences_stage,
        measure_audiences_stage,
        alerts_stage,
        service_stage,
        register_stage,
    )
)
def nightly(
    settings: Settings,
    *,
    retrain: Annotated[bool, Option("Train even where a valid model exists.")] = False,
    again: Annotated[bool, Option("Do a night again although nothing has changed.")] = False,
    **place: Unpack[Place],
) -> Result:
    """The whole night: ingest, score-texts, build-features, train-propensity, predict, profile.

    With a section sequence, audiences, alerts or service in the config also predict-items,
    audiences, alerts or service. Without sources.events the night ends after score-texts, or
    service. A night that was done before
    ends at once if sources, config, models and tables are as that run left them.
    """
    with running("nightly", settings, **place) as run:
        mapped = check_stage(run).mapped
        compared = compare_stage(run, again=again or retrain)
        if compared.before:
            return Result.of_run(run)
        foresee_stage(run, mapped)
        ingest_stage(run, mapped)
        if settings.sources.events:
            build_sessions_stage(run)
        model = score_texts_stage(run).model
        shadow_stage(run, model)
        if not settings.sources.events:
            run.note("no sources.events: texts were scored, nobody was predicted")
            if settings.service is not None:
                service_stage(run, settings.service)
            register_stage(run)
            mark_inputs(run, compared)
            return Result.of_run(run)
        prepared = build_features_stage(run, model).prepared
        trained = train_stage(run, prepared, retrain=retrain)
        predict_stage(run, prepared, trained.by_target, counted=trained.counted)
        if settings.sequence:
            predict_items_stage(run, prepared, retrain=retrain)
        profile_stage(run, prepared)
        if settings.audiences:
            audiences_stage(run)
            measure_audiences_stage(run)
        if settings.alerts is not None:
            alerts_stage(run, prepared, settings.alerts)
        if settings.service is not None:
            service_stage(run, settings.service)
        register_stage(run)
        mark_inputs(run, compared)
        return Result.of_run(run)


@command(stages=(clean_scores_stage,))
def clean_scores(
    settings: Settings,
    *,
    unused_days: Annotated[
        int | None,
        Option(
            "Also remove scores of texts that nobody wrote or read in the N days before --as-of. "
            "Texts in use, titles of items and scores younger than N days stay. Choose N longer "
            "than training looks back, and set text.score_days to N in the config: "
            "otherwise the next score-texts scores removed texts again that are still in the "
            "tables texts and items.",
            metavar="N",
            least=0,
        ),
    ] = None,
    other_models: Annotated[
        bool,
        Option(
            "Also remove scores of all models that are not in use. In use are the night's, those "
            "that an alias names, the previous champion (for `rollback`) and the configured "
            "encoder. Do not use it if another config with other models shares the warehouse."
        ),
    ] = False,
    models: Annotated[
        tuple[str, ...],
        Option(
            "Also remove scores of this encoder or head (16 characters). May be repeated.",
            flags=("--model",),
            metavar="DIGEST",
        ),
    ] = (),
    vacuum: Annotated[
        bool,
        Option(
            "Also delete files of removed rows from the disk, when they are older than Delta's "
            "retention (7 days). Until then removed rows can still be read by Delta's time travel."
        ),
    ] = False,
    dry_run: Annotated[bool, Option("Only count what would be removed; write nothing.")] = False,
    **place: Unpack[Place],
) -> Result:
    """Remove duplicate scores of texts, and what else you ask for; merge small files.

    Without options only duplicates are removed: of several rows of one text and model the
    newest stays. Anything else must be computed again if it is needed later, so try --dry-run
    first. Do not run it at the same time as score-texts: one of the two would fail and have to
    be started again.
    """
    with running("clean-scores", settings, record=not dry_run, **place) as run:
        clean_scores_stage(
            run,
            unused_days=unused_days,
            other_models=other_models,
            models=models,
            vacuum=vacuum,
            dry_run=dry_run,
        )
        return Result.of_run(run)
