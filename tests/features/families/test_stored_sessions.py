"""Features of stored sessions, funnels and machines: against plain loops."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from pyspark.sql import DataFrame, SparkSession

from behavior_spark.config import BotSettings, Funnel
from behavior_spark.features.families.bots import bot_signals, flag_bots
from behavior_spark.features.families.funnels import funnel_steps
from behavior_spark.features.families.sessions import stored_sessions
from behavior_spark.features.sessions.by_user import by_user, sessions_seen
from behavior_spark.features.sessions.funnels import count_reached
from behavior_spark.schemas import EVENTS
from tests.features.frames import as_table, features_of, make_inputs, table
from tests.features.random_logs import DAYS, SETTINGS, TYPES, WINDOWS, random_log
from tests.features.reference import Row, reference_features
from tests.features.sessions.test_versions import full, reference
from tests.features.test_point_in_time import SEEDS, tries

FUNNELS = {
    "visit": Funnel(steps=["view", "click", "purchase"], within="session"),
    "week": Funnel(steps=["view", "purchase"], within=7),
    "moment": Funnel(steps=["click", "view", "purchase"], within=1),
}


@tries(1)
@given(seed=SEEDS)
def test_stored_sessions_give_the_features_of_sessions_found_among_events(
    spark: SparkSession, seed: int
) -> None:
    log = random_log(seed, cases=100)
    inputs = make_inputs(spark, log)
    actual = features_of(replace(inputs, sessions=full(inputs.events)), DAYS)
    expected = {
        (day, user): row
        for day in DAYS
        for user, row in reference_features(log, day, SETTINGS).items()
    }
    assert actual.keys() == expected.keys()
    for key, row in expected.items():
        sessions = {name: value for name, value in row.items() if "session" in name}
        sessions |= {
            name: value for name, value in row.items() if "active" in name or "gaps" in name
        }
        assert {name: actual[key][name] for name in sessions} == pytest.approx(sessions), key
        assert actual[key]["is_bot"] is False


def by_window(rows: list[dict[str, Any]], day: dt.date, days: int) -> list[dict[str, Any]]:
    start = day - dt.timedelta(days=days)
    return [row for row in rows if row["session_end"].date() >= start]


def of_users(log: list[Row], day: dt.date) -> dict[str, list[dict[str, Any]]]:
    users: dict[str, list[dict[str, Any]]] = {}
    for row in reference(log, day).values():
        users.setdefault(row["user_id"], []).append(row)
    return users


@tries(1)
@given(seed=SEEDS)
def test_what_sessions_were_like_and_how_far_funnels_went_equal_plain_loops(
    spark: SparkSession, seed: int
) -> None:
    log = random_log(seed, cases=150)
    seen = sessions_seen(full(table(spark, EVENTS, log.events)), DAYS)
    parts = [stored_sessions(TYPES, WINDOWS), funnel_steps(FUNNELS, WINDOWS)]
    users = as_table(by_user(seen, parts))
    for day in DAYS:
        for user, rows in of_users(log.events, day).items():
            last = max(rows, key=lambda row: (row["session_start"], row["session_key"]))
            assert users[day, user][f"session_last_entry_{last['entry_type']}"] == 1
            for days in WINDOWS:
                recent = by_window(rows, day, days)
                found = users[day, user]
                n = len(recent)
                assert found[f"session_count_{days}d"] == n
                bounces, depth = (sum(r[name] for r in recent) for name in ("is_bounce", "depth"))
                assert found[f"session_bounce_share_{days}d"] == (bounces / n if n else None)
                assert found[f"session_depth_mean_{days}d"] == (depth / n if n else None)
                seconds = sum(r["duration_seconds"] for r in recent)
                mean = pytest.approx(seconds / n) if n else None
                assert found[f"session_seconds_mean_{days}d"] == mean
                if n:
                    far = {name: funnel(recent, name, day, days) for name in FUNNELS}
                    actual = {name: users[day, user][f"funnel_{name}_step_{days}d"] for name in far}
                    assert actual == far, (day, user, days)


def funnel(sessions: list[dict[str, Any]], name: str, day: dt.date, days: int) -> int:
    """The furthest step, by trying every first step."""
    it = FUNNELS[name]
    if it.within == "session":
        return max(follow(session["path"], it.steps, None) for session in sessions)
    start = day - dt.timedelta(days=days)
    turns = [t for s in sessions for t in s["path"] if t["ended_at"].date() >= start]
    turns.sort(key=lambda turn: (turn["started_at"], turn["ended_at"], turn["event_type"]))
    return follow(turns, it.steps, dt.timedelta(days=it.within))


def follow(turns: list[dict[str, Any]], steps: list[str], limit: dt.timedelta | None) -> int:
    furthest = 0
    for index, first in enumerate(turns):
        if first["event_type"] == steps[0]:
            step = 1
            for turn in turns[index + 1 :]:
                late = limit is not None and turn["started_at"] - first["ended_at"] > limit
                if step < len(steps) and turn["event_type"] == steps[step] and not late:
                    step += 1
            furthest = max(furthest, step)
    return furthest


def at(day: int, seconds: float = 0) -> dt.datetime:
    start = dt.datetime(2024, 3, day, 8, tzinfo=dt.UTC)
    return start + dt.timedelta(seconds=seconds)


def events_of(user: str, times: list[dt.datetime], kind: str = "view") -> list[Row]:
    return [
        {"event_id": f"{user}-{kind}-{n}", "user_id": user, "event_type": kind, "event_time": time,
         "arrived_at": time}
        for n, time in enumerate(times)
    ]  # fmt: skip


def seen_of(spark: SparkSession, rows: list[Row], *days: int) -> DataFrame:
    sessions = full(table(spark, EVENTS, rows))
    return sessions_seen(sessions, [dt.date(2024, 3, day) for day in days])


def flags_of(seen: DataFrame, settings: BotSettings) -> dict[Any, Any]:
    return as_table(flag_bots(by_user(seen, [bot_signals(settings)]), settings=settings))


def test_machines_are_flagged_with_their_reason_from_the_day_they_showed_themselves(
    spark: SparkSession,
) -> None:
    dice = random.Random(3)
    rows: list[Row] = []
    for n in range(60):
        for day in dice.sample(range(1, 10), 4):
            times = [at(day)]
            for _ in range(dice.randrange(3, 60)):
                times.append(times[-1] + dt.timedelta(seconds=dice.expovariate(1 / 60)))
            rows += (
                events_of(f"human{n}-{day}"[:8].strip("-"), times)
                if n < 10
                else events_of(f"h{n}", times, kind=f"view{day}")
            )
    rows += events_of("timer", [at(6, 600 * n) for n in range(140)])
    rows += events_of("scraper", [at(6, dice.uniform(0, 100)) for _ in range(150)])
    rows += events_of("flood", [at(6, dice.uniform(0, 40_000)) for _ in range(2500)])
    found = flags_of(seen_of(spark, rows, 6, 9), BotSettings())
    flagged = {
        (day.day, user): row["bot_reason"] for (day, user), row in found.items() if row["is_bot"]
    }
    assert flagged == {(9, "timer"): "regularity", (9, "scraper"): "rate", (9, "flood"): "volume"}
    off = BotSettings(events_per_day=None, quartile_distances=None, events_per_minute=None,
                      gap_variation=None)  # fmt: skip
    none = flags_of(seen_of(spark, rows, 9), off)
    assert none and not any(row["is_bot"] for row in none.values())


def test_a_user_far_above_all_others_is_flagged_by_volume(spark: SparkSession) -> None:
    dice = random.Random(4)
    rows: list[Row] = []
    for n in range(40):
        rows += events_of(f"u{n}", [at(2, dice.uniform(0, 9000)) for _ in range(3 + n % 5)])
    rows += events_of("far", [at(2, dice.uniform(0, 30_000)) for _ in range(400)])
    found = flags_of(seen_of(spark, rows, 4), BotSettings())
    assert {user for (_, user), row in found.items() if row["is_bot"]} == {"far"}


def test_conversion_counts_sessions_and_users_by_their_furthest_step(spark: SparkSession) -> None:
    rows = events_of("ann", [at(2), at(3)]) + events_of("ann", [at(3, 60)], "click")
    rows += events_of("bob", [at(3)], "click") + events_of("bob", [at(3, 60)], "view")
    rows += events_of("cid", [at(3)], "purchase")
    seen = seen_of(spark, rows, 9)
    counted = {
        name: sorted(
            (r["step"], r["users"], r["sessions"])
            for r in count_reached(seen, FUNNELS[name], days=30).collect()
        )
        for name in ("visit", "week")
    }
    assert counted == {
        "visit": [(0, 1, 1), (1, 1, 2), (2, 1, 1)],
        "week": [(0, 1, None), (1, 2, None)],
    }
