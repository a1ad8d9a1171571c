"""Facts of a night, as the views need them: small aggregates, none of which grows with users.

``pipelines.reports.night`` reads them from the warehouse's tables. Frames are pandas frames; their
columns are listed with each attribute. A frame that could not be read is empty.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from behavior_spark.model.propensity.verdict import TargetVerdict
from behavior_spark.model.topics import Topics
from behavior_spark.report.outcomes import Outcome

# Texts of which topics are made, at most.
TOPICS_FROM = 5_000


def no_rows(*columns: str) -> pd.DataFrame:
    """A frame without rows."""
    return pd.DataFrame({name: [] for name in columns})


@dataclass(frozen=True)
class NightRun:
    """A row of ``runs``.

    Attributes:
        run_id: Its key.
        command: Name of the command.
        as_of: Its night.
        started_at: UTC.
        seconds: Wall time.
        status: ``done``, ``failed`` or ``unchanged``.
        balanced: Whether rows in = rows out + duplicates + refused, for every table.
        error: What went wrong; None if nothing.
        sources: Row counts by table: rows_in, rows_out, duplicates, refused, without_user.
        stages: Seconds by stage.
        figures: Counts and measures by name.
        models: Digest of each model by name.
    """

    run_id: str
    command: str
    as_of: dt.date
    started_at: dt.datetime
    seconds: float
    status: str
    balanced: bool = True
    error: str | None = None
    sources: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    stages: Mapping[str, float] = field(default_factory=dict)
    figures: Mapping[str, float] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class TargetFacts:
    """A target of the night.

    Attributes:
        name: Its name.
        description: Its meaning, from the config.
        kind: Kind of target, such as ``does``.
        event: SQL condition on an event.
        item: SQL condition on its item; None: any.
        horizon_days: Length of its horizon.
        population: Which users are predicted, in words; empty: everybody.
        numbers: Whether numbers are predicted (kinds count and amount), not yes or no.
        digest: Digest of the model; None if it was not predicted.
        trained_through: The model used no data from this day on.
        holdout: Measures of the model on held-out users: each has value, low, high.
        baselines: Likewise of each baseline, and what the model gains over it.
        verdict: Whether the model was better than chance and baselines; None without a model, or
            with one from before there were verdicts.
        ranks: Whether users are ranked; if not, everybody got the base rate.
        first_measure: Name of the measure that compares model and baselines, such as ``roc_auc``.
        first_title: Title of that measure, such as AUC.
        scores: Users by score, highest first: step, users, expected (sum of predictions), variance
            (sum of p (1 - p)); bots are left out.
        measured_as_of: The night whose predictions ``happened`` compares with what came after;
            None if no horizon has passed.
        happened: Like ``scores``, of that night and all its users, with ``hits``: the number of
            users for whom it happened, or the sum of the numbers that came.
        outcome: Measures of that night after the horizon.
    """

    name: str
    description: str = ""
    kind: str = "does"
    event: str = "true"
    item: str | None = None
    horizon_days: int = 30
    population: str = ""
    numbers: bool = False
    digest: str | None = None
    trained_through: str = ""
    holdout: Mapping[str, Any] = field(default_factory=dict)
    baselines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    verdict: TargetVerdict | None = None
    ranks: bool = True
    first_measure: str = "roc_auc"
    first_title: str = "AUC"
    scores: pd.DataFrame = field(default_factory=lambda: no_rows("step", "users", "expected"))
    measured_as_of: dt.date | None = None
    happened: pd.DataFrame = field(default_factory=lambda: no_rows("step", "users", "hits"))
    outcome: Outcome | None = None

    @property
    def spread(self) -> float:
        """Half the width of the 95 % interval of how many in ``happened`` were expected."""
        return float(1.96 * self.happened["variance"].sum() ** 0.5)

    @property
    def to_do(self) -> str:
        """What is expected of a user with a high prediction."""
        return "to fulfil it" if self.kind == "does_not" else "to do it"

    @property
    def did(self) -> str:
        """The same of a user for whom it came true."""
        return "fulfilled it" if self.kind == "does_not" else "did it"


@dataclass(frozen=True)
class NightFacts:
    """All facts of a night.

    Attributes:
        job: Name of the job.
        as_of: The night.
        run: The latest run that read this night's rows; None if there is none.
        previous: Likewise of the last night before it.
        failed: A later run of this night that failed; None if there is none.
        runs: Runs that read rows, up to this night, the oldest first.
        refused: Refused rows of the night: table_name, source, reason, rows.
        by_day: Rows stored by arrival day: table_name, day, rows.
        targets: One for each configured target.
        moved_from: The night before with predictions; None if there is none.
        moved: Users by value of a score or feature, at this night and that before: kind (score or
            feature), name, now (bool), step (null: not known), users, total (sum of the values).
        moved_since_training: Likewise, at this night and among the rows that models learned from.
        trained_target: The target whose model tells how features were then; None: no model does.
        words: Meaning of each feature.
        reasons: Reasons of all predictions: target, feature, users, size (mean of the absolute
            contribution), raises (share of users for whom it raises).
        examples: Five users: target, decile, user_key, predicted, reasons (texts), change (text
            of what would change it).
        periods: People active in periods: cohort and period (first day of each), users.
        states: People by state at the end of each period: period, state, users.
        period_days: Length of a period.
        funnels: Steps of funnels: funnel, step, users.
        funnel_days: Days that the funnels look back.
        segments: People by segment: segment, users, and for each target what is predicted.
        texts: Texts by label: head, period (first day), label (null: none), texts, users.
        topics: Topics of a sample of texts; None where too few have an embedding.
        scripts: That sample by script: script, texts, users, unread (texts whose language the
            encoder does not know), tokens, unknown (tokens), letters.
        audiences: Rows of the table ``audiences`` of the night.
        audience_results: Rows of ``audience_results`` of this night's and earlier audiences.
        alerts: Risk alerts: alert_id, kind, severity, score, status, evidence.
        service: Texts of the service queue: queue, texts, users, high and raised (texts of that
            urgency), needs (texts with a need), replies (texts with a suggested reply).
        min_group: Smaller groups of users are not shown.
    """

    job: str
    as_of: dt.date
    run: NightRun | None
    previous: NightRun | None = None
    failed: NightRun | None = None
    runs: tuple[NightRun, ...] = ()
    refused: pd.DataFrame = field(
        default_factory=lambda: no_rows("table_name", "source", "reason", "rows")
    )
    by_day: pd.DataFrame = field(default_factory=lambda: no_rows("table_name", "day", "rows"))
    targets: tuple[TargetFacts, ...] = ()
    moved_from: dt.date | None = None
    moved: pd.DataFrame = field(
        default_factory=lambda: no_rows("kind", "name", "now", "step", "users", "total")
    )
    moved_since_training: pd.DataFrame = field(
        default_factory=lambda: no_rows("kind", "name", "now", "step", "users", "total")
    )
    trained_target: str | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    reasons: pd.DataFrame = field(
        default_factory=lambda: no_rows("target", "feature", "users", "size", "raises")
    )
    examples: pd.DataFrame = field(
        default_factory=lambda: no_rows(
            "target", "decile", "user_key", "predicted", "reasons", "change"
        )
    )
    periods: pd.DataFrame = field(default_factory=lambda: no_rows("cohort", "period", "users"))
    states: pd.DataFrame = field(default_factory=lambda: no_rows("period", "state", "users"))
    period_days: int = 7
    funnels: pd.DataFrame = field(default_factory=lambda: no_rows("funnel", "step", "users"))
    funnel_days: int = 90
    segments: pd.DataFrame = field(default_factory=lambda: no_rows("segment", "users"))
    texts: pd.DataFrame = field(
        default_factory=lambda: no_rows("head", "period", "label", "texts", "users")
    )
    topics: Topics | None = None
    scripts: pd.DataFrame = field(
        default_factory=lambda: no_rows(
            "script", "texts", "users", "unread", "tokens", "unknown", "letters"
        )
    )
    audiences: pd.DataFrame = field(
        default_factory=lambda: no_rows("audience", "members", "remark")
    )
    audience_results: pd.DataFrame = field(
        default_factory=lambda: no_rows("audience", "as_of", "reached", "holdout")
    )
    alerts: pd.DataFrame = field(
        default_factory=lambda: no_rows(
            "alert_id", "kind", "severity", "score", "status", "evidence"
        )
    )
    service: pd.DataFrame = field(
        default_factory=lambda: no_rows(
            "queue", "texts", "users", "high", "raised", "needs", "replies"
        )
    )
    min_group: int = 10
