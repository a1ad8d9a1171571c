"""Deciles, reasons in words and training days."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from behavior_spark.model.propensity.goals import Movable
from behavior_spark.model.propensity.learners.xgboost import TrainingOptions
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.population import TargetPopulation
from behavior_spark.model.propensity.training import train_propensity_model
from behavior_spark.prediction.predict import decile_cuts, goals, predict, score_steps, with_decile
from behavior_spark.prediction.training_days import training_days


@given(st.lists(st.integers(-50, 50), min_size=10, max_size=300))
def test_decile_one_holds_at_least_a_tenth_and_no_lower_score_stands_above(
    steps: list[int],
) -> None:
    counts = [(step, steps.count(step)) for step in set(steps)]
    cuts = decile_cuts(counts)
    assert len(cuts) == 9 and cuts == sorted(cuts, reverse=True)
    first = [step for step in steps if step >= cuts[0]]
    assert len(first) * 10 >= len(steps)
    above = [step for step in first if step > cuts[0]]
    assert len(above) * 10 < len(steps)


def test_a_hundred_different_scores_make_ten_deciles_of_ten(spark: SparkSession) -> None:
    scores = spark.range(100).select(
        F.lit("t").alias("target"), (F.col("id") / 10).cast("double").alias("score")
    )
    steps, users = np.unique(score_steps(np.arange(100) / 10), return_counts=True)
    histogram = list(zip(steps.tolist(), users.tolist(), strict=True))
    rows = with_decile(scores, {"t": decile_cuts(histogram)}).collect()
    by_decile: dict[int, list[float]] = {}
    for row in rows:
        by_decile.setdefault(row["decile"], []).append(row["score"])
    assert {decile: len(found) for decile, found in by_decile.items()} == dict.fromkeys(
        range(1, 11), 10
    )
    assert min(by_decile[1]) > max(by_decile[2])


@given(
    horizon=st.integers(1, 90),
    count=st.integers(1, 12),
    every=st.integers(1, 60),
    history=st.integers(1, 400),
)
def test_every_training_day_has_a_past_and_a_horizon_that_is_over(
    horizon: int, count: int, every: int, history: int
) -> None:
    as_of = dt.date(2024, 6, 1)
    first = as_of - dt.timedelta(days=history)
    days = training_days(
        as_of, horizon_days=horizon, count=count, every_days=every, first_event=first
    )
    assert days == sorted(set(days)) and len(days) <= count
    assert all(first < day <= as_of - dt.timedelta(days=horizon) for day in days)
    if history > horizon:
        assert days[-1] == as_of - dt.timedelta(days=horizon)


def model_of(target: str, *, signal: float) -> PropensityModel:
    """A model that learned from 600 users; without signal it is the base rate."""
    dice = np.random.default_rng(3)
    count = dice.poisson(2, 600).astype(float)
    did = dice.random(600) < 1 / (1 + np.exp(1.4 - signal * (count - 2)))
    frame = pd.DataFrame(
        {"user_id": [f"u{n}" for n in range(600)], "as_of": "2024-01-01", "count": count,
         "did": did.astype(int)}
    )  # fmt: skip
    return train_propensity_model(
        frame, target=target, features=["count"], label="did", as_of="as_of", horizon_days=30,
        options=TrainingOptions(rounds=20, learning_rate=0.2, threads=1), resamples=100,
    )  # fmt: skip


def test_a_target_that_nothing_predicts_has_the_base_rate_no_decile_and_no_reason(
    spark: SparkSession,
) -> None:
    models = {"noise": model_of("noise", signal=0.0), "buys": model_of("buys", signal=1.5)}
    verdicts = {name: model.verdict for name, model in models.items()}
    assert [v.better_than_chance == "yes" for v in verdicts.values() if v] == [False, True]
    features = spark.createDataFrame(
        [(f"u{n}", float(n), None if n % 4 else 3.0) for n in range(20)],
        "user_id string, count double, buy_recency_days double",
    )
    populations = {"buys": TargetPopulation("never_before", None, "buy_recency_days")}
    cuts = {"buys": list(range(900, 0, -100))}
    changes = goals(
        {"buys": "more", "noise": "more"}, {"count": Movable("higher", whole=True)}, cuts
    )
    predictions = predict(
        features, models, horizons={"noise": 30, "buys": 30}, told={}, reasons=3,
        as_of=dt.date(2024, 6, 1), populations=populations, changes=changes,
    )  # fmt: skip
    rows = with_decile(predictions, cuts).collect()
    by_target = {name: [row for row in rows if row["target"] == name] for name in models}
    assert len(by_target["noise"]) == 20 and len(by_target["buys"]) == 15
    assert {row["user_id"] for row in by_target["buys"]} == {f"u{n}" for n in range(20) if n % 4}
    rate = models["noise"].predictions(pd.DataFrame({"count": [0.0]}))[0]
    for row in by_target["noise"]:
        assert row["probability"] == rate
        assert row["decile"] is None and row["reasons"] is None
        assert row["better_than_chance"] in ("no", "cannot tell")
    for row in by_target["buys"]:
        assert row["decile"] is not None and row["better_than_chance"] == "yes"
    assert any(row["reasons"] for row in by_target["buys"])
    assert not any(row["nearest_change"] for row in by_target["noise"])
    changed = [row for row in by_target["buys"] if row["nearest_change"]]
    assert changed
    for row in changed:
        change = row["nearest_change"]
        assert change["feature"] == "count" and change["changed"] > change["value"]
        assert change["predicted"] > row["probability"] and change["score"] > row["score"]
        # As the table would rank it; a user in the best decile can only go further.
        steps = int(score_steps(np.array([change["score"]]))[0])
        assert change["decile"] == 1 + sum(steps < cut for cut in cuts["buys"])
    assert any(row["nearest_change"]["decile"] < row["decile"] for row in changed)


def test_where_nothing_is_movable_or_wanted_no_change_is_looked_for() -> None:
    movable = {"count": Movable("higher")}
    assert goals({"buys": "more"}, {}, {"buys": [1]}) == {}
    assert goals({"buys": None}, movable, {"buys": [1]}) == {}
    assert goals({"buys": "less"}, movable, {})["buys"].limits == ()
