"""Check for leakage: features against another future, models against labels without meaning."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from pyspark.sql import DataFrame
from rich.console import RenderableType
from rich.text import Text

from behavior_spark.errors import BehaviorError, LeakageError
from behavior_spark.features.altered import alter_future, count_differences
from behavior_spark.features.inputs import Inputs
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.propensity.leakage import feature_aucs, train_on_shuffled_labels
from behavior_spark.pipelines.users.features import Prepared, check_sessions
from behavior_spark.pipelines.users.training_rows import rows_of_target, training_table
from behavior_spark.report.leakage import LeakageReport, Suspicious
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
    USER_STATE,
)

_SHOWN = 10


def find_leaks(
    build: Callable[[Inputs], DataFrame], inputs: Inputs, as_of: dt.date, *, gap_minutes: int = 30
) -> dict[str, int]:
    """Features that change where only the future does, with at how many users.

    Args:
        build: Makes features: one row per ``user_id, as_of``, all of the one as_of.
        inputs: Its tables. Best with rows known after as_of; others are added anyway.
        as_of: The day.
        gap_minutes: Inactivity that ends a session, for ``inputs.sessions``.

    Returns:
        By feature; ``_rows`` counts users that stand in one of the two alone.
    """
    other = alter_future(inputs, as_of, gap_minutes=gap_minutes)
    with spark_errors("comparing features"):
        row = count_differences(build(inputs), build(other)).first()
    counts = row.asDict() if row else {}
    return {name: int(users) for name, users in counts.items() if users}


def assert_no_leakage(
    build: Callable[[Inputs], DataFrame], inputs: Inputs, as_of: dt.date, *, gap_minutes: int = 30
) -> None:
    """Raise unless features are the same in another future: for tests of your own features.

    Arguments as of :func:`find_leaks`.

    Raises:
        LeakageError: Some are not; it names them.
    """
    leaks = find_leaks(build, inputs, as_of, gap_minutes=gap_minutes)
    if leaks:
        raise leakage_error(leaks, as_of)


def leakage_error(leaks: dict[str, int], as_of: dt.date) -> LeakageError:
    """The error that names what leaks."""
    shown = ["users that have a row" if name == "_rows" else name for name in sorted(leaks)]
    more = f" and {len(shown) - _SHOWN} more" if len(shown) > _SHOWN else ""
    return LeakageError(
        f"{len(leaks)} features at {as_of} change with what became known later",
        found=", ".join(shown[:_SHOWN]) + more,
        fix="use only rows with arrived_at and event_time before as_of, in their last version "
        "known by then",
    )


@dataclass(frozen=True)
class LeakageChecked(StageResult):
    """What the three checks found.

    Attributes:
        report: The findings.
    """

    report: LeakageReport

    @property
    def figures(self) -> Mapping[str, float]:
        """How many features leak, and how many are suspicious."""
        return {
            "leaking_features": len(self.report.leaks),
            "suspicious_features": len(self.report.suspicious),
        }

    @property
    def details(self) -> Mapping[str, Any]:
        """The findings as plain data."""
        return {"leakage": asdict(self.report), "markdown": self.report.markdown()}

    @property
    def failure(self) -> LeakageError | None:
        """The error that names what leaks; None where nothing does.

        A suspicious feature alone is for people to judge.
        """
        if self.report.leaks:
            return leakage_error(self.report.leaks, self.report.as_of)
        off = [model for model in self.report.shuffled if not model.by_chance]
        if not off:
            return None
        return LeakageError(
            f"a model predicts labels that were shuffled: {', '.join(m.target for m in off)}",
            found=", ".join(f"AUC {m.auc:.3f}, by chance {m.low:.3f} to {m.high:.3f}" for m in off),
            fix="rows of one user and day may stand twice, or a feature may hold the label",
        )

    def blocks(self) -> list[RenderableType]:
        """The page, as it stands."""
        return [Text(self.report.markdown())]

    def page(self) -> str:
        """The findings."""
        return self.report.markdown()


@stage(
    "check-leakage",
    does="features in another future, models on labels without meaning",
    reads=(EVENTS, ITEMS, TEXTS, TEXT_EMBEDDINGS, TEXT_SCORES, SESSIONS, ACTIVITY_DAYS, USER_STATE),
    models=("text", "propensity"),
)
def check_leakage_stage(run: Run, prepared: Prepared) -> LeakageChecked:
    """All three checks."""
    settings = run.settings
    check_sessions(run, prepared, [run.as_of])
    with run.step("another future"):
        leaks = _stored_leaks(run, prepared)
    report = LeakageReport(run.as_of, leaks, len(prepared.names))
    by_horizon: dict[int, list[str]] = defaultdict(list)
    for name, target in settings.targets.items():
        by_horizon[target.horizon_days].append(name)
    with run.step("training rows"):
        for horizon, targets in by_horizon.items():
            try:
                _check_training(run, prepared, targets, horizon, report)
            except BehaviorError as error:
                run.note(" ".join(str(error).split()))
    return LeakageChecked(report)


def _stored_leaks(run: Run, prepared: Prepared) -> dict[str, int]:
    """Leaks of the nightly features, on tables with whatever is known after as_of."""
    settings, stored = run.settings, prepared.inputs
    inputs = replace(
        stored,
        events=run.warehouse.read(EVENTS),
        texts=run.warehouse.read(TEXTS) if stored.texts is not None else None,
    )

    def build(tables: Inputs) -> DataFrame:
        return prepared.feature_set.build(tables, [run.as_of])

    return find_leaks(build, inputs, run.as_of, gap_minutes=settings.features.session_gap_minutes)


def _check_training(
    run: Run, prepared: Prepared, targets: list[str], horizon: int, report: LeakageReport
) -> None:
    rows = training_table(run, prepared, targets, horizon)
    limits, training = run.settings.leakage, run.settings.training
    for target in targets:
        table = rows_of_target(run, rows, target)
        aucs = feature_aucs(table, prepared.names, f"label_{target}")
        for name, auc in zip(prepared.names, aucs, strict=True):
            if max(auc, 1 - auc) >= limits.suspicious_auc:
                report.suspicious.append(Suspicious(target, name, float(auc)))
        try:
            report.shuffled.append(
                train_on_shuffled_labels(
                    table,
                    target=target,
                    features=prepared.names,
                    horizon_days=horizon,
                    deviations=limits.shuffled_deviations,
                    seed=training.seed,
                    kind=run.settings.targets[target].kind,
                    learner=training.learner,
                )
            )
        except BehaviorError as error:
            run.note(f"{target} is not checked: {' '.join(str(error).split())}")
