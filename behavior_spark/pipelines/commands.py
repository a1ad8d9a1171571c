"""The commands as functions, for notebooks, jobs and the command line.

Each takes settings, its own options, and ``Place``: ``as_of``, ``spark`` and ``console``. The
first part of a docstring is the command's ``--help``.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Unpack

from pyspark.sql import Row
from rich.console import RenderableType

from behavior_spark.config import Settings
from behavior_spark.errors import ConfigError
from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.checks import check_stage, sample_stage
from behavior_spark.pipelines.logs.ingestion import ingest_stage
from behavior_spark.pipelines.logs.sessions import build_sessions_stage
from behavior_spark.pipelines.logs.verdict import foresee_stage, verdict_stage
from behavior_spark.pipelines.reports.night.stage import night_page_stage
from behavior_spark.pipelines.reports.outcomes import report_stage
from behavior_spark.pipelines.texts.active_model import active_text_model
from behavior_spark.pipelines.texts.functions import text_functions
from behavior_spark.pipelines.texts.scoring import Rescore, score_texts_stage
from behavior_spark.pipelines.texts.shadow import shadow_stage
from behavior_spark.pipelines.texts.store_cleaning import clean_scores_stage
from behavior_spark.pipelines.users.features import (
    build_features_stage,
    days_between,
    open_stage,
)
from behavior_spark.pipelines.users.funnels import funnel_stage
from behavior_spark.pipelines.users.leakage import check_leakage_stage
from behavior_spark.pipelines.users.predicting import predict_stage
from behavior_spark.pipelines.users.profiles import profile_stage
from behavior_spark.pipelines.users.propensity import find_models_stage, train_stage
from behavior_spark.report.tables import FittedRows
from behavior_spark.runs.commands import Option, Place, command
from behavior_spark.runs.result import Result
from behavior_spark.runs.run import Run, running
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import TABLES

_TEXT_FUNCTION = re.compile(r"\b(embed|classify)_text\s*\(", re.IGNORECASE)


@command(stages=(check_stage, sample_stage, verdict_stage), dated=False)
def check(settings: Settings, **place: Unpack[Place]) -> Result:
    """Validate a config against its tables; show some mapped rows of each. Starts no model.

    The last line says whether the night can run, on which as_of, and how many users of each
    target there are to learn from.
    """
    with running("check", settings, record=False, **place) as run:
        checked = check_stage(run)
        sampled = sample_stage(run, checked)
        verdict_stage(run, checked.mapped, sampled.ends)
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


@command(stages=(open_stage, profile_stage))
def profile(settings: Settings, **place: Unpack[Place]) -> Result:
    """One row per user for people: intent, emotion, preference, segment, next action."""
    with running("profile", settings, **place) as run:
        profile_stage(run, open_stage(run).prepared)
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


@stage("register", does="name the tables in the catalog, where warehouse.register_in says so")
def register_stage(run: Run) -> Registered:
    """Register the warehouse's tables in the configured schema."""
    return Registered(run.warehouse.register_in_catalog())


@command(
    stages=(
        check_stage,
        foresee_stage,
        ingest_stage,
        build_sessions_stage,
        score_texts_stage,
        shadow_stage,
        build_features_stage,
        train_stage,
        predict_stage,
        profile_stage,
        register_stage,
    )
)
def nightly(
    settings: Settings,
    *,
    retrain: Annotated[bool, Option("Train even where a valid model exists.")] = False,
    **place: Unpack[Place],
) -> Result:
    """The whole night: ingest, score-texts, build-features, train-propensity, predict, profile.

    Without sources.events the night ends after score-texts.
    """
    with running("nightly", settings, **place) as run:
        mapped = check_stage(run).mapped
        foresee_stage(run, mapped)
        ingest_stage(run, mapped)
        if settings.sources.events:
            build_sessions_stage(run)
        model = score_texts_stage(run).model
        shadow_stage(run, model)
        if not settings.sources.events:
            run.note("no sources.events: texts were scored, nobody was predicted")
            register_stage(run)
            return Result.of_run(run)
        prepared = build_features_stage(run, model).prepared
        trained = train_stage(run, prepared, retrain=retrain)
        predict_stage(run, prepared, trained.by_target)
        profile_stage(run, prepared)
        register_stage(run)
        return Result.of_run(run)


@command(
    stages=(report_stage, night_page_stage), page=True, by_ending={".html": {"html": True}}
)
def report(
    settings: Settings,
    *,
    html: bool = False,
    compare: Annotated[
        dt.date | None,
        Option("With a page: the night to compare with. Default: the last one before --as-of."),
    ] = None,
    **place: Unpack[Place],
) -> Result:
    """The night as a page for people, or predictions of a day against what happened since.

    With `-o night.html`: one page of the night, for people, that needs no network and no script:
    is it good to use, rows, targets, what moved, reasons, people, texts, cost. Needs the extra
    report.

    Otherwise (`-o night.md`, or nothing): stored predictions against what happened, with intervals
    and baselines; their horizon must have passed.

    Args:
        settings: The job's settings.
        html: Whether to make the page of the night.
        compare: The night that the page compares with; by default the last one before.
        place: ``as_of``, ``spark`` and ``console``.
    """
    if compare is not None and not html:
        raise ConfigError(
            "--compare needs a page to show two nights on",
            fix="add -o night.html (in Python: html=True)",
        )
    with running("report", settings, **place) as run:
        if html:
            night_page_stage(run, compare=compare)
        else:
            report_stage(run)
        return Result.of_run(run)


@command(stages=(funnel_stage,), page=True)
def funnel(
    settings: Settings,
    *,
    days: Annotated[
        int | None, Option("Days before --as-of. Default: the longest window.", least=1)
    ] = None,
    **place: Unpack[Place],
) -> Result:
    """How many users and sessions come to each step of features.funnels.

    A step counts when it follows the step before it, in one session or within days, as the
    config says. Reads the sessions that build-features wrote, as they were known at --as-of.
    """
    with running("funnel", settings, record=False, **place) as run:
        funnel_stage(run, days=days)
        return Result.of_run(run)


@command(stages=(open_stage, check_leakage_stage), page=True, fixed={"strict": False})
def check_leakage(settings: Settings, *, strict: bool = True, **place: Unpack[Place]) -> Result:
    """Check that no feature uses the future, and that no model predicts noise.

    Builds the features of --as-of twice: from the tables, and from a copy of them in which
    everything that became known on that day or later is deleted, changed or added to (stored
    tables are not changed). All values must be equal. Then trains on shuffled outcomes, where
    AUC must be 0.5 within chance, and lists features that alone rank a target suspiciously well
    (leakage.suspicious_auc). Exit code 1 if something leaks. Run ingest and build-features for
    --as-of first. Choose a day that some weeks of events follow: it shows most.

    Args:
        settings: The job's settings.
        strict: Raise if something leaks; otherwise only report it.
        place: ``as_of``, ``spark`` and ``console``.

    Raises:
        LeakageError: Something leaks, and ``strict``.
    """
    with running("check-leakage", settings, **place) as run:
        checked = check_leakage_stage(run, open_stage(run).prepared)
        if strict and checked.failure:
            raise checked.failure
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


@dataclass(frozen=True)
class Queried(StageResult):
    """Rows of a query.

    Attributes:
        columns: Names of the columns.
        rows: Rows, at most ``limit``.
    """

    columns: list[str]
    rows: list[Row]

    @property
    def details(self) -> Mapping[str, Any]:
        """Columns and rows as plain data."""
        return {"columns": self.columns, "rows": [row.asDict() for row in self.rows]}

    def blocks(self) -> list[RenderableType]:
        """The rows as a table."""
        return [FittedRows([row.asDict() for row in self.rows])]


@stage("sql", does="run a query over the warehouse's tables", reads=tuple(TABLES.values()))
def sql_stage(run: Run, query: str, *, limit: int) -> Queried:
    """Run a query; each table is available as a view with its name."""
    run.warehouse.register_views()
    if _TEXT_FUNCTION.search(query):
        text_functions(run.settings, as_of=run.as_of, spark=run.spark)
    with spark_errors("sql"):
        frame = run.spark.sql(query)
        rows = frame.limit(limit + 1).collect() if frame.columns else []
    if len(rows) > limit:
        run.note(f"only the first {limit:,} rows are shown (--limit)")
    return Queried(frame.columns, rows[:limit])


@command(stages=(sql_stage,), dated=False, answers=True)
def sql(
    settings: Settings,
    query: Annotated[str, Option("Spark SQL; every table is a view of its name.", argument=True)],
    *,
    limit: Annotated[int, Option("Rows shown at most.", least=1)] = 1000,
    **place: Unpack[Place],
) -> Result:
    """Query the output tables with Spark SQL.

    The functions embed_text(text) and classify_text(text, 'intent') can be used in a query.
    """
    with running("sql", settings, record=False, **place) as run:
        sql_stage(run, query, limit=limit)
        return Result.of_run(run)
