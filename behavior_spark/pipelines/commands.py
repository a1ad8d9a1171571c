"""The commands as functions: for notebooks, jobs and the command line alike.

Beside its own options each takes ``as_of``, ``spark`` and ``console``, as ``running`` does.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from behavior_spark.config import Settings
from behavior_spark.pipelines.logs.checks import check_settings, sample_rows
from behavior_spark.pipelines.logs.ingestion import ingest_stage
from behavior_spark.pipelines.logs.sessions import build_sessions_stage
from behavior_spark.pipelines.reports.outcomes import report_stage
from behavior_spark.pipelines.text_models.finetuning import finetune_stage
from behavior_spark.pipelines.text_models.pretraining import pretrain_stage
from behavior_spark.pipelines.texts.active_model import active_text_model
from behavior_spark.pipelines.texts.functions import text_functions
from behavior_spark.pipelines.texts.scoring import Rescore, score_texts_stage
from behavior_spark.pipelines.texts.shadow import shadow_stage
from behavior_spark.pipelines.texts.store_cleaning import clean_scores_stage
from behavior_spark.pipelines.users.features import (
    Prepared,
    build_features_stage,
    days_between,
    prepare_inputs,
)
from behavior_spark.pipelines.users.funnels import funnel_stage, funnels_markdown
from behavior_spark.pipelines.users.leakage import check_leakage_stage, raise_on_leak
from behavior_spark.pipelines.users.profiles import profile_stage
from behavior_spark.pipelines.users.propensity import predict_stage, train_stage, valid_models
from behavior_spark.report.outcomes import Outcome, outcomes_markdown
from behavior_spark.runs.run import Run, running
from behavior_spark.schemas import RUNS

_TEXT_FUNCTION = re.compile(r"\b(embed|classify)_text\s*\(", re.IGNORECASE)


@dataclass(frozen=True)
class Result:
    """What a command did.

    Attributes:
        command: Its name.
        as_of: The night.
        run_id: Key of its row in ``runs``.
        seconds: Wall time, session start not counted.
        stages: Seconds of each stage.
        sources: Rows of each contract: in = out + duplicates + refused.
        figures: Counts and model quality by name.
        models: Digest of each model used.
        tables: Where each table is that it read or wrote.
        notes: What the reader should know.
        details: What only this command gives.
    """

    command: str
    as_of: dt.date
    run_id: str
    seconds: float
    stages: dict[str, float]
    sources: list[dict[str, Any]]
    figures: dict[str, float]
    models: dict[str, str]
    tables: dict[str, str]
    notes: list[str]
    details: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data; days as ISO text."""
        return {**asdict(self), "as_of": self.as_of.isoformat()}


def check(settings: Settings, **place: Any) -> Result:
    """Validate a config against its tables and show five mapped rows of each source."""
    with running("check", settings, record=False, **place) as run:
        shown = sample_rows(run, check_settings(run))
        return result_of(run, details={"rows": shown})


def ingest(settings: Settings, **place: Any) -> Result:
    """Raw tables -> clean events, texts and items; refused rows -> quarantine."""
    with running("ingest", settings, **place) as run:
        ingest_stage(run, check_settings(run))
        return result_of(run)


def finetune(settings: Settings, **place: Any) -> Result:
    """Train the classification heads of ``text.heads``; the champion, if they pass the gate."""
    with running("finetune", settings, **place) as run:
        return result_of(run, details=finetune_stage(run))


def pretrain(settings: Settings, **place: Any) -> Result:
    """Adapt the encoder to the warehouse's texts, without labels; makes an encoder folder."""
    with running("pretrain", settings, **place) as run:
        return result_of(run, details=pretrain_stage(run))


def score_texts(settings: Settings, *, rescore: Rescore = "nothing", **place: Any) -> Result:
    """Embed and classify every text that is new; with ``rescore`` the failed ones, or all, too."""
    with running("score-texts", settings, **place) as run:
        score_texts_stage(run, rescore=rescore)
        return result_of(run)


def clean_scores(
    settings: Settings,
    *,
    unused_days: int | None = None,
    other_models: bool = False,
    models: Sequence[str] = (),
    vacuum: bool = False,
    dry_run: bool = False,
    **place: Any,
) -> Result:
    """Remove duplicate scores, and what else is asked for; many small files become few.

    Args:
        settings: The job's settings.
        unused_days: Also the scores of texts that nobody wrote or read in so many days.
        other_models: Also the scores of models that are not in use.
        models: Also the scores of these backbones and heads, by digest.
        vacuum: Also delete the files of removed rows that are older than 7 days.
        dry_run: Count what would be removed; write nothing.
        place: ``as_of``, ``spark`` and ``console``.
    """
    with running("clean-scores", settings, record=not dry_run, **place) as run:
        removed = clean_scores_stage(
            run,
            unused_days=unused_days,
            other_models=other_models,
            models=models,
            vacuum=vacuum,
            dry_run=dry_run,
        )
        return result_of(run, details={"removed_models": removed})


def build_features(
    settings: Settings, *, first: dt.date | None = None, every: int = 1, **place: Any
) -> Result:
    """Clean tables -> sessions, and user_features of the night; with ``first`` of earlier days too.

    Args:
        settings: The job's settings.
        first: Earliest day to build; every ``every`` days from the night back to it.
        every: Days between them.
        place: ``as_of``, ``spark`` and ``console``.
    """
    with running("build-features", settings, **place) as run:
        days = days_between(first, run.as_of, every=every)
        build_sessions_stage(run)
        build_features_stage(run, _text_model(run, days[0]), days)
        return result_of(run)


def train_propensity(settings: Settings, *, retrain: bool = True, **place: Any) -> Result:
    """Train the targets' models on earlier as-of days, check them on later ones."""
    with running("train-propensity", settings, **place) as run:
        train_stage(run, _prepared(run), retrain=retrain)
        return result_of(run)


def predict(settings: Settings, **place: Any) -> Result:
    """user_features and the valid models -> user_propensity of the night."""
    with running("predict", settings, **place) as run:
        prepared = _prepared(run)
        models = valid_models(run, prepared)
        for name in set(settings.targets) - set(models):
            run.note(f"{name} has no valid model: run `behavior-spark train-propensity`")
        if models:
            predict_stage(run, prepared, models)
        return result_of(run)


def profile(settings: Settings, **place: Any) -> Result:
    """Features and predictions -> user_profile of the night."""
    with running("profile", settings, **place) as run:
        profile_stage(run, _prepared(run))
        return result_of(run)


def nightly(settings: Settings, *, retrain: bool = False, **place: Any) -> Result:
    """All of the daily commands in order: ingest, score, features, train, predict, profile."""
    with running("nightly", settings, **place) as run:
        with run.stage("check"):
            mapped = check_settings(run)
        ingest_stage(run, mapped)
        build_sessions_stage(run)
        model = score_texts_stage(run)
        shadow_stage(run, model)
        prepared = build_features_stage(run, model)
        models = train_stage(run, prepared, retrain=retrain)
        predict_stage(run, prepared, models)
        profile_stage(run, prepared)
        names = run.warehouse.register_in_catalog()
        return result_of(run, details={"registered": names} if names else {})


def report(settings: Settings, **place: Any) -> Result:
    """Predictions of a day against what happened since, beside simple baselines."""
    with running("report", settings, **place) as run:
        outcomes: list[Outcome] = report_stage(run)
        page = outcomes_markdown(outcomes, name=settings.name)
        return result_of(run, details={"outcomes": outcomes, "markdown": page})


def funnel(settings: Settings, *, days: int | None = None, **place: Any) -> Result:
    """Users and sessions at each step of ``features.funnels`` over the days before as_of."""
    with running("funnel", settings, record=False, **place) as run:
        steps = funnel_stage(run, days=days)
        return result_of(run, details={"funnels": steps, "markdown": funnels_markdown(steps)})


def check_leakage(settings: Settings, *, strict: bool = True, **place: Any) -> Result:
    """Whether features, training rows and models are blind to the future of as_of.

    Args:
        settings: The job's settings.
        strict: Raise where something leaks; else only report it.
        place: ``as_of``, ``spark`` and ``console``.

    Raises:
        LeakageError: Something leaks, and ``strict``.
    """
    with running("check-leakage", settings, **place) as run:
        found = check_leakage_stage(run, _prepared(run))
        if strict:
            raise_on_leak(found)
        return result_of(run, details={"leakage": found, "markdown": found.markdown()})


def sql(settings: Settings, query: str, *, limit: int = 1000, **place: Any) -> Result:
    """Run a query over the warehouse's tables, each a view of its own name.

    ``embed_text(text)`` and ``classify_text(text, 'intent')`` are there where a query uses them.
    """
    from behavior_spark.io.failures import spark_errors

    with running("sql", settings, record=False, **place) as run:
        run.warehouse.register_views()
        if _TEXT_FUNCTION.search(query):
            text_functions(settings, as_of=run.as_of, spark=run.spark)
        with spark_errors("sql"):
            frame = run.spark.sql(query)
            rows = frame.limit(limit + 1).collect() if frame.columns else []
        if len(rows) > limit:
            run.note(f"only the first {limit:,} rows are shown (--limit)")
        return result_of(run, details={"columns": frame.columns, "rows": rows[:limit]})


def _text_model(run: Run, day: dt.date | None = None) -> Any:
    """The text model of the night, or of an earlier day that it must not know."""
    model = active_text_model(run.settings, day or run.as_of)
    if model is not None:
        run.models["backbone"] = model.digest
        for note in model.notes if day else ():
            run.note(note)
    return model


def _prepared(run: Run) -> Prepared:
    return prepare_inputs(run, _text_model(run))


def result_of(run: Run, *, details: dict[str, Any] | None = None) -> Result:
    """What a run did, for whoever called it."""
    now = dt.datetime.now(dt.UTC)
    return Result(
        command=run.command,
        as_of=run.as_of,
        run_id=run.run_id,
        seconds=round((now - run.started_at).total_seconds(), 3),
        stages=dict(run.stages),
        sources=[vars(counts) | {"balanced": counts.balanced} for counts in run.sources],
        figures=dict(run.figures),
        models=dict(run.models),
        tables={c.name: run.warehouse.location(c) for c in [*run.warehouse.used(), RUNS]},
        notes=list(run.notes),
        details=details or {},
    )


__all__ = [
    "Result", "build_features", "check", "check_leakage", "clean_scores", "finetune", "funnel",
    "ingest", "nightly", "predict", "pretrain", "profile", "report", "score_texts", "sql",
    "train_propensity",
]  # fmt: skip
