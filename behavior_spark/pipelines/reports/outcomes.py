"""Report: what was predicted at a day against what then happened."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich.console import RenderableType

from behavior_spark.config import Settings, Target
from behavior_spark.errors import InputError
from behavior_spark.features.point_in_time import of_users
from behavior_spark.features.targets import (
    label_column,
    labels,
    labels_otherwise,
    mark_targets,
)
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.measures.bootstrap import bootstrap_interval
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.verdict import judge
from behavior_spark.pipelines.users.propensity import model_store
from behavior_spark.prediction.predict import PREDICTED
from behavior_spark.report.outcomes import Measured, Outcome, outcome_table, outcomes_markdown
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import EVENTS, ITEMS, USER_FEATURES, USER_PROPENSITY

MOST_USERS = 1_000_000
RESAMPLES = 1000
# Steps per unit of score in sums by score: few enough to collect for any number of users.
PAGE_STEPS = 100


@dataclass(frozen=True)
class Reported(StageResult):
    """Predictions of a day against what then happened.

    Attributes:
        job: Name of the job.
        outcomes: One for each target whose horizon has passed.
    """

    job: str
    outcomes: list[Outcome]

    @property
    def figures(self) -> Mapping[str, float]:
        """Measures of each target."""
        return {
            f"{outcome.target}_{name.replace(' ', '_').replace('%', 'pct')}": measured.value
            for outcome in self.outcomes
            for name, measured in outcome.measured.items()
            if not math.isnan(measured.value)
        }

    @property
    def details(self) -> Mapping[str, Any]:
        """The outcomes, and the page."""
        return {"outcomes": [asdict(o) for o in self.outcomes], "markdown": self.page()}

    def blocks(self) -> list[RenderableType]:
        """One table for each target."""
        return [outcome_table(outcome) for outcome in self.outcomes]

    def page(self) -> str:
        """The outcomes as a page."""
        return outcomes_markdown(self.outcomes, name=self.job)


@stage(
    "report",
    does="predictions of a day against what happened since, beside simple baselines",
    reads=(EVENTS, ITEMS, USER_FEATURES, USER_PROPENSITY),
    models=("propensity",),
)
def report_stage(run: Run) -> Reported:
    """Measure the predictions of ``run.as_of`` where their horizon has passed and was ingested.

    Raises:
        InputError: There are no predictions for this day, or no horizon has passed.
    """
    settings, warehouse = run.settings, run.warehouse
    predictions = warehouse.require(USER_PROPENSITY, made_by="nightly").where(
        F.col("as_of") == F.lit(run.as_of)
    )
    digests = {r["target"]: r["model_digest"] for r in
               predictions.select("target", "model_digest").distinct().collect()}  # fmt: skip
    if not digests:
        raise InputError(
            f"no predictions for {run.as_of}", fix="run `behavior-spark nightly` for that day first"
        )
    through = run.past.last_ingested or run.as_of
    passed = {
        name: digest
        for name, digest in digests.items()
        if name in settings.targets and horizon_end(settings, name, run.as_of) <= through
    }
    if not passed:
        first = min(t.horizon_days for t in settings.targets.values())
        raise InputError(
            f"what happened after {run.as_of} is not known yet",
            found=f"events before {through}",
            fix="run `behavior-spark ingest --as-of "
            f"{run.as_of + dt.timedelta(days=first)}` when those days have arrived",
        )
    with run.step("outcomes"), spark_errors("joining predictions with outcomes"):
        measured = measure_night(run, run.as_of, passed, through=through)
    return Reported(settings.name, [target.outcome for target in measured])


def horizon_end(settings: Settings, target: str, as_of: dt.date) -> dt.date:
    """The first day after the horizon of a night's prediction."""
    return as_of + dt.timedelta(days=settings.targets[target].horizon_days)


@dataclass(frozen=True)
class MeasuredTarget:
    """What happened to the predictions of one target.

    Attributes:
        outcome: Its measures.
        by_score: Sums by score, highest first; see ``report.page.facts.TargetFacts.happened``.
    """

    outcome: Outcome
    by_score: pd.DataFrame


def measure_night(
    run: Run, as_of: dt.date, digests: Mapping[str, str], *, through: dt.date
) -> list[MeasuredTarget]:
    """Measure the predictions of a night whose horizon has passed.

    Args:
        run: The run.
        as_of: The night.
        digests: The model of each target to measure.
        through: Events known before this day's 00:00 UTC count.
    """
    warehouse = run.warehouse
    targets = {name: run.settings.targets[name] for name in digests}
    events = of_users(warehouse.require(EVENTS, made_by="ingest"), key="event_id")
    items = warehouse.read(ITEMS) if run.settings.sources.items else None
    marked = mark_targets(events, items, targets)
    happened = labels(marked, [as_of], targets, known_before=through).drop("as_of")
    models = {
        name: PropensityModel.load(model_store(run, name).fetch(digest))
        for name, digest in digests.items()
    }
    table = _table(run, as_of, happened, targets, models)
    return [_measure(run, as_of, table, model) for model in models.values()]


def _table(
    run: Run,
    as_of: dt.date,
    happened: DataFrame,
    targets: Mapping[str, Target],
    models: Mapping[str, PropensityModel],
) -> pd.DataFrame:
    """One row per user: features, and for each target score, what is predicted, and label."""
    tonight = F.col("as_of") == F.lit(as_of)
    wide = (
        run.warehouse.read(USER_PROPENSITY)
        .where(tonight & F.col("target").isin(list(targets)))
        .groupBy("user_id")
        .agg(
            *[F.max(F.when(F.col("target") == t, F.col(c))).alias(f"{c}_{t}")
              for t in targets for c in ("score", *PREDICTED)]
        )
    )  # fmt: skip
    features = run.warehouse.read(USER_FEATURES).where(tonight)
    wanted = {
        column
        for model in models.values()
        for baseline in model.baselines.values()
        for column in baseline.columns
    }
    frame = (
        wide.join(features.select("user_id", *sorted(wanted)), "user_id")
        .join(happened, "user_id", "left")
        .fillna(labels_otherwise(targets))
        .orderBy(F.xxhash64("user_id"), "user_id")
        .limit(MOST_USERS)
    )
    return frame.toPandas()


def _measure(
    run: Run, as_of: dt.date, table: pd.DataFrame, model: PropensityModel
) -> MeasuredTarget:
    target = model.target
    table = table[table[f"score_{target}"].notna()]  # others are not of its population
    truth = table[label_column(target)].to_numpy(dtype=float)
    columns = {name: table[f"{name}_{target}"].to_numpy(dtype=float) for name in PREDICTED}
    values = {
        "margin": table[f"score_{target}"].to_numpy(dtype=float),
        "prediction": columns[model.kind.predicted],
    }
    numbers = model.kind.predicted != "probability"
    first, rivals = model.kind.measures[0], {}
    for name in sorted(model.baselines):
        margins = model.baseline_scores(table, name)
        rivals[name] = margins if first.of == "margin" else model.kind.from_margins(margins)
    verdict = judge(first, truth, values[first.of], rivals, resamples=RESAMPLES)
    outcome = Outcome(
        target=target,
        as_of=as_of,
        horizon_days=run.settings.targets[target].horizon_days,
        users=len(table),
        positives=int((truth > 0).sum()),
        mean_probability=None if numbers else float(values["prediction"].mean()),
        mean_expected=float(values["prediction"].mean()) if numbers else None,
        mean_happened=float(truth.mean()) if numbers else None,
        trained_through=model.trained_through,
        measured={
            measure.title: _interval(measure.metric, truth, values[measure.of])
            for measure in model.kind.measures
            if model.ranks or measure.of == "prediction"
        },
        baselines={name: _interval(first.metric, truth, s) for name, s in rivals.items()},
        gains=dict(verdict.gains) if verdict and model.ranks else {},
        ranked=model.ranks,
        compared_by=first.title,
    )
    return MeasuredTarget(outcome, _by_score(values["margin"], values["prediction"], truth))


def _by_score(scores: np.ndarray, predicted: np.ndarray, truth: np.ndarray) -> pd.DataFrame:
    """Sums of users by score: step, users, expected, variance, hits."""
    rows = pd.DataFrame(
        {
            "step": np.floor(scores * PAGE_STEPS),
            "users": 1.0,
            "expected": predicted,
            "variance": predicted * (1 - predicted),
            "hits": truth,
        }
    )
    return rows.groupby("step", as_index=False).sum().sort_values("step", ascending=False)


def _interval(metric: Any, truth: np.ndarray, scores: np.ndarray) -> Measured:
    low, high = bootstrap_interval(metric, truth, scores, resamples=RESAMPLES)
    return Measured(float(metric(truth, scores)), low, high)
