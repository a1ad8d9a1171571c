"""The propensity model: trained forward in time, the same from any row order, safe on disk."""

from __future__ import annotations

import json
import pickle
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from behavior_spark.errors import ModelError
from behavior_spark.model.measures.ranking import roc_auc
from behavior_spark.model.propensity.learners.xgboost import TrainingOptions
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.training import train_propensity_model

FEATURES = ["recency_days", "event_count_30d", "value_30d", "noise"]
BASELINES = {"recency": "recency_days", "frequency": "event_count_30d", "value": "value_30d"}
FAST = TrainingOptions(rounds=30, learning_rate=0.1, threads=1)


def shop(days: int = 4, users: int = 400, *, spacing: int = 30, seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    parts = []
    for day in pd.date_range("2024-01-01", periods=days, freq=f"{spacing}D"):
        count = generator.poisson(2, users).astype(float)
        recency = generator.exponential(20, users)
        recency[count == 0] = np.nan
        chance = 1 / (1 + np.exp(1.5 - 0.8 * count + 0.05 * np.nan_to_num(recency, nan=60)))
        parts.append(
            pd.DataFrame(
                {
                    "user_id": [f"u{index}" for index in range(users)],
                    "as_of": day.date(),
                    "recency_days": recency,
                    "event_count_30d": count,
                    "value_30d": count * generator.normal(10, 4, users),
                    "noise": generator.normal(size=users),
                    "label": (generator.random(users) < chance).astype(int),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def trained(frame: pd.DataFrame, **changes) -> PropensityModel:
    settings = {
        "target": "purchase_30d",
        "features": FEATURES,
        "label": "label",
        "as_of": "as_of",
        "horizon_days": 30,
        "options": FAST,
        "baseline_columns": BASELINES,
        "fingerprint": "f1",
        "resamples": 50,
    }
    return train_propensity_model(frame, **(settings | changes))


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return shop()


@pytest.fixture(scope="module")
def model(frame) -> PropensityModel:
    return trained(frame)


def test_it_learns_and_reports_the_last_day_beside_both_baselines(model):
    holdout = model.metrics["holdout"]
    assert holdout["roc_auc"]["low"] < holdout["roc_auc"]["value"] < holdout["roc_auc"]["high"]
    assert holdout["roc_auc"]["value"] > 0.7
    assert holdout["rows"] == 400
    assert 0 < holdout["base_rate"] < 1
    assert holdout["expected_calibration_error"]["value"] < 0.15
    for name in ("recency", "recency_frequency_value"):
        gain = model.metrics["baselines"][name]["roc_auc_gain_of_model"]
        baseline = model.metrics["baselines"][name]["roc_auc"]["value"]
        assert gain["value"] == pytest.approx(holdout["roc_auc"]["value"] - baseline)
        assert gain["low"] <= gain["value"] <= gain["high"]
    assert model.metadata["scheme"] == "rolling_origin"
    assert model.metadata["holdout_days"] == ["2024-03-31"]
    assert model.trained_through == "2024-04-30"


def test_holdout_metrics_use_nothing_of_the_holdout_day_but_to_judge(frame, model):
    """Spoiling the last day's labels must move the metrics to chance, not the fit behind them."""
    spoiled = frame.copy()
    last = spoiled["as_of"] == spoiled["as_of"].max()
    spoiled.loc[last, "label"] = np.random.default_rng(5).permutation(spoiled.loc[last, "label"])
    assert abs(trained(spoiled).metrics["holdout"]["roc_auc"]["value"] - 0.5) < 0.1
    before = trained(frame[~last])
    judge = frame[last].sort_values("user_id")
    assert roc_auc(judge["label"], before.margins(judge)) == pytest.approx(
        model.metrics["holdout"]["roc_auc"]["value"]
    )


def test_days_whose_horizon_reaches_past_the_check_day_are_not_trained_on():
    """With days a week apart, the labels of the weeks before the check day are still open."""
    frame = shop(days=12, spacing=7)
    last = frame["as_of"].max()
    closed = frame["as_of"] + pd.Timedelta(days=30) <= last
    judge = frame[frame["as_of"] == last].sort_values("user_id")
    expected = roc_auc(judge["label"], trained(frame[closed]).margins(judge))
    model = trained(frame)
    assert model.metadata["scheme"] == "rolling_origin"
    assert model.metrics["holdout"]["roc_auc"]["value"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("days", "scheme"), [(3, "rolling_origin"), (2, "halves_of_last_day"), (1, "users_by_hash")]
)
def test_few_days_degrade_and_say_so(days, scheme):
    model = trained(shop(days=days))
    assert model.metadata["scheme"] == scheme
    assert model.metrics["holdout"]["roc_auc"]["value"] > 0.6


def test_any_row_order_trains_the_same_model(frame, model):
    shuffled = frame.sample(frac=1, random_state=1).reset_index(drop=True)
    again = trained(shuffled)
    assert again.digest == model.digest
    assert again.learned == model.learned


def test_dates_timestamps_and_strings_are_the_same_days(frame, model):
    assert trained(frame.assign(as_of=frame["as_of"].astype(str))).digest == model.digest
    stamps = pd.to_datetime(frame["as_of"]).dt.tz_localize("UTC")
    assert trained(frame.assign(as_of=stamps)).digest == model.digest


def test_any_order_and_any_batch_give_the_same_answers(frame, model):
    order = np.random.default_rng(2).permutation(len(frame))
    shuffled = frame.iloc[order]
    assert (model.margins(shuffled) == model.margins(frame)[order]).all()
    assert (model.predictions(shuffled) == model.predictions(frame)[order]).all()
    pieces = [model.margins(frame.iloc[start : start + 7]) for start in range(0, 70, 7)]
    assert (np.concatenate(pieces) == model.margins(frame)[:70]).all()
    assert model.reasons(frame.iloc[5:6]) == model.reasons(frame)[5:6]
    columns = frame[FEATURES[::-1]]
    assert (model.margins(columns) == model.margins(frame)).all()


def test_no_rows_give_no_answers(frame, model):
    empty = frame.iloc[:0]
    assert model.margins(empty).shape == model.predictions(empty).shape == (0,)
    assert model.reasons(empty) == []


def test_probabilities_are_between_zero_and_one_and_follow_the_margins(frame, model):
    margins, probabilities = model.margins(frame), model.predictions(frame)
    assert (np.diff(probabilities[np.argsort(margins)]) >= 0).all()
    assert ((probabilities > 0) & (probabilities < 1)).all()


def test_reasons_add_up_to_the_margin_the_largest_first(frame, model):
    rows = frame.iloc[:50]
    bias = set()
    every = model.reasons(rows, top=9, least=0.0)
    for margin, reasons in zip(model.margins(rows), every, strict=True):
        sizes = [abs(reason.contribution) for reason in reasons]
        assert sizes == sorted(sizes, reverse=True)
        bias.add(round(margin - sum(reason.contribution for reason in reasons), 3))
    assert len(bias) == 1  # every margin is one constant plus its reasons
    assert all(len(reasons) <= 2 for reasons in model.reasons(rows, top=1))
    never = rows[rows["recency_days"].isna()]
    named = [reason for row in model.reasons(never, top=9) for reason in row]
    assert {reason.value for reason in named if reason.feature == "recency_days"} == {None}


def test_decimals_booleans_and_nulls_are_numbers(frame, model):
    rows = frame.iloc[:40].copy()
    typed = rows.assign(
        event_count_30d=rows["event_count_30d"].astype("Int64"),
        recency_days=rows["recency_days"].astype("Float64"),
        value_30d=[Decimal(repr(value)) for value in rows["value_30d"]],
    )
    assert (model.margins(typed) == model.margins(rows)).all()


def test_features_that_are_the_same_for_everybody_change_nothing_and_are_counted(frame, model):
    constant = {"never": 0.0, "always": 7.0, "unknown": np.nan}
    wider = frame.assign(**constant, sometimes=np.where(np.arange(len(frame)) % 2, np.nan, 1.0))
    same = trained(wider, features=["never", *FEATURES[:2], "always", *FEATURES[2:], "unknown"])
    assert same.features == model.features and same.metadata["constant_features"] == 3
    assert np.array_equal(same.margins(frame), model.margins(frame))
    missing = trained(wider, features=[*FEATURES, "sometimes", "never"])
    assert "sometimes" in missing.features and missing.metadata["constant_features"] == 1
    nothing = trained(wider, features=["never", "always"])
    assert nothing.verdict is None or not nothing.ranks


def test_a_missing_column_is_named(frame, model):
    with pytest.raises(ModelError, match="noise"):
        model.margins(frame.drop(columns="noise"))
    with pytest.raises(ModelError, match="value_30d"):
        trained(frame.drop(columns="value_30d"))


@pytest.mark.parametrize("label", [0, 1])
def test_one_outcome_is_refused_with_the_target_and_the_count(frame, label):
    with pytest.raises(ModelError, match=r"purchase_30d(.|\n)*positives in 1600 rows(.|\n)*fix"):
        trained(frame.assign(label=label))


def test_too_few_positives_are_refused(frame):
    with pytest.raises(ModelError, match="1 positives in 1600 rows"):
        trained(frame.assign(label=[1] + [0] * 1599))


def test_rows_without_label_or_twice_are_refused(frame):
    with pytest.raises(ModelError, match="1 without label"):
        trained(frame.assign(label=[None] + [0, 1] * 799 + [1]))
    with pytest.raises(ModelError, match="1600 repeated"):
        trained(pd.concat([frame, frame]))


def test_saved_and_packed_models_are_the_same_model(tmp_path, frame, model):
    folder = model.save(tmp_path / "models" / "purchase_30d")
    assert sorted(path.name for path in folder.iterdir()) == ["booster.ubj", "model.json"]
    assert [path.name for path in folder.parent.iterdir()] == ["purchase_30d"]
    copies = [
        PropensityModel.load(folder),
        PropensityModel.from_bytes(model.to_bytes()),
        pickle.loads(pickle.dumps(model)),
    ]
    assert re.fullmatch("[0-9a-f]{16}", model.digest)
    for copy in copies:
        assert copy.digest == model.digest
        assert copy == model
        assert (copy.predictions(frame) == model.predictions(frame)).all()
        assert copy.reasons(frame.iloc[:9]) == model.reasons(frame.iloc[:9])
        for name in ("recency", "recency_frequency_value"):
            scores = copy.baseline_scores(frame, name)
            assert (scores == model.baseline_scores(frame, name)).all()


def test_saving_over_a_model_replaces_it(tmp_path, frame, model):
    other = trained(frame, fingerprint="f2")
    other.save(tmp_path / "m")
    model.save(tmp_path / "m")
    assert PropensityModel.load(tmp_path / "m").digest == model.digest != other.digest
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize("damage", ["booster", "target", "json", "missing"])
def test_a_damaged_model_is_refused(tmp_path, model, damage):
    folder = model.save(tmp_path / "m")
    description = folder / "model.json"
    if damage == "booster":
        (folder / "booster.ubj").write_bytes(model.learned[:-1] + b"x")
    elif damage == "target":
        data = json.loads(description.read_text())
        description.write_text(json.dumps(data | {"target": "other"}))
    elif damage == "json":
        description.write_text("{")
    else:
        description.unlink()
    with pytest.raises(ModelError, match="propensity model"):
        PropensityModel.load(folder)


def test_an_unknown_baseline_is_refused(frame, model):
    with pytest.raises(ModelError, match="recency_frequency_value"):
        model.baseline_scores(frame, "magic")


def test_a_model_of_sampled_negatives_with_weights_foretells_the_rate_of_all_users():
    frame = shop(days=4, users=3000)
    drawn = np.random.default_rng(5).random(len(frame)) < 0.2
    kept = frame[(frame["label"] == 1) | drawn].copy()
    kept["weight"] = np.where(kept["label"] == 1, 1.0, 5.0)
    whole, weighted = trained(frame), trained(kept, weight="weight")
    rate = frame["label"].mean()
    assert weighted.predictions(frame).mean() == pytest.approx(rate, abs=0.02)
    assert trained(kept).predictions(frame).mean() > rate + 0.1
    found = [model.metrics["holdout"]["roc_auc"]["value"] for model in (whole, weighted)]
    assert found[0] == pytest.approx(found[1], abs=0.03)
    bases = [model.metrics["holdout"]["base_rate"] for model in (whole, weighted)]
    assert bases[0] == pytest.approx(bases[1], abs=0.02)


def test_a_weight_of_one_changes_nothing():
    frame = shop(days=2, users=200)
    assert trained(frame.assign(weight=1.0), weight="weight").digest == trained(frame).digest
