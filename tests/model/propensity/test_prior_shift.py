"""Probabilities are moved to the rate of a season, and not moved where none is known."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from behavior_spark.model.propensity.learners.xgboost import TrainingOptions
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.prior_shift import (
    BELIEVED,
    estimated_rate,
    folds_of_season,
    offset_to_rate,
    offsets_by_day,
    season_offset,
    shifted,
)
from behavior_spark.model.propensity.training import train_propensity_model

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


def test_a_night_believes_half_of_the_newest_offset_and_of_its_change_a_year_ago() -> None:
    newest = {"2024-10-02": 0.2}
    year = {"2023-10-03": -0.1, "2023-11-02": 0.5, **newest}
    assert season_offset(newest, date(2024, 11, 1)) == pytest.approx(BELIEVED * 0.2)
    assert season_offset(year, date(2024, 11, 1)) == pytest.approx(BELIEVED * (0.2 + 0.6))
    # Weeks later there is no day of that season any more.
    assert season_offset(year, date(2024, 12, 10)) == pytest.approx(BELIEVED * 0.2)
    assert season_offset({}, date(2024, 11, 1)) == 0.0


def test_folds_are_the_last_days_and_their_seasons_a_year_ago() -> None:
    days = [date(2024, 10, 2) - timedelta(days=30 * back) for back in reversed(range(20))]
    folds = folds_of_season(days, horizon_days=30)
    assert folds[-2:] == days[-2:]
    year_ago = [day for day in days if date(2023, 8, 17) <= day <= date(2023, 12, 18)]
    assert folds[:-2] == year_ago and len(year_ago) == 4
    assert folds_of_season(days[-6:], horizon_days=30) == days[-2:]


def test_em_finds_the_rate_of_a_label_shift() -> None:
    dice = np.random.default_rng(2)
    positives, negatives = dice.normal(1, 1, 4000), dice.normal(-1, 1, 6000)
    margins = np.concatenate([positives, negatives])
    # Calibrated where half are positive: the log likelihood ratio of the two normals is 2x.
    said = 1 / (1 + np.exp(-2 * margins))
    assert estimated_rate(said, 0.5) == pytest.approx(0.4, abs=0.02)


def seasons(days: int, *, users: int = 500) -> pd.DataFrame:
    """Days 30 apart up to 2024-10-02; each year people do more from the middle of October on."""
    dice = np.random.default_rng(5)
    parts = []
    for back in range(days):
        day = date(2024, 11, 1) - timedelta(days=30 * back)
        views = dice.poisson(2, users).astype(float)
        rush = 1.2 if (day.month, day.day) >= (10, 15) and day.month < 12 else 0.0
        did = dice.random(users) < 1 / (1 + np.exp(2.5 - 0.6 * views - rush))
        parts.append(
            pd.DataFrame(
                {"user_id": [f"u{n}" for n in range(users)], "as_of": day, "views": views,
                 "did": did.astype(int)}
            )
        )  # fmt: skip
    return pd.concat(parts, ignore_index=True)


def trained(frame: pd.DataFrame, **changes: Any) -> PropensityModel:
    settings: dict[str, Any] = {
        "target": "t", "features": ["views"], "label": "did", "as_of": "as_of",
        "horizon_days": 30, "resamples": 50, "recent_days": 5,
        "options": TrainingOptions(rounds=30, learning_rate=0.1, threads=1),
    }  # fmt: skip
    return train_propensity_model(frame, **(settings | changes))


def test_a_rush_of_last_year_raises_probabilities_of_its_season_and_of_no_other(
    tmp_path: Path,
) -> None:
    rows, rush = seasons(20), date(2024, 11, 1)
    known, tonight = rows[rows["as_of"] < rush], rows[rows["as_of"] == rush]
    plain = trained(known)
    model = trained(known, prior_shift="season")
    margins = model.margins(tonight)
    assert (margins == plain.margins(tonight)).all()  # learned from the same five days
    rate = tonight["did"].mean()
    said = {
        "plain": plain.prediction_columns(plain.margins(tonight), rush)["probability"].mean(),
        "season": model.prediction_columns(margins, rush)["probability"].mean(),
        "summer": model.prediction_columns(margins, date(2024, 7, 1))["probability"].mean(),
    }
    assert said["plain"] < rate - 0.15  # five days of summer know of no rush
    assert abs(rate - said["season"]) < 0.7 * abs(rate - said["plain"])
    assert said["summer"] < said["season"] - 0.05
    restored = PropensityModel.load(model.save(tmp_path / "model"))
    again = restored.prediction_columns(margins, rush)["probability"]
    assert again.mean() == said["season"]
    assert "offsets" not in plain.metadata


def test_without_days_of_a_year_ago_the_newest_horizon_alone_tells_the_level() -> None:
    rows = seasons(7)
    model = trained(rows[rows["as_of"] < date(2024, 11, 1)], prior_shift="season")
    newest = max(model.metadata["offsets"])
    assert newest == "2024-10-02"
    offset = season_offset(model.metadata["offsets"], date(2024, 11, 1))
    assert offset == BELIEVED * model.metadata["offsets"][newest]
