"""What the page computes: drift, states of people, cuts of users by score."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from behavior_spark.report.page.drift import moved_most
from behavior_spark.report.page.life_cycle import AWAY, STATES, states_by_period
from behavior_spark.report.page.ranked import parts_of, round_sizes, sums_of_first

ACTIVE = st.lists(st.sets(st.integers(-14, -1), min_size=1), min_size=1, max_size=30)


def state_of(active: set[int], period: int) -> str | None:
    """The state of a user in a period, by its definition alone; None before the first event."""
    before = [p for p in active if p < period]
    if period in active:
        if not before:
            return "new"
        return "returning" if period - max(before) - 1 <= AWAY else "back"
    if not before:
        return None
    return "quiet" if period - max(before) <= AWAY else "dormant"


@given(ACTIVE)
def test_every_user_is_in_one_state_in_each_period_the_one_of_its_definition(
    users: list[set[int]],
) -> None:
    rows = []
    for active in users:
        ordered = sorted(active)
        for place, period in enumerate(ordered):
            away = period - ordered[place - 1] if place else np.nan
            until = ordered[place + 1] - period if place + 1 < len(ordered) else np.nan
            rows.append((period, min(away, AWAY + 2), min(until, AWAY + 2), 1))
    counts = pd.DataFrame(rows, columns=["period", "away", "until", "users"])
    counts = counts.groupby(["period", "away", "until"], dropna=False, as_index=False).sum()
    found = states_by_period(counts)
    for period in range(min(map(min, users)), 0):
        here = found[found["period"] == period].set_index("state")["users"].to_dict()
        states = [state_of(active, period) for active in users]
        assert here == {state: states.count(state) for state in STATES}


def counts_of(before: np.ndarray, now: np.ndarray, name: str = "f") -> pd.DataFrame:
    """Users by whole value at two nights, as the stage reads them."""
    frames = []
    for is_now, values in ((False, before), (True, now)):
        part = pd.DataFrame({"step": np.floor(values), "total": values, "users": 1})
        part = part.groupby("step", dropna=False, as_index=False).sum()
        frames.append(part.assign(now=is_now, kind="feature", name=name))
    return pd.concat(frames, ignore_index=True)


def test_what_moved_is_ranked_and_said_in_words() -> None:
    dice = np.random.default_rng(1)
    before = dice.normal(100, 20, 5000)
    lost = before.copy()
    lost[:2500] = np.nan
    cases = [("same", before), ("shifted", before + 30), ("lost", lost), ("drawn", None)]
    frame = pd.concat(
        [
            counts_of(before, dice.normal(100, 20, 5000) if now is None else now, name)
            for name, now in cases
        ]
    )
    moved = moved_most(frame).set_index("name")
    assert moved["psi"]["same"] == 0
    assert set(moved.index[:2]) == {"shifted", "lost"}
    assert moved["words"].to_dict() == {
        "same": "little", "drawn": "little", "shifted": "much", "lost": "much",
    }  # fmt: skip
    assert moved["known_now"]["lost"] == pytest.approx(0.5)
    assert moved["now"]["shifted"] - moved["before"]["shifted"] == pytest.approx(30)


def test_what_few_users_do_by_chance_is_not_called_a_move() -> None:
    dice = np.random.default_rng(2)
    names = [f"f{n}" for n in range(200)]
    frame = pd.concat(
        [counts_of(dice.normal(100, 20, 60), dice.normal(100, 20, 60), name) for name in names]
    )
    moved = moved_most(frame)
    assert (moved["psi"] > 0.25).mean() > 0.2  # the usual limits alone would cry wolf
    assert (moved["words"] != "little").mean() < 0.05


@given(st.lists(st.integers(1, 50), min_size=1, max_size=40), st.integers(1, 12))
def test_parts_are_of_equal_size_and_lose_nothing(users: list[int], parts: int) -> None:
    scores = pd.DataFrame({"step": range(len(users), 0, -1), "users": users})
    scores["expected"] = scores["users"] * scores["step"] / 50
    cut = parts_of(scores, parts, ["expected"])
    assert cut["users"].to_numpy() == pytest.approx(sum(users) / parts)
    assert cut["expected"].sum() == pytest.approx(scores["expected"].sum())
    rates = (cut["expected"] / cut["users"]).to_numpy()
    assert (np.diff(rates) <= 1e-9).all()
    assert sums_of_first(scores, [sum(users)], "users")[0] == pytest.approx(sum(users))


@given(st.integers(1, 10**8), st.integers(1, 50))
def test_round_sizes_are_within_the_users_and_not_below_the_smallest_group(
    users: int, least: int
) -> None:
    sizes = round_sizes(users, least=least)
    assert sizes == sorted(set(sizes))
    assert all(least <= size <= users for size in sizes)
