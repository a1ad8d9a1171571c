"""Sketches count what they were made of, and tell what moved and what did not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp

from behavior_spark.model.propensity.sketch import Sketch, describe_drift, drift_between

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
    same = drift_between("x", sketch.counts, sketch.counts)
    assert same.psi == pytest.approx(0) and same.ks == pytest.approx(0) and same.words == "little"


def test_weights_count_as_rows_that_stand_there_so_often() -> None:
    values, often = np.array([1.0, 2, 3, np.nan]), np.array([1, 5, 2, 3])
    sketch = Sketch.of(values)
    assert (sketch.count(values, weights=often) == sketch.count(np.repeat(values, often))).all()
    assert Sketch.of(values, weights=often) == Sketch.of(np.repeat(values, often))
    steps = {"steps": [1, 2, 3], "users": [1, 5, 2], "unknown": 3}
    assert Sketch.of_steps(steps) == Sketch.of(values, weights=often)


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
