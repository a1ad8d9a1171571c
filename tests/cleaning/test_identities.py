"""Visitors become users on the day a link was known, and not before."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

from hypothesis import given
from pyspark.sql import DataFrame, SparkSession

from behavior_spark.cleaning.identities import (
    linked_versions,
    resolve_identities,
    with_known_users,
)
from behavior_spark.features.point_in_time import as_seen, of_users
from behavior_spark.schemas import EVENTS, IDENTITIES
from tests.features.frames import table
from tests.features.reference import Row, known_rows, midnight
from tests.features.test_point_in_time import SEEDS, tries

START = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
DAYS = [dt.date(2024, 3, day) for day in range(2, 11)]


def moment(dice: random.Random) -> dt.datetime:
    return START + dt.timedelta(hours=dice.randrange(24 * 8))


def random_events(dice: random.Random, cases: int) -> tuple[list[Row], list[Row]]:
    events: list[Row] = []
    links: list[Row] = []
    for case in range(cases):
        for visitor in ("a", "b")[: dice.randint(1, 2)]:
            key = f"{visitor}{case}"
            times = {moment(dice) for _ in range(dice.randrange(3))}
            links += [
                {"anonymous_id": key, "user_id": dice.choice((f"ann{case}", f"bob{case}")),
                 "linked_at": time, "arrived_at": time}
                for time in times
            ]  # fmt: skip
            for n in range(dice.randint(1, 5)):
                time = moment(dice)
                arrivals = {
                    time + dt.timedelta(hours=dice.choice((0, 0, 30, 50))) for _ in range(2)
                }
                events += [
                    {"event_id": f"{key}-{n}", "event_type": "view", "event_time": time,
                     "user_id": dice.choice((None, None, None, f"cid{case}")),
                     "anonymous_id": key if dice.random() < 0.9 else None, "arrived_at": arrived}
                    for arrived in arrivals
                ]  # fmt: skip
    return events, links


def plain(events: list[Row], links: list[Row], day: dt.date) -> dict[tuple[str, str], int]:
    """Whose each event is at a day: the log's user, or that of the visitor's link."""
    owners = {}
    for version in known_rows_with_nobody(events, midnight(day)):
        user = version["user_id"]
        mine = [k for k in links if k["anonymous_id"] == version["anonymous_id"] is not None]
        before = [k for k in mine if k["arrived_at"] <= version["arrived_at"]]
        after = [k for k in mine if version["arrived_at"] < k["arrived_at"] < midnight(day)]
        if user is None and before:
            user = max(before, key=lambda k: k["arrived_at"])["user_id"]
        elif user is None and after:
            user = min(after, key=lambda k: k["arrived_at"])["user_id"]
        if user is not None:
            owners[version["event_id"], user] = 1
    return owners


def known_rows_with_nobody(events: list[Row], before: dt.datetime) -> list[Row]:
    named = [event | {"_user": event["user_id"], "user_id": "x"} for event in events]
    return [row | {"user_id": row["_user"]} for row in known_rows(named, "event_id", before)]


def owners(frame: DataFrame) -> dict[dt.date, dict[tuple[str, str], int]]:
    seen = as_seen(of_users(frame, key="event_id"), DAYS, time="event_time")
    found: dict[dt.date, Any] = {day: {} for day in DAYS}
    for row in seen.select("as_of", "event_id", "user_id").collect():
        key = (row["event_id"], row["user_id"])
        found[row["as_of"]][key] = found[row["as_of"]].get(key, 0) + 1
    return found


@tries(2)
@given(seed=SEEDS)
def test_a_visitors_events_are_the_users_from_the_link_on_and_not_before(
    spark: SparkSession, seed: int
) -> None:
    events, links = random_events(random.Random(seed), 80)
    frames = table(spark, EVENTS, events), table(spark, IDENTITIES, links)
    expected = {day: plain(events, links, day) for day in DAYS}
    assert owners(resolve_identities(*frames)) == expected
    assert len({len(of_day) for of_day in expected.values()}) > 1


def test_nights_one_by_one_write_the_versions_of_all_at_once(spark: SparkSession) -> None:
    events, links = random_events(random.Random(5), 80)
    frame, named = table(spark, EVENTS, events), table(spark, IDENTITIES, links)
    stored: DataFrame | None = None
    before = dt.date(2024, 3, 1)
    for night in (dt.date(2024, 3, 4), dt.date(2024, 3, 6), dt.date(2024, 4, 1)):
        arrived = f"arrived_at >= '{before}' AND arrived_at < '{night}'"
        known = named.where(f"arrived_at < '{night}'")
        fresh = with_known_users(frame.where(arrived), known)
        stored = fresh if stored is None else stored.unionByName(fresh)
        stored = stored.unionByName(linked_versions(stored, known, since=before))
        before = night
    assert stored is not None
    rows = [
        sorted(map(repr, each.collect())) for each in (stored, resolve_identities(frame, named))
    ]
    assert rows[0] == rows[1]


def test_what_a_shared_device_did_before_it_changed_hands_stays_with_its_first_user(
    spark: SparkSession,
) -> None:
    def day(number: int) -> dt.datetime:
        return dt.datetime(2024, 3, number, 12, tzinfo=dt.UTC)

    events = [
        {"event_id": str(n), "event_type": "view", "event_time": day(n), "arrived_at": day(n),
         "anonymous_id": "tablet", "user_id": user}
        for n, user in ((2, None), (4, None), (5, "cid"), (7, None))
    ]  # fmt: skip
    links = [
        {"anonymous_id": "tablet", "user_id": user, "linked_at": day(n), "arrived_at": day(n)}
        for n, user in ((3, "ann"), (6, "bob"))
    ]
    frames = table(spark, EVENTS, events), table(spark, IDENTITIES, links)
    by_day = owners(resolve_identities(*frames))
    assert by_day[dt.date(2024, 3, 3)] == {}
    assert by_day[dt.date(2024, 3, 6)] == {("2", "ann"): 1, ("4", "ann"): 1, ("5", "cid"): 1}
    assert by_day[dt.date(2024, 3, 10)] == by_day[dt.date(2024, 3, 6)] | {("7", "bob"): 1}
