"""What would change a prediction is what the model answers, and the nearest such value."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest

from behavior_spark.model.propensity.changes import Change
from behavior_spark.model.propensity.goals import Goal, Movable, Wanted
from behavior_spark.model.propensity.learners.xgboost import FittedTrees, TrainingOptions
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.sayings import Saying, Told, amount_words, share_words
from behavior_spark.model.propensity.training import train_propensity_model

FEATURES = ["answer_hours", "offers", "visits", "share"]
MOVABLE = {"answer_hours": Movable("lower"), "offers": Movable("higher", whole=True)}
TOLD = {"answer_hours": Told("answers", "mean", Saying("answered within {n} hours"))}


def users(count: int, seed: int) -> pd.DataFrame:
    """Users who come back more often the sooner they are answered and the more offers they get."""
    dice = np.random.default_rng(seed)
    hours, offers = dice.gamma(2.0, 6.0, count), dice.poisson(2, count).astype(float)
    visits, share = dice.poisson(3, count).astype(float), dice.random(count)
    chance = 1 / (1 + np.exp(0.12 * hours - 0.4 * offers - 0.3 * visits * (hours < 10)))
    hours[dice.random(count) < 0.1] = np.nan  # never asked
    share[dice.random(count) < 0.2] = np.nan
    return pd.DataFrame(
        {"user_id": [f"u{n}" for n in range(count)], "as_of": "2024-01-01", "answer_hours": hours,
         "offers": offers, "visits": visits, "share": share,
         "back": (dice.random(count) < chance).astype(int)}
    )  # fmt: skip


@cache
def model() -> PropensityModel:
    return train_propensity_model(
        users(1_500, 1), target="back", features=FEATURES, label="back", as_of="as_of",
        horizon_days=30, resamples=100,
        options=TrainingOptions(rounds=40, learning_rate=0.1, threads=1, colsample=0.8),
    )  # fmt: skip


ROWS = users(400, 2)


def values_of(rows: pd.DataFrame) -> np.ndarray:
    return rows[list(model().features)].to_numpy(np.float32)


def limits() -> tuple[float, ...]:
    return tuple(np.quantile(model().margins(ROWS), np.arange(0.9, 0, -0.1)))


def changes_of(wanted: Wanted, movable: dict[str, Movable]) -> list[Change | None]:
    return model().changes(ROWS, Goal(wanted, movable, limits()), TOLD)


def test_steps_along_a_feature_are_the_margins_of_the_model() -> None:
    fitted, values = model()._fitted, values_of(ROWS)
    assert isinstance(fitted, FittedTrees)
    for place in range(values.shape[1]):
        splits = fitted.steps.splits(place)
        along = fitted.steps.margins_along(values, place)
        assert len(splits) > 3 and along.shape == (len(values), len(splits) + 1)
        inside = [np.nextafter(splits[0], np.float32(-np.inf)), *splits]
        moved = []
        for value in inside:
            changed = values.copy()
            changed[:, place] = value
            moved.append(fitted.margins(changed))
        exact = np.stack(moved, axis=1)
        np.testing.assert_allclose(along - along[:, :1], exact - exact[:, :1], atol=1e-5)


@pytest.mark.parametrize("wanted", ["more", "less"])
def test_a_change_is_the_nearest_that_reaches_the_next_decile_else_the_one_that_moves_most(
    wanted: Wanted,
) -> None:
    """Every value that a changed user could have is tried by the model itself."""
    movable = {"answer_hours": Movable("either"), "offers": Movable("either", whole=True)}
    goal = Goal(wanted, movable, limits())
    sign = 1 if wanted == "more" else -1
    changes, margins = changes_of(wanted, movable), model().margins(ROWS)
    fitted, before = model()._fitted, model().predictions(ROWS)
    reached = 0
    for row in range(0, 400, 8):
        tried = []
        for feature in movable:
            spread = model().sketches[1][feature].spread
            now = ROWS[feature][row]
            column = model().features.index(feature)
            grid = np.arange(0, 15) if feature == "offers" else np.unique(
                np.round(fitted.steps.splits(column)[:, None] + [-0.01, 0, 0.01], 6)
            )  # fmt: skip
            sketch = model().sketches[1][feature]
            grid = grid[(grid >= sketch.low) & (grid <= sketch.high)]
            frame = ROWS.iloc[[row] * len(grid)].assign(**{feature: grid})
            gain = sign * (model().margins(frame) - margins[row])
            moved = sign * (model().predictions(frame) - before[row])
            worth = (gain > 1e-6) & (moved > 0.05 * min(before[row], 1 - before[row]))
            if not np.isnan(now):
                tried += list(zip(np.abs(grid - now)[worth] / spread, gain[worth], strict=True))
        change = changes[row]
        assert (change is None) == (not tried)
        if change is None:
            continue
        limit = abs(goal.next_limits(margins[[row]])[0] - margins[row])
        near = [distance for distance, gain in tried if gain >= limit]
        distance = abs(change.changed - change.value) / model().sketches[1][change.feature].spread
        gain = sign * (change.score - margins[row])
        if near:
            reached += 1
            assert gain >= limit - 1e-6 and distance <= min(near) + 0.01
        else:
            assert gain == pytest.approx(max(gain for _, gain in tried), abs=1e-5)
    assert reached > 10


def test_what_is_told_is_what_the_model_answers_for_the_changed_user() -> None:
    found = 0
    for row, change in enumerate(changes_of("more", MOVABLE)):
        if change is None:
            continue
        found += 1
        changed = ROWS.iloc[[row]].assign(**{change.feature: change.changed})
        assert model().margins(changed)[0] == change.score
        assert model().predictions(changed)[0] == change.predicted
        before = model().predictions(ROWS.iloc[[row]])[0]
        assert change.predicted > before
        figures = f"{share_words(before)} -> {share_words(change.predicted)}"
        assert change.text.endswith(f": {figures}")
        assert change.decile == 1 + sum(change.score < limit for limit in limits())
        assert change.value == np.float32(ROWS[change.feature][row])
        sketch = model().sketches[1][change.feature]
        assert sketch.low is not None and sketch.high is not None
        assert sketch.low <= change.changed <= sketch.high
        if change.feature == "answer_hours":
            assert change.changed < change.value
            assert change.text.startswith(f"if answered within {change.changed:.3g} hours rather")
        else:
            assert change.changed > change.value and change.changed == int(change.changed)
    assert found > 200


def test_only_what_is_declared_movable_is_moved_and_a_missing_value_stays_missing() -> None:
    assert changes_of("more", {}) == [None] * 400
    assert changes_of("more", {"unheard_of": Movable("either")}) == [None] * 400
    alone = changes_of("less", {"answer_hours": Movable("higher")})
    told = [change for change in alone if change]
    assert told and {change.feature for change in told} == {"answer_hours"}
    assert all(change.predicted < before for change, before
               in zip(alone, model().predictions(ROWS), strict=True) if change)  # fmt: skip
    never_asked = ROWS["answer_hours"].isna().to_numpy()
    assert never_asked.any()
    assert not any(change for change, never in zip(alone, never_asked, strict=True) if never)


def test_of_numbers_the_expected_number_is_told() -> None:
    rows = users(1_500, 1).assign(bought=lambda frame: frame["offers"] * frame["back"])
    counts = train_propensity_model(
        rows, target="bought", features=FEATURES, label="bought", as_of="as_of", kind="count",
        horizon_days=30, resamples=100,
        options=TrainingOptions(rounds=20, learning_rate=0.2, threads=1),
    )  # fmt: skip
    found = 0
    for row, change in enumerate(counts.changes(ROWS, Goal("more", MOVABLE))):
        if change:
            found += 1
            before = counts.predictions(ROWS.iloc[[row]])[0]
            assert change.decile is None and change.predicted > 1.04 * before
            figures = f"{amount_words(before)} -> {amount_words(change.predicted)}"
            assert change.text.endswith(f": {figures}") and "%" not in change.text
    assert found > 200


def test_a_model_sent_to_a_worker_finds_the_same_changes_and_no_rows_give_none() -> None:
    goal = Goal("more", MOVABLE, limits())
    there = PropensityModel.from_bytes(model().to_bytes())
    assert there.finds_changes and there.changes(ROWS, goal) == model().changes(ROWS, goal)
    assert model().changes(ROWS.iloc[:0], goal) == []
