"""The stage that predicts: who gets a row, who does not, and that all users are counted."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from behavior_spark.config import Settings, validate_settings
from behavior_spark.features.feature_set import FeatureSet
from behavior_spark.features.inputs import Inputs
from behavior_spark.model.propensity.learners.xgboost import TrainingOptions
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.sketch import drift_between
from behavior_spark.model.propensity.training import train_propensity_model
from behavior_spark.pipelines.users import drift
from behavior_spark.pipelines.users.drift import moved_models
from behavior_spark.pipelines.users.features import Prepared
from behavior_spark.pipelines.users.predicting import predict_stage
from behavior_spark.pipelines.users.propensity import PropensityModels
from behavior_spark.pipelines.users.training_rows import target_population
from behavior_spark.runs.past import PastRuns
from behavior_spark.runs.run import running
from behavior_spark.schemas import EVENTS, USER_FEATURES, USER_PROPENSITY
from tests.features.frames import table

AS_OF = dt.date(2024, 6, 1)
BEFORE = dt.date(2024, 5, 31)
BOUGHT = {"event": "event_type = 'purchase'"}


def model_of(target: str, *, signal: float) -> PropensityModel:
    """A model of 600 users, of whom those with many views buy where there is a signal."""
    dice = np.random.default_rng(3)
    views = dice.poisson(2, 600).astype(float)
    did = dice.random(600) < 1 / (1 + np.exp(1.4 - signal * (views - 2)))
    frame = pd.DataFrame(
        {"user_id": [f"u{n}" for n in range(600)], "as_of": "2024-01-01", "view_count_7d": views,
         "did": did.astype(int)}
    )  # fmt: skip
    return train_propensity_model(
        frame, target=target, features=["view_count_7d"], label="did", as_of="as_of",
        horizon_days=30, options=TrainingOptions(rounds=20, learning_rate=0.2, threads=1),
        resamples=100,
    )  # fmt: skip


def job(folder: Path) -> Settings:
    columns = {"event_id": "a", "user_id": "b", "event_time": "c", "event_type": "d"}
    tree: dict[str, Any] = {
        "warehouse": str(folder),
        "sources": {"events": {"path": "none", "columns": columns}},
        "features": {
            "event_types": ["view", "purchase"], "windows_days": [7],
            "movable": {"view": "higher", "view_recency_days": "fixed"},
        },
        "targets": {
            "buys": {**BOUGHT, "wanted": "more"}, "noise": BOUGHT,
            "first": {**BOUGHT, "who": "never_before"},
            "lately": {**BOUGHT, "who": "before", "seen_within_days": 10},
        },
    }  # fmt: skip
    return validate_settings(tree)


def test_rows_and_users_outside_of_a_population_are_all_users_of_the_night(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = job(tmp_path / "warehouse")
    features = FeatureSet.make(settings.features, settings.targets)
    prepared = Prepared(Inputs(events=table(spark, EVENTS, [])), features)
    models = {name: model_of(name, signal=1.5) for name in ("buys", "first", "lately")}
    models["noise"] = model_of("noise", signal=0.0)
    users = [
        (f"u{n}", AS_OF, n % 5, None if n % 4 else float(n), float(n % 20), n == 3)
        for n in range(40)
    ]
    night = spark.createDataFrame(
        users,
        "user_id string, as_of date, view_count_7d int, purchase_recency_days double, "
        "recency_days double, is_bot boolean",
    )
    with running(
        "predict", settings, as_of=AS_OF, spark=spark, console=Console(quiet=True), record=False
    ) as run:
        contract = USER_FEATURES.with_columns(list(night.schema.fields[2:]))
        # The night before nobody had viewed anything.
        before = night.withColumns(
            {"as_of": F.lit(BEFORE), "view_count_7d": F.lit(0), "user_id": F.lit("somebody")}
        )
        run.warehouse.replace(night.unionByName(before), contract, where="true")
        run.__dict__["past"] = PastRuns(ingested_before=BEFORE)
        populations = {name: target_population(settings, name) for name in models}
        moved = moved_models(run, models, populations, at_psi=0.2)
        counted = Mock(wraps=drift.count_users)
        monkeypatch.setattr(drift, "count_users", counted)
        predicted = predict_stage(run, prepared, models, counted=moved.counts)
        rows = run.warehouse.read(USER_PROPENSITY).collect()
    of_target = {name: [row for row in rows if row["target"] == name] for name in models}
    bought, lately = {u[0] for u in users if u[3] is not None}, {u[0] for u in users if u[4] <= 10}
    members = {
        "buys": {u[0] for u in users}, "noise": {u[0] for u in users},
        "first": {u[0] for u in users} - bought, "lately": bought & lately,
    }  # fmt: skip
    assert {name: {row["user_id"] for row in of_target[name]} for name in models} == members
    assert predicted.users == 40
    figures = {name: n for name, n in predicted.figures.items() if "_drift_" not in name}
    assert figures == {
        "predictions": len(rows), "first_population": 30, "first_outside_population": 10,
        "lately_population": len(members["lately"]),
        "lately_outside_population": 40 - len(members["lately"]),
        "nearest_changes": sum(row["nearest_change"] is not None for row in rows),
    }  # fmt: skip
    changed = [row for row in of_target["buys"] if row["nearest_change"]]
    assert len(changed) == figures["nearest_changes"] > 0  # of no target that wants nothing
    for row in changed:
        change = row["nearest_change"]
        assert change["feature"] == "view_count_7d" and change["changed"] > change["value"]
        assert change["text"].startswith(f"if {change['changed']:.0f} views in the last 7")
        assert change["predicted"] > row["probability"] and change["decile"] <= row["decile"]
    assert {row["better_than_chance"] for row in of_target["buys"]} == {"yes"}
    assert all(row["decile"] is None and row["reasons"] is None for row in of_target["noise"])
    assert all(row["decile"] is not None for name in ("buys", "first") for row in of_target[name])
    # 0 to 4 views, each as often, are not the Poisson numbers of training.
    tonight = np.array([user[2] for user in users if not user[5]], dtype=float)
    sketch = models["buys"].sketches[1]["view_count_7d"]
    expected = drift_between("view_count_7d", sketch.counts, tuple(sketch.count(tonight)))
    assert predicted.drift[0].features == (expected,)
    assert predicted.figures["buys_drift_since_last_night_features"] == 1
    assert predicted.figures["buys_drift_since_last_night_psi"] > 1
    assert predicted.figures["first_drift_since_training_ks"] > 0
    since_night = [note for note in run.notes if f"since the night of {BEFORE}" in note]
    assert len(since_night) == 2 and all("moved much" in note for note in since_night)
    assert "view_count_7d (PSI" in since_night[1] and "user" not in since_night[1]
    psi = {d.target: d.score.psi for d in predicted.drift if d.score}
    assert "noise" not in moved.targets and moved.targets <= set(psi)
    said = run.notes[: len(moved.targets)]
    assert all(note.endswith("training.retrain_at_psi)") for note in said)
    # What was counted to decide on training is not counted again.
    assert set(moved.counts["as_of"]) == {AS_OF, BEFORE} and not counted.called


def test_figures_and_details_tell_the_verdict_of_each_target() -> None:
    results = PropensityModels(
        {"buys": model_of("buys", signal=1.5), "noise": model_of("noise", signal=0.0)}
    )
    figures, details = results.figures, results.details["targets"]
    assert figures["buys_gain_over_chance_low"] > 0
    assert figures["noise_gain_over_chance_low"] <= 0
    assert details["buys"] == {"ranked": True, "better_than": {"chance": "yes"}}
    assert not details["noise"]["ranked"] and details["noise"]["better_than"]["chance"] != "yes"
    assert len(results.blocks()) == 2
