"""Probabilities are moved to the rate of a season, and not moved where none is known."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from behavior_spark.model.propensity.prior_shift import (
    BELIEVED,
    estimated_rate,
    offset_to_rate,
    offsets_by_day,
    season_offset,
    shifted,
)

CHANCES = st.lists(st.floats(0.001, 0.999), min_size=1, max_size=50)


@settings(deadline=None)
@given(chances=CHANCES, rate=st.floats(0.05, 0.95))
def test_the_offset_to_a_rate_gives_that_mean_and_keeps_the_order(chances, rate) -> None:
    wanted = min(max(rate, 0.5 / (len(chances) + 1)), 1 - 0.5 / (len(chances) + 1))
    moved = shifted(chances, offset_to_rate(chances, rate))
    assert moved.mean() == pytest.approx(wanted, abs=1e-6)
    order = np.argsort(chances, kind="stable")
    assert (np.diff(moved[order]) >= 0).all()
    assert (moved > 0).all() and (moved < 1).all()


def test_each_day_gets_the_offset_of_its_own_rows() -> None:
    dice = np.random.default_rng(0)
    days = np.repeat(np.array(["2023-10-02", "2023-11-01"], dtype="datetime64[D]"), 20_000)
    said = np.clip(dice.beta(2, 6, days.size), 0.01, 0.99)
    true = np.where(days == days[0], said, shifted(said, 0.5))
    labels = (dice.random(days.size) < true).astype(float)
    offsets = offsets_by_day(said, labels, days, weights=np.ones(days.size))
    assert list(offsets) == ["2023-10-02", "2023-11-01"]
    assert offsets["2023-10-02"] == pytest.approx(0, abs=0.05)
    assert offsets["2023-11-01"] == pytest.approx(0.5, abs=0.05)


def test_a_night_believes_half_of_what_the_nearest_day_a_year_ago_was_off_by() -> None:
    offsets = {"2023-10-02": -0.2, "2023-11-01": 0.6}
    assert season_offset(offsets, date(2024, 11, 5)) == BELIEVED * 0.6
    assert season_offset(offsets, date(2024, 10, 10)) == BELIEVED * -0.2
    assert season_offset(offsets, date(2024, 12, 10)) == 0.0
    assert season_offset({}, date(2024, 11, 1)) == 0.0


def test_em_finds_the_rate_of_a_label_shift() -> None:
    dice = np.random.default_rng(2)
    positives, negatives = dice.normal(1, 1, 4000), dice.normal(-1, 1, 6000)
    margins = np.concatenate([positives, negatives])
    # Calibrated where half are positive: the log likelihood ratio of the two normals is 2x.
    said = 1 / (1 + np.exp(-2 * margins))
    assert estimated_rate(said, 0.5) == pytest.approx(0.4, abs=0.02)
