"""Kinds of target: what is not done, how often, how much; and what no learner or kind is."""

from __future__ import annotations

import pkgutil
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest

import behavior_spark.features.target_outcomes as outcomes
import behavior_spark.model.propensity.kinds as kinds
from behavior_spark.errors import ConfigError, ModelError
from behavior_spark.model.propensity import training
from behavior_spark.model.propensity.amount_calibration import AmountCalibrator, fit_amounts
from behavior_spark.model.propensity.kinds.does import YesOrNo
from behavior_spark.model.propensity.leakage import train_on_shuffled_labels
from behavior_spark.model.propensity.learners.xgboost import BoostedTrees, TrainingOptions
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.target_kind import find_target_kind

FEATURES = ["recency_days", "event_count_90d", "value_all", "orders_count_90d", "noise"]
BASELINES = {
    "recency": "recency_days",
    "frequency": "event_count_90d",
    "value": "value_all",
    "past": "orders_count_90d",
}
FAST = TrainingOptions(rounds=60, learning_rate=0.1, threads=1)


def shop(days: int = 4, users: int = 500, seed: int = 0) -> pd.DataFrame:
    """Users with a rate of their own: orders are Poisson of it, each worth about 20."""
    dice = np.random.default_rng(seed)
    rate = dice.gamma(0.7, 1.5, users)
    worth = dice.gamma(4.0, 5.0, users)
    parts = []
    for day in pd.date_range("2024-01-01", periods=days, freq="30D"):
        past = dice.poisson(3 * rate)
        count = dice.poisson(rate)
        parts.append(
            pd.DataFrame(
                {
                    "user_id": [f"u{index}" for index in range(users)],
                    "as_of": day.date(),
                    "recency_days": np.where(past > 0, dice.exponential(30 / (rate + 0.1)), np.nan),
                    "event_count_90d": past + dice.poisson(5, users),
                    "value_all": past * worth,
                    "orders_count_90d": past,
                    "noise": dice.normal(size=users),
                    "did": (count > 0).astype(int),
                    "did_not": (count == 0).astype(int),
                    "count": count,
                    "amount": count * worth * dice.gamma(9.0, 1 / 9, users),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def trained(frame: pd.DataFrame, kind: str, label: str, **changes) -> PropensityModel:
    settings = {
        "target": "orders_30d", "features": FEATURES, "label": label, "as_of": "as_of",
        "horizon_days": 30, "kind": kind, "options": FAST, "baseline_columns": BASELINES,
        "resamples": 60,
    }  # fmt: skip
    return training.train_propensity_model(frame, **(settings | changes))


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return shop()


@pytest.fixture(scope="module")
def numbers(frame) -> dict[str, PropensityModel]:
    return {kind: trained(frame, kind, kind) for kind in ("count", "amount")}


def test_every_kind_has_both_halves() -> None:
    names = [
        {module.name for module in pkgutil.iter_modules(package.__path__)}
        for package in (kinds, outcomes)
    ]
    assert names[0] == names[1] >= {"does", "does_not", "count", "amount"}
    assert all(find_target_kind(name).name == name for name in names[0])


def test_what_is_not_done_is_the_opposite_of_what_is(frame) -> None:
    does, does_not = trained(frame, "does", "did"), trained(frame, "does_not", "did_not")
    judge = frame[frame["as_of"] == frame["as_of"].max()]
    both = does.predictions(judge) + does_not.predictions(judge)
    assert np.abs(both - 1).max() < 0.02
    auc = [model.metrics["holdout"]["roc_auc"]["value"] for model in (does, does_not)]
    assert auc[0] == pytest.approx(auc[1], abs=0.01)
    assert does_not.prediction_columns(does_not.margins(judge)).keys() == {"probability"}
    assert does.digest != does_not.digest


def test_churn_is_not_learned_where_hardly_anybody_stays_or_leaves() -> None:
    kind = find_target_kind("does_not")
    assert kind.evidence(np.array([1.0] * 97 + [0.0] * 3)) == 3
    assert kind.evidence(np.array([0.0] * 97 + [1.0] * 3)) == 3
    assert "rarer outcome" in kind.evidence_words


@pytest.mark.parametrize("kind", ["count", "amount"])
def test_numbers_rank_beat_recency_and_add_up_on_the_last_day(numbers, kind: str) -> None:
    model = numbers[kind]
    holdout = model.metrics["holdout"]
    assert holdout["spearman"]["low"] < holdout["spearman"]["value"] < holdout["spearman"]["high"]
    assert holdout["spearman"]["value"] > 0.4
    assert holdout["top_decile_gain"]["value"] > 2
    assert set(model.baselines) == {"recency", "recency_frequency_value", "own_past"}
    recency = model.metrics["baselines"]["recency"]
    gain = recency["spearman_gain_of_model"]
    assert gain["low"] > 0
    assert gain["value"] == pytest.approx(
        holdout["spearman"]["value"] - recency["spearman"]["value"]
    )
    assert holdout["mean_absolute_error"]["value"] < recency["mean_absolute_error"]["value"]


@pytest.mark.parametrize("kind", ["count", "amount"])
def test_nine_in_ten_numbers_of_a_later_shop_lie_in_their_interval(numbers, kind: str) -> None:
    later = shop(days=2, users=3000, seed=9)
    columns = numbers[kind].prediction_columns(numbers[kind].margins(later))
    low, high = columns["expected_low"], columns["expected_high"]
    truth = later[kind].to_numpy(float)
    inside = ((low <= truth) & (truth <= high)).mean()
    assert 0.87 < inside < 0.99
    assert (low >= 0).all() and (low <= columns["expected"]).all()
    assert (columns["expected"] <= high).all() and (high - low).std() > 0
    assert columns["expected"].mean() == pytest.approx(truth.mean(), rel=0.12)


@pytest.mark.parametrize("kind", ["count", "amount"])
def test_saved_and_packed_models_of_numbers_are_the_same_model(
    numbers, frame, tmp_path, kind: str
) -> None:
    model = numbers[kind]
    folder = model.save(tmp_path / "m")
    for copy in (PropensityModel.load(folder), PropensityModel.from_bytes(model.to_bytes())):
        assert copy == model and copy.kind.name == kind and copy.digest == model.digest
        assert (copy.predictions(frame) == model.predictions(frame)).all()
        assert copy.reasons(frame.iloc[:5]) == model.reasons(frame.iloc[:5])


def test_reasons_of_numbers_add_up_to_the_margin(numbers, frame) -> None:
    rows = frame.iloc[:40]
    reasons = numbers["amount"].reasons(rows, top=9, least=0.0)
    sums = [sum(reason.contribution for reason in of_row) for of_row in reasons]
    assert np.ptp(numbers["amount"].margins(rows) - sums) < 1e-4


def test_sampled_zeros_with_weights_foretell_the_total_of_all_users() -> None:
    frame = shop(users=2000)
    drawn = np.random.default_rng(5).random(len(frame)) < 0.25
    kept = frame[(frame["count"] > 0) | drawn].copy()
    kept["weight"] = np.where(kept["count"] > 0, 1.0, 4.0)
    weighted = trained(kept, "count", "count", weight="weight")
    assert weighted.predictions(frame).mean() == pytest.approx(frame["count"].mean(), rel=0.05)
    assert trained(kept, "count", "count").predictions(frame).mean() > 1.2 * frame["count"].mean()


def test_a_currency_changes_amounts_alone(frame, numbers) -> None:
    pence = trained(frame.assign(amount=frame["amount"] * 100), "amount", "amount")
    columns, others = (
        model.prediction_columns(model.margins(frame)) for model in (numbers["amount"], pence)
    )
    for name, values in columns.items():
        np.testing.assert_allclose(others[name], 100 * values, rtol=0.02, atol=1.0)
    rank = [m.metrics["holdout"]["spearman"]["value"] for m in (numbers["amount"], pence)]
    assert rank[0] == pytest.approx(rank[1], abs=0.005)


def test_an_interval_is_the_exact_conformal_one() -> None:
    """Where every expected amount is 1, its ends are the 20th of 20 labels, counted by hand."""
    labels = np.arange(20) / 9.5
    fitted = fit_amounts(np.zeros(20), labels, weights=np.ones(20), power=1.0)
    assert fitted.predict([0.0]) == pytest.approx([1.0])
    low, high = fitted.interval([0.0])
    assert (low[0], high[0]) == (pytest.approx(0.0, abs=1e-12), pytest.approx(2.0))
    assert AmountCalibrator.from_json(fitted.to_json()) == fitted


def test_shuffled_numbers_are_foretold_no_better_than_by_chance(frame) -> None:
    found = train_on_shuffled_labels(
        frame.assign(label_x=frame["count"]), target="x", features=FEATURES, horizon_days=30,
        deviations=4, seed=1, kind="count",
    )  # fmt: skip
    assert found.by_chance


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (-1.0, r"numbers of at least 0(.|\n)*2000 without label"),
        (3.0, r"orders_30d' has no numbers that differ"),
    ],
)
def test_labels_that_are_no_amounts_or_all_equal_are_refused(frame, values, message) -> None:
    with pytest.raises(ModelError, match=message):
        trained(frame.assign(count=values), "count", "count")


def test_an_unknown_kind_or_learner_is_refused_with_those_that_are_known(frame) -> None:
    with pytest.raises(ConfigError, match=r"no target kind 'dose'(.|\n)*amount, count, does, "):
        trained(frame, "dose", "did")
    with pytest.raises(ConfigError, match=r"no learner 'forest'(.|\n)*known: base_rate, xgboost"):
        trained(frame, "does", "did", learner="forest")


@dataclass(frozen=True)
class YesAndNoAlone(BoostedTrees):
    losses: frozenset = frozenset({"logistic"})


def test_a_learner_that_lacks_a_kinds_loss_is_refused(frame, monkeypatch) -> None:
    monkeypatch.setattr(training, "find_learner", lambda _: YesAndNoAlone())
    with pytest.raises(ModelError, match=r"cannot learn target 'orders_30d' of kind count"):
        trained(frame, "count", "count")


def test_a_model_of_the_usual_kind_is_stored_as_before_there_were_others(frame, tmp_path) -> None:
    text = (trained(frame, "does", "did").save(tmp_path / "m") / "model.json").read_text()
    assert '"kind": "does"' not in text and '"learner"' not in text
    again = PropensityModel.load(tmp_path / "m")
    assert (again.kind, again.learner) == (YesOrNo("does"), BoostedTrees())
