"""Sketches count what they were made of, and tell what moved and what did not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.sketch import Sketch, describe_drift, drift_between
from tests.model.propensity.test_propensity import shop, trained

VALUES = st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6), st.integers(0, 3)), max_size=60)


def numbers(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values], dtype=float)


@settings(deadline=None)
@given(values=VALUES)
def test_every_row_is_in_one_bin_and_the_same_rows_do_not_drift(values) -> None:
    column = numbers(values)
    sketch = Sketch.of(column)
    assert sum(sketch.counts) == len(values)
    assert sketch.counts[-1] == np.isnan(column).sum()
    assert list(sketch.ends) == sorted(set(sketch.ends)) and len(sketch.ends) < 10
    assert tuple(sketch.count(column)) == sketch.counts
    assert Sketch.from_json(json.loads(json.dumps(sketch.to_json()))) == sketch
    same = drift_between("x", sketch.counts, sketch.counts)
    assert same.psi == pytest.approx(0) and same.ks == pytest.approx(0) and same.words == "little"


def test_weights_count_as_rows_that_stand_there_so_often() -> None:
    values, often = np.array([1.0, 2, 3, np.nan]), np.array([1, 5, 2, 3])
    sketch = Sketch.of(values)
    assert (sketch.count(values, weights=often) == sketch.count(np.repeat(values, often))).all()


def test_the_mean_is_that_of_known_values_by_weight_or_of_what_is_told() -> None:
    values, often = np.array([1.0, 2, 3, np.nan]), np.array([1, 5, 2, 3])
    assert Sketch.of(values, weights=often).mean == pytest.approx((1 + 10 + 6) / 8)
    told = Sketch.of(values, mean_of=[0.1, 0.2, 0.6, 0.9])
    assert told.mean == pytest.approx(0.3) and Sketch.of([np.nan]).mean == 0


def test_a_model_keeps_how_its_features_and_unseen_scores_were_spread(tmp_path: Path) -> None:
    frame = shop()
    model = PropensityModel.load(trained(frame).save(tmp_path / "m"))
    score, of_features = model.sketches
    for name in model.features:
        assert of_features[name] == Sketch.of(frame[name].astype(float))
    # Not of rows that the model has learned from: those of the last day alone.
    assert score is not None and sum(score.counts) == (frame["as_of"] == frame["as_of"].max()).sum()
    rate = frame.loc[frame["as_of"] == frame["as_of"].max(), "label"].mean()
    assert abs(score.mean - rate) < 0.1


def test_ks_is_that_of_scipy_to_the_width_of_a_bin() -> None:
    dice = np.random.default_rng(0)
    before, now = dice.normal(0, 1, 20_000), dice.normal(0.5, 1, 20_000)
    sketch = Sketch.of(before)
    drift = drift_between("x", sketch.counts, tuple(sketch.count(now)))
    exact = ks_2samp(before, now).statistic
    assert exact - 0.02 <= drift.ks <= exact + 1e-9
    assert drift.words == "somewhat" and 0.2 < drift.psi < 0.25


def test_a_shift_and_values_that_went_missing_move_much_and_noise_does_not() -> None:
    dice = np.random.default_rng(1)
    sketch = Sketch.of(dice.exponential(10, 5000))
    noise = dice.exponential(10, 5000)
    gone = np.where(dice.random(5000) < 0.3, np.nan, noise)
    few = dice.exponential(10, 12)  # a dozen users are never spread evenly
    drifts = {
        name: drift_between(name, sketch.counts, tuple(sketch.count(values)))
        for name, values in (("noise", noise), ("twice", noise * 2.5), ("gone", gone), ("few", few))
    }
    assert {name: drift.words for name, drift in drifts.items()} == {
        "noise": "little", "twice": "much", "gone": "much", "few": "little",
    }  # fmt: skip
    told = describe_drift(list(drifts.values()), since="last night", most=1)
    assert told is not None and told.startswith("moved much since last night: gone (PSI")
    assert told.endswith("and 1 more")
    assert describe_drift([drifts["noise"]], since="training") is None


def test_a_night_without_users_moves_nothing() -> None:
    assert drift_between("x", (1.0, 2.0, 0.0), (0.0, 0.0, 0.0)).words == "little"


@pytest.mark.parametrize("share", [0.95, 0.05])
def test_a_flag_that_nearly_all_had_and_nearly_none_has_is_much(share: float) -> None:
    flags = (np.arange(1000) < 1000 * share).astype(float)
    sketch = Sketch.of(flags)
    drift = drift_between("x", sketch.counts, tuple(sketch.count(1 - flags)))
    assert drift.words == "much" and drift.ks == pytest.approx(0.9)
