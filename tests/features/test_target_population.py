"""Who a target is about follows from what was known at as_of, whatever happens later."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pytest
from pyspark.sql import SparkSession

from behavior_spark.config import FeatureSettings, Target
from behavior_spark.features.inputs import Inputs
from behavior_spark.features.targets import label_column, population_of, with_own_history
from behavior_spark.schemas import EVENTS
from tests.features.frames import feature_set, table

AS_OF = dt.date(2024, 3, 1)
NOW = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
END = dt.date(2024, 5, 1)
SETTINGS = FeatureSettings(event_types=["view", "purchase"], windows_days=[7, 30])
TARGETS = {
    "first_purchase": Target(event="event_type = 'purchase'", who="never_before"),
    "again": Target(event="event_type = 'purchase'", who="before", kind="count"),
    "first_large": Target(event="value > 50", who="never_before", kind="does_not"),
    "large_lately": Target(event="value > 50", who="before", seen_within_days=20, kind="amount"),
}


def random_past(dice: random.Random) -> list[dict[str, Any]]:
    """Events before as_of, of which some arrived late: after it, or long after they happened."""
    events = []
    for _ in range(dice.randint(1, 4)):
        time = NOW - dt.timedelta(days=dice.uniform(0.1, 60))
        late = dice.choice((0, 0, 0, 1, 70))
        events.append(
            {
                "event_time": time, "arrived_at": time + dt.timedelta(days=late),
                "event_type": dice.choice(("view", "view", "purchase")),
                "value": dice.choice((None, 10, 90)),
            }
        )  # fmt: skip
    return events


def random_future(dice: random.Random) -> list[dict[str, Any]]:
    return [
        {
            "event_time": (time := NOW + dt.timedelta(days=dice.uniform(0, 25))),
            "arrived_at": time, "event_type": "purchase", "value": dice.choice((10, 90)),
        }
        for _ in range(dice.randint(0, 3))
    ]  # fmt: skip


@pytest.fixture(scope="module")
def logs() -> dict[str, list[dict[str, Any]]]:
    """Pairs of users (a, b) with one past and two futures."""
    dice = random.Random(5)
    of_user = {}
    for number in range(60):
        past = random_past(dice)
        for world in "ab":
            of_user[f"{world}{number}"] = past + random_future(dice)
    return of_user


def belongs(events: list[dict[str, Any]], target: Target) -> bool:
    """Whether a user is of a target's population, by its definition alone."""
    known = [e for e in events if e["event_time"] < NOW and e["arrived_at"] < NOW]
    if target.event == "value > 50":
        did = any((e["value"] or 0) > 50 for e in known)
    else:
        did = any(e["event_type"] == "purchase" for e in known)
    seen = target.seen_within_days
    lately = seen is None or any((NOW - e["event_time"]).days < seen for e in known)
    return did == (target.who == "before") and lately


def test_the_past_alone_says_who_is_predicted_and_learned_from(
    spark: SparkSession, logs: dict[str, list[dict[str, Any]]]
) -> None:
    rows = [
        event | {"event_id": f"{user}-{place}", "user_id": user}
        for user, events in logs.items()
        for place, event in enumerate(events)
    ]
    inputs = Inputs(events=table(spark, EVENTS, rows))
    features = feature_set(inputs, SETTINGS, TARGETS)
    frame = features.training_set(inputs, [AS_OF], known_before=END).toPandas()
    for name, target in TARGETS.items():
        population = population_of(name, target, SETTINGS.event_types)
        members = set(frame["user_id"][population.members(frame)])
        expected = {
            user for user, events in logs.items()
            if user in set(frame["user_id"]) and belongs(events, target)
        }  # fmt: skip
        assert members == expected
        assert 0 < len(members) < len(frame)
        # The users of a pair differ in their future alone.
        assert {user[1:] for user in members if user[0] == "a"} == {
            user[1:] for user in members if user[0] == "b"
        }
        assert frame[label_column(name)].nunique() > 1


def test_a_target_has_a_history_where_its_past_decides() -> None:
    assert with_own_history(TARGETS, SETTINGS.event_types) == ["first_large", "large_lately"]
    plain = {"leaves": Target(event="value > 50", kind="does_not")}
    assert with_own_history(plain, SETTINGS.event_types) == []
    bought = population_of("again", TARGETS["again"], SETTINGS.event_types)
    assert bought.columns == ("purchase_recency_days",)
    large = population_of("large_lately", TARGETS["large_lately"], SETTINGS.event_types)
    assert large.columns == ("large_lately_recency_days", "recency_days")


def test_who_and_when_are_part_of_what_a_model_means_unless_they_are_the_default() -> None:
    assert set(Target(event="true").meaning) == {"event", "item", "horizon_days"}
    meaning = TARGETS["large_lately"].meaning
    assert meaning["who"] == "before" and meaning["seen_within_days"] == 20
