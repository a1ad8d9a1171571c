"""The population of a target: who is predicted, decided by the past alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from behavior_spark.errors import ModelError
from behavior_spark.model.propensity.population import TargetPopulation, Who

WHO = st.sampled_from(["everybody", "never_before", "before"])
DAYS = st.none() | st.floats(0, 400)


@settings(deadline=None)
@given(
    who=WHO,
    within=st.none() | st.integers(1, 90),
    users=st.lists(st.tuples(DAYS, st.floats(0, 400)), max_size=30),
)
def test_members_are_those_of_the_definition(
    who: Who, within: int | None, users: list[tuple[float | None, float]]
) -> None:
    frame = pd.DataFrame(users, columns=["buy_recency_days", "recency_days"], dtype=float)
    population = TargetPopulation(who, within, "buy_recency_days")
    expected = [
        (who == "everybody" or (since_target is not None) == (who == "before"))
        and (within is None or np.float32(since_any) <= within)
        for since_target, since_any in users
    ]
    assert population.members(frame).tolist() == expected


@given(within=st.none() | st.integers(1, 90), users=st.lists(DAYS, max_size=30))
def test_the_first_time_and_again_share_out_everybody(
    within: int | None, users: list[float | None]
) -> None:
    frame = pd.DataFrame({"buy_recency_days": pd.Series(users, dtype=float), "recency_days": 5.0})
    first, again, everybody = (
        TargetPopulation(who, within, "buy_recency_days").members(frame)
        for who in ("never_before", "before", "everybody")
    )
    assert not (first & again).any()
    assert ((first | again) == everybody).all()


def test_only_the_features_that_decide_are_read() -> None:
    assert TargetPopulation().columns == ()
    assert TargetPopulation("before", None, "buy_recency_days").columns == ("buy_recency_days",)
    assert TargetPopulation(seen_within_days=9).columns == ("recency_days",)
    assert TargetPopulation().members(pd.DataFrame(index=range(3))).all()
    with pytest.raises(ModelError, match="buy_recency_days"):
        TargetPopulation("before", None, "buy_recency_days").members(pd.DataFrame({"a": [1]}))


def test_the_population_is_said_in_words() -> None:
    assert TargetPopulation().words == ""
    assert TargetPopulation("never_before").words == "users who never did it before"
    assert TargetPopulation("before", 60).words == (
        "users who did it before and with an event in the 60 days before"
    )
    assert TargetPopulation(seen_within_days=9).words == (
        "users with an event in the 9 days before"
    )
