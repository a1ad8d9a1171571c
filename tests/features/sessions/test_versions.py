"""Sessions: as every day saw them, by nights one by one and by all history at once."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.features.point_in_time import of_users
from behavior_spark.features.sessions.by_user import sessions_seen
from behavior_spark.features.sessions.neighbourhood import neighbourhood
from behavior_spark.features.sessions.versions import DEPTH_CAP, PATH_TURNS, session_versions
from behavior_spark.schemas import EVENTS, SESSIONS
from tests.features.frames import table
from tests.features.random_logs import DAYS, GAP_MINUTES, KNOWN_BEFORE, random_log
from tests.features.reference import Row, seen_rows
from tests.features.test_point_in_time import SEEDS, tries

Table = dict[tuple[Any, ...], dict[str, Any]]
PAUSE = dt.timedelta(minutes=GAP_MINUTES)
LOOKS = [dt.date(2024, 2, 1), *DAYS, KNOWN_BEFORE, dt.date(2024, 4, 1)]


def full(events: DataFrame, since: dt.date | None = None) -> DataFrame:
    versions = of_users(events, key="event_id")
    return session_versions(versions, gap_minutes=GAP_MINUTES, since=since)


def rows_of(frame: DataFrame, *keys: str) -> Table:
    rows = [row.asDict(recursive=True) for row in frame.collect()]
    found = {tuple(row[key] for key in keys): row for row in rows}
    assert len(found) == len(rows), "a key stands twice"
    return found


def seen_by(sessions: DataFrame, days: Sequence[dt.date]) -> Table:
    frame = sessions_seen(sessions, days).drop("known_day", "days_ago")
    return rows_of(frame, "as_of", "user_id", "session_key")


def reference(events: Iterable[Row], day: dt.date) -> Table:
    """The sessions a day sees, by plain loops."""
    table: Table = {}
    for user, mine in seen_rows(events, "event_id", "event_time", day).items():
        sessions: dict[Any, list[Row]] = {}
        run, before = 0, None
        for event in mine:
            if before is not None and event["event_time"] - before > PAUSE:
                run += 1
            before = event["event_time"]
            sessions.setdefault(event["session_id"] or run, []).append(event)
        for events_of_it in sessions.values():
            row = plain_session(events_of_it)
            table[day, user, row["session_key"]] = row | {"as_of": day, "user_id": user}
    return table


def plain_session(events: list[Row]) -> dict[str, Any]:
    first, last = events[0], events[-1]
    path: list[dict[str, Any]] = []
    for event in events:
        if path and path[-1]["event_type"] == event["event_type"]:
            path[-1]["event_count"] += 1
            path[-1]["ended_at"] = naive(event["event_time"])
        else:
            time = naive(event["event_time"])
            path.append({"event_type": event["event_type"], "event_count": 1,
                         "started_at": time, "ended_at": time})  # fmt: skip
    pauses = [b["event_time"] - a["event_time"] for a, b in pairwise(events)]
    tick = dt.timedelta(milliseconds=1)
    gaps = [pause // tick for pause in pauses if tick <= pause <= PAUSE]
    micros = (first["event_time"] - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(
        microseconds=1
    )
    return {
        "session_key": f"i{first['session_id']}" if first["session_id"] else f"r{micros}",
        "event_count": len(events),
        "session_id": first["session_id"],
        "session_start": naive(first["event_time"]),
        "session_end": naive(last["event_time"]),
        "duration_seconds": (last["event_time"] - first["event_time"]).total_seconds(),
        "event_days": sorted({event["event_time"].date() for event in events}),
        "depth": min(DEPTH_CAP, len({event["item_id"] for event in events} - {None})),
        "is_bounce": len(events) == 1,
        "value": sum(event["value"] or 0 for event in events),
        "entry_type": first["event_type"],
        "entry_item": first["item_id"],
        "exit_type": last["event_type"],
        "exit_item": last["item_id"],
        "path": path[:PATH_TURNS],
        "gap_count": len(gaps),
        "gap_sum": sum(gaps),
        "gap_squares": sum(gap * gap for gap in gaps),
    }


def naive(time: dt.datetime) -> dt.datetime:
    """As Spark gives it back in a UTC process."""
    return time.astimezone().replace(tzinfo=None)


def test_every_day_sees_the_sessions_of_the_events_known_before_it(spark: SparkSession) -> None:
    log = random_log(20240304, cases=300)
    expected: Table = {}
    for day in LOOKS:
        expected |= reference(log.events, day)
    actual = seen_by(full(table(spark, EVENTS, log.events)), LOOKS)
    assert actual.keys() == expected.keys()
    for key, row in expected.items():
        assert actual[key] == row, key


@tries(1)
@given(seed=SEEDS)
def test_nights_one_by_one_write_the_rows_of_a_full_rebuild(spark: SparkSession, seed: int) -> None:
    log = random_log(seed, cases=60)
    random.Random(seed).shuffle(log.events)
    events = table(spark, EVENTS, log.events)
    expected = rows_of(full(events), *SESSIONS.key)
    nights = [*DAYS, KNOWN_BEFORE, dt.date(2025, 1, 1)]
    built: Table = rows_of(full(known(events, nights[0])), *SESSIONS.key)
    for since, night in pairwise(nights):
        near = neighbourhood(known(events, night), since, GAP_MINUTES)
        rows = session_versions(near, gap_minutes=GAP_MINUTES, since=since)
        new = rows_of(rows, *SESSIONS.key)
        assert all(since <= key[2] < night for key in new)
        built |= new
    assert built == expected


def known(events: DataFrame, night: dt.date) -> DataFrame:
    return events.where(F.col("arrived_at") < F.lit(night).cast("timestamp"))


def at(clock: str, day: int = 1) -> dt.datetime:
    return dt.datetime.fromisoformat(f"2024-03-{day:02}T{clock}+00:00")


def view(key: str, time: dt.datetime, **more: Any) -> Row:
    row = {"event_id": key, "user_id": "ann", "event_type": "view", "event_time": time}
    return row | {"item_id": None, "value": None, "session_id": None, "arrived_at": time} | more


def test_a_late_event_joins_two_sessions_and_its_retraction_splits_them_again(
    spark: SparkSession,
) -> None:
    late = view("late", at("12:25:00"), arrived_at=at("01:00:00", 3))
    events = [
        view("a", at("12:00:00")),
        view("b", at("12:50:00")),
        late,
        late | {"user_id": None, "arrived_at": at("01:00:00", 5)},
    ]
    sessions = full(table(spark, EVENTS, events))
    seen = seen_by(sessions, [at("00:00:00", day).date() for day in (2, 3, 4, 5, 6)])
    counts: dict[int, list[int]] = {}
    for (day, *_), row in sorted(seen.items()):
        counts.setdefault(day.day, []).append(row["event_count"])
    assert counts == {2: [1, 1], 3: [1, 1], 4: [3], 5: [3], 6: [1, 1]}


def test_a_session_goes_over_midnight_and_is_read_from_the_day_before(
    spark: SparkSession,
) -> None:
    events = [view("a", at("23:50:00")), view("b", at("00:10:00", 2)), view("c", at("00:45:00", 2))]
    frame = table(spark, EVENTS, events)
    [row] = neighbour_rows(frame, dt.date(2024, 3, 2))
    assert (row["event_count"], row["event_days"]) == (
        2,
        [dt.date(2024, 3, 1), dt.date(2024, 3, 2)],
    )
    assert row["duration_seconds"] == 1200.0


def neighbour_rows(events: DataFrame, since: dt.date) -> list[dict[str, Any]]:
    near = neighbourhood(events, since, GAP_MINUTES)
    frame = session_versions(near, gap_minutes=GAP_MINUTES, since=since)
    return [row.asDict() for row in frame.where("event_count > 1").collect()]


@pytest.mark.parametrize("types", [("view", "cart"), ("view", "view", "cart")])
def test_a_path_keeps_its_first_turns_however_late_events_cut_the_session(
    spark: SparkSession, types: tuple[str, ...]
) -> None:
    start = at("12:00:00")
    events = [
        view(
            f"e{index:03}", start + dt.timedelta(minutes=index), event_type=kind, item_id=f"{index}"
        )
        for index, kind in enumerate(types * 60)
    ]
    for index in (0, 7, 31, 49, 50, 99):
        events[index]["arrived_at"] = at("01:00:00", 5)
    frame = table(spark, EVENTS, events)
    day = dt.date(2024, 3, 9)
    [actual] = seen_by(full(frame), [day]).values()
    [expected] = reference(events, day).values()
    assert actual == expected
    assert len(actual["path"]) == PATH_TURNS


def test_a_user_who_never_rests_has_one_session_a_day_longer(spark: SparkSession) -> None:
    start = at("00:05:00")
    events = [view(f"{n}", start + dt.timedelta(minutes=20 * n)) for n in range(72 * 12)]
    frame = table(spark, EVENTS, events)
    versions = rows_of(full(frame), "known_day")
    assert [row["event_count"] for _, row in sorted(versions.items())] == [
        72 * day for day in range(1, 13)
    ]
    near = neighbourhood(frame, dt.date(2024, 3, 12), GAP_MINUTES)
    last = rows_of(
        session_versions(near, gap_minutes=GAP_MINUTES, since=dt.date(2024, 3, 12)), "known_day"
    )
    assert last == {key: row for key, row in versions.items() if key[0] == dt.date(2024, 3, 12)}
