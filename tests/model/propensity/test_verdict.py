"""A verdict for each target: signal is ranked, noise gets the base rate, and it says which."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from behavior_spark.model.measures import amounts, ranking
from behavior_spark.model.propensity.learners.xgboost import TrainingOptions, least_leaf
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.target_kind import Measure
from behavior_spark.model.propensity.training import train_propensity_model
from behavior_spark.model.propensity.verdict import CHANCE, TargetVerdict, judge

AUC = Measure("roc_auc", "AUC", ranking.roc_auc, chance=0.5)
SPEARMAN = Measure("spearman", "Spearman correlation", amounts.spearman, chance=0.0)
FAST = TrainingOptions(rounds=20, learning_rate=0.1, threads=1)
BASELINES = {"recency": "recency_days", "frequency": "count", "value": "value"}


def rows(*, signal: float, seed: int, users: int = 150, days: int = 4) -> pd.DataFrame:
    """Users with four features; the outcome follows ``count`` where there is a signal."""
    dice = np.random.default_rng(seed)
    size = users * days
    count = dice.poisson(2, size).astype(float)
    chance = 1 / (1 + np.exp(1.4 - signal * (count - 2)))
    outcome = (dice.random(size) < chance).astype(int)
    return pd.DataFrame(
        {
            "user_id": [f"u{number % users}" for number in range(size)],
            "as_of": np.repeat(pd.date_range("2024-01-01", periods=days, freq="30D"), users),
            "recency_days": dice.exponential(20, size),
            "count": count,
            "value": count * dice.normal(10, 4, size),
            "noise": dice.normal(size=size),
            "did": outcome,
            "amount": outcome * dice.gamma(2.0, 20.0, size),
        }
    )


def trained(frame: pd.DataFrame, label: str = "did", kind: str = "does") -> PropensityModel:
    return train_propensity_model(
        frame, target="buys", features=["recency_days", "count", "value", "noise"], label=label,
        as_of="as_of", horizon_days=30, kind=kind, options=FAST, baseline_columns=BASELINES,
        resamples=200,
    )  # fmt: skip


def verdict_of(model: PropensityModel) -> TargetVerdict:
    assert model.verdict is not None
    return model.verdict


def test_noise_gets_the_base_rate_without_ranking_and_reasons_on_nine_seeds_of_ten() -> None:
    ranked = 0
    for seed in range(20):
        frame = rows(signal=0.0, seed=seed)
        model = trained(frame)
        ranked += model.ranks
        if model.ranks:
            continue
        assert verdict_of(model).better_than_chance != "yes"
        assert model.features == ()
        assert model.predictions(frame) == pytest.approx(frame["did"].mean(), rel=1e-12)
        assert len(set(model.margins(frame))) == 1
        assert model.reasons(frame.head(3)) == [[], [], []]
    assert ranked <= 2


def test_noise_in_amounts_gets_the_mean_with_an_interval() -> None:
    frame = rows(signal=0.0, seed=3)
    model = trained(frame, "amount", "amount")
    assert not model.ranks
    columns = model.prediction_columns(model.margins(frame))
    assert columns["expected"] == pytest.approx(frame["amount"].mean(), rel=1e-9)
    inside = (columns["expected_low"] <= frame["amount"]) & (
        frame["amount"] <= columns["expected_high"]
    )
    assert inside.mean() >= 0.9


@pytest.mark.parametrize(("label", "kind"), [("did", "does"), ("amount", "amount")])
def test_a_planted_signal_is_ranked_and_beats_recency(label: str, kind: str) -> None:
    for seed in range(3):
        frame = rows(signal=1.2, seed=seed)
        model = trained(frame, label, kind)
        verdict = verdict_of(model)
        assert model.ranks and len(set(model.predictions(frame))) > 10
        assert verdict.answers[CHANCE] == verdict.answers["recency"] == "yes"
        # Frequency is the whole signal, so that the third baseline cannot be beaten clearly.
        assert verdict.answers["recency_frequency_value"] != "yes"


def test_a_rare_outcome_in_a_small_log_is_learned_all_the_same() -> None:
    """Of 140 rows with a dozen positives no leaf has the weight that large logs ask for."""
    dice = np.random.default_rng(8)
    days = pd.date_range("2024-01-01", periods=3, freq="30D")
    frame = pd.DataFrame(
        {"user_id": [f"u{n}" for n in range(120)] * 3, "as_of": np.repeat(days, 120),
         "recency_days": dice.exponential(20, 360)}
    )  # fmt: skip
    frame["did"] = ((frame["recency_days"] > 45) & (dice.random(360) < 0.8)).astype(int)
    assert 20 < frame["did"].sum() < 45
    model = train_propensity_model(
        frame, target="churn", features=["recency_days"], label="did", as_of="as_of",
        horizon_days=30, resamples=200,
    )  # fmt: skip
    assert model.ranks and len(set(model.predictions(frame))) > 1


def test_large_training_sets_keep_their_leaves() -> None:
    options = TrainingOptions()
    rare, weights = (np.arange(4_000) % 20 == 0).astype(float), np.full(4_000, 2.0)
    assert least_leaf(rare, None, options=options, loss="logistic") == options.min_child_weight
    assert least_leaf(rare[:400], None, options=options, loss="logistic") == pytest.approx(0.76)
    assert least_leaf(rare[:400], weights[:400], options=options, loss="poisson") == (
        pytest.approx(1.6)
    )


def test_a_baseline_below_chance_counts_as_chance() -> None:
    dice = np.random.default_rng(0)
    labels = (np.arange(400) % 5 == 0).astype(float)
    noise, inverted = dice.normal(size=400), dice.normal(size=400) - 2 * labels
    verdict = judge(AUC, labels, noise, {"recency": inverted, "half": np.zeros(400)})
    assert verdict is not None
    assert ranking.roc_auc(labels, noise) - ranking.roc_auc(labels, inverted) > 0.3
    assert verdict.gains["recency"].as_chance
    assert verdict.gains["recency"].figures() == verdict.gains[CHANCE].figures()
    assert verdict.answers["recency"] == verdict.better_than_chance == "cannot tell"
    assert not verdict.gains["half"].as_chance


def test_a_model_that_is_worse_is_told_no() -> None:
    dice = np.random.default_rng(1)
    labels = (np.arange(500) % 4 == 0).astype(float)
    good, bad = (dice.normal(size=500) + sign * labels for sign in (1, -1))
    verdict = judge(AUC, labels, bad, {"recency": good})
    assert verdict is not None
    assert verdict.answers == {CHANCE: "no", "recency": "no"}


def test_the_verdict_does_not_depend_on_the_order_of_rows() -> None:
    for signal in (0.0, 1.2):
        frame = rows(signal=signal, seed=5)
        shuffled = frame.sample(frac=1, random_state=1).reset_index(drop=True)
        assert trained(shuffled).digest == trained(frame).digest


def test_rows_of_one_user_are_drawn_together() -> None:
    """Repeating every row five times tells nothing new, so the interval must not shrink."""
    dice = np.random.default_rng(2)
    labels = (np.arange(200) % 4 == 0).astype(float)
    scores, users = dice.normal(size=200) + 0.3 * labels, np.arange(200)
    verdicts = [
        judge(AUC, np.repeat(labels, 5), np.repeat(scores, 5), {}, users=of)
        for of in (np.repeat(users, 5), None)
    ]
    once = judge(AUC, labels, scores, {}, users=users)
    assert once is not None
    together, apart = (v.gains[CHANCE] for v in verdicts if v is not None)
    assert together.figures() == pytest.approx(once.gains[CHANCE].figures())
    assert apart.high - apart.low < 0.6 * (together.high - together.low)


def test_one_positive_tells_nothing() -> None:
    labels = np.zeros(50)
    labels[7] = 1
    verdict = judge(AUC, labels, labels, {"recency": np.arange(50.0)})
    assert verdict is not None
    assert set(verdict.answers.values()) == {"cannot tell"}


@pytest.mark.parametrize("positives", [5, 10, 50])
def test_ninety_five_percent_intervals_rarely_promise_too_much(positives: int) -> None:
    """Of scores by chance at most 5 % are called better; 2.5 % is what the interval promises."""
    labels = np.zeros(200)
    labels[:positives] = 1
    answers = []
    for seed in range(200):
        scores = np.random.default_rng(seed).normal(size=200)
        verdict = judge(AUC, labels, scores, {}, resamples=300)
        answers.append(verdict.better_than_chance if verdict else None)
    assert answers.count("yes") <= 10 and answers.count("no") <= 10


def test_numbers_are_compared_by_their_own_measure() -> None:
    dice = np.random.default_rng(4)
    labels = dice.gamma(1.0, 10.0, 300)
    verdict = judge(SPEARMAN, labels, labels + dice.normal(size=300), {"recency": -labels})
    assert verdict is not None
    assert verdict.measure == "spearman" and verdict.better_than_chance == "yes"
    assert verdict.gains["recency"].as_chance


def test_a_measure_that_does_not_say_what_chance_is_gives_no_verdict() -> None:
    measure = Measure("mine", "mine", ranking.average_precision)
    assert judge(measure, np.array([0.0, 1.0]), np.zeros(2), {}) is None


@pytest.mark.parametrize("signal", [0.0, 1.2])
def test_a_saved_model_keeps_its_verdict(tmp_path, signal: float) -> None:
    frame = rows(signal=signal, seed=6)
    model = trained(frame)
    restored = PropensityModel.load(model.save(tmp_path / "model"))
    assert restored == model and restored.ranks == model.ranks == (signal > 0)
    assert verdict_of(restored).to_json() == json.loads(json.dumps(verdict_of(model).to_json()))
    assert (restored.predictions(frame) == model.predictions(frame)).all()


def test_a_model_from_before_there_were_verdicts_still_ranks() -> None:
    model = trained(rows(signal=1.2, seed=7))
    metrics = {name: content for name, content in model.metrics.items() if name != "verdict"}
    old = PropensityModel(**{**vars_of(model), "metrics": metrics})
    restored = PropensityModel.from_bytes(old.to_bytes())
    assert restored.verdict is None and restored.ranks


def vars_of(model: PropensityModel) -> dict[str, object]:
    names = PropensityModel.__dataclass_fields__
    return {name: getattr(model, name) for name in names}
