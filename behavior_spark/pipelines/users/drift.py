"""What moved up to a night: scores and features, since training and since the night before."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from pyspark.sql import functions as F

from behavior_spark.features.families.bots import without_bots
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.population import TargetPopulation
from behavior_spark.model.propensity.sketch import Drift, describe_drift
from behavior_spark.prediction.drift import COUNTS, TargetDrift, count_users, drift_of
from behavior_spark.prediction.predict import columns_needed
from behavior_spark.runs.run import Run
from behavior_spark.schemas import USER_FEATURES

# A model is not trained again for drift before so many new days can be learned.
MIN_NEWER = dt.timedelta(days=7)


def count_nights(
    run: Run,
    models: Mapping[str, PropensityModel],
    populations: Mapping[str, TargetPopulation],
    nights: Sequence[dt.date],
    *,
    known: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """People of nights, counted as :func:`count_users` says, in one pass over their features.

    Users who behave like machines are left out.

    Args:
        run: The run.
        models: Models by target.
        populations: Populations by target.
        nights: As-of days.
        known: Counts of some of these models at these nights, which are not made again.
    """
    known = pd.DataFrame(columns=list(COUNTS.names)) if known is None else known
    of_targets = set(known["target"])
    models = {name: model for name, model in models.items() if name not in of_targets}
    if not models:
        return known
    features = run.warehouse.require(USER_FEATURES, made_by="build-features")
    people = without_bots(features.where(F.col("as_of").isin(*nights)))
    needed = columns_needed(models, populations)
    counts = count_users(people.select("as_of", *needed), models, populations)
    with spark_errors("counting what moved"):
        made = counts.toPandas()
    return pd.concat([known, made], ignore_index=True) if len(known) else made


def nights_to_count(run: Run) -> list[dt.date]:
    """This night, and the one before it where there was one."""
    return [day for day in (run.as_of, run.past.ingested_before) if day is not None]


def note_drift(
    run: Run, counts: pd.DataFrame, models: Mapping[str, PropensityModel]
) -> tuple[Sequence[TargetDrift], Sequence[TargetDrift]]:
    """Note what moved much: scores since training with their features, and all since last night.

    Features that have moved since training while no score has are no warning: counts over all
    history grow with every night.

    Returns:
        Drift since training and since the night before, by target; the latter is empty without a
        night before.
    """
    since_training = drift_of(counts, models, run.as_of)
    for drift in since_training:
        if drift.score is not None and drift.score.words == "much":
            told = describe_drift([drift.score], since="training")
            features = describe_drift(drift.features, since="training")
            more = f"; features that {features}" if features else ""
            run.note(f"predictions that {told}{more}")
    before = run.past.ingested_before
    if before is None or not (counts["as_of"] == before).any():
        return since_training, ()
    since_night = drift_of(counts, models, run.as_of, before=before)
    of_scores = [drift.score for drift in since_night if drift.score is not None]
    of_features: dict[str, Drift] = {}
    for drift in since_night:
        for feature in drift.features:
            known = of_features.get(feature.name, feature)
            of_features[feature.name] = max(known, feature, key=lambda moved: moved.psi)
    for kind, drifts in (("predictions", of_scores), ("features", list(of_features.values()))):
        if told := describe_drift(drifts, since=f"the night of {before}"):
            run.note(f"{kind} that {told}")
    return since_training, since_night


@dataclass(frozen=True)
class Moved:
    """Which models' scores moved since training.

    Attributes:
        targets: Their targets.
        counts: Counts of all models that were looked at, of ``nights_to_count``; None if of none.
    """

    targets: frozenset[str] = frozenset()
    counts: pd.DataFrame | None = None


def moved_models(
    run: Run,
    models: Mapping[str, PropensityModel],
    populations: Mapping[str, TargetPopulation],
    *,
    at_psi: float,
) -> Moved:
    """Targets whose scores moved so far from training that they are to be trained again.

    Only of models that a newer week of outcomes can be learned by; a note says which and why.
    Without features of this night there are none.
    """
    newer = run.as_of - MIN_NEWER
    old = {
        name: model
        for name, model in models.items()
        if model.ranks and dt.date.fromisoformat(model.trained_through) <= newer
    }
    if not old or not run.warehouse.exists(USER_FEATURES):
        return Moved()
    counts = count_nights(run, old, populations, nights_to_count(run))
    moved = set()
    for drift in drift_of(counts, old, run.as_of):
        score = drift.score
        if score is not None and score.psi >= at_psi and score.words != "little":
            moved.add(drift.target)
            run.note(
                f"{drift.target} is trained again: its scores moved since training (PSI "
                f"{score.psi:.2f}, limit {at_psi:g}, training.retrain_at_psi)"
            )
    return Moved(frozenset(moved), counts)
