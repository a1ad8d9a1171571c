"""Users unlike their peers, without Spark."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from behavior_spark.errors import ModelError
from behavior_spark.model.anomaly.forest import PeerForest
from behavior_spark.model.anomaly.peers import Peers

NAMES = [f"feature_{number}" for number in range(12)]
USERS = 1_500


def ordinary(dice: np.random.Generator, users: int) -> tuple[np.ndarray, list[str]]:
    """Counts of ordinary users: two groups, of which one is ten times as active."""
    groups = dice.choice(["new", "loyal"], users).tolist()
    busy = np.where(np.array(groups) == "loyal", 20.0, 2.0)
    values = dice.poisson(busy[:, None] * dice.gamma(4.0, 0.25, (users, 1)), (users, len(NAMES)))
    return values.astype(float), groups


def fit(values: np.ndarray, groups: list[str], *, trees: int = 60) -> PeerForest:
    return PeerForest.fit(values, groups, NAMES, least_peers=30, trees=trees)


@settings(max_examples=3, deadline=None, phases=[Phase.generate])
@given(st.integers(0, 1000), st.floats(10, 30), st.integers(8, 12))
def test_planted_users_are_among_the_rarest_and_others_at_the_stated_rate(
    seed: int, times: float, features: int
) -> None:
    dice = np.random.default_rng(seed)
    values, groups = ordinary(dice, USERS)
    forest = fit(*ordinary(dice, USERS))
    strange = dice.choice(USERS, 10, replace=False)
    values[np.ix_(strange, np.arange(features))] += 3
    values[np.ix_(strange, np.arange(features))] *= times
    rarity = forest.compare(values, groups).rarity
    planted = np.zeros(USERS, dtype=bool)
    planted[strange] = True
    assert (rarity[planted] <= 0.01).mean() >= 0.9  # recall
    # The share is the rate of false alarms: 1 % of 1,490, by chance up to five deviations more.
    assert (rarity[~planted] <= 0.01).sum() <= 15 + 5 * np.sqrt(15)


def test_a_user_is_compared_with_his_own_group_of_peers() -> None:
    dice = np.random.default_rng(3)
    forest = fit(*ordinary(dice, USERS))
    usual_of_loyal = np.full((1, len(NAMES)), 20.0)
    as_loyal, as_new, unknown = (
        forest.compare(usual_of_loyal, [group]) for group in ("loyal", "new", "no such group")
    )
    assert as_loyal.rarity[0] > 0.2
    assert as_new.rarity[0] < 0.02
    assert np.abs(as_loyal.deviations).max() < 1 < np.abs(as_new.deviations).min()
    assert forest.peers.groups[unknown.groups[0]] == ""


def test_the_features_that_stand_out_are_those_that_were_changed() -> None:
    dice = np.random.default_rng(4)
    values, groups = ordinary(dice, USERS)
    forest = fit(values, groups)
    values[0, 5] += 300
    compared = forest.compare(values[:1], groups[:1])
    assert np.abs(compared.deviations[0]).argmax() == 5
    assert compared.centres[0, 5] == pytest.approx(np.median(values[1:, 5]), abs=20)


def test_the_same_users_give_the_same_forest_whatever_is_missing() -> None:
    dice = np.random.default_rng(5)
    values, groups = ordinary(dice, 300)
    values[dice.random(values.shape) < 0.1] = np.nan
    values[:, 3] = np.nan
    one, again = (fit(values, groups).compare(values, groups).rarity for _ in range(2))
    assert (one == again).all() and (one > 0).all() and (one <= 1).all()


def test_groups_that_are_too_small_are_left_out_and_constant_features_say_nothing() -> None:
    values = np.column_stack([np.arange(50.0), np.ones(50)])
    peers = Peers.of(values, ["large"] * 45 + ["small"] * 5, least=30)
    assert peers.groups == ("", "large")
    assert peers.scales[0, 0] > 0 and peers.scales[0, 1] == 0
    assert (peers.deviations(values + 1, peers.number(["small"] * 50))[:, 1] == 0).all()


def test_users_that_cannot_be_compared_are_refused() -> None:
    with pytest.raises(ModelError, match="none of 2 features varies"):
        PeerForest.fit(np.ones((40, 2)), [""] * 40, NAMES[:2], least_peers=30, trees=10)
    with pytest.raises(ModelError, match="1 users"):
        PeerForest.fit(np.ones((1, 2)), [""], NAMES[:2], least_peers=30, trees=10)
