"""Windows of a year and the same season a year ago, against plain loops over random logs."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import SparkSession

from behavior_spark.config import FeatureSettings, Target
from behavior_spark.features.feature_set import FeatureSet
from behavior_spark.features.inputs import Inputs
from behavior_spark.schemas import EVENTS
from tests.features.frames import as_table, assert_same, table
from tests.features.reference import Row, known_rows, midnight, seen_rows, value, within

DAYS = (dt.date(2024, 2, 29), dt.date(2024, 3, 1), dt.date(2024, 11, 1))
SETTINGS = FeatureSettings.model_validate(
    {
        "event_types": ["purchase"],
        "windows_days": [180, 365],
        "same_season": True,
        "groups": ["activity", "targets", "seasons", "declared"],
        "declared": [{"op": "season", "windows": [7, 400]}],
    }
)
TARGETS = {
    "buys": Target(event="event_type = 'purchase'", horizon_days=30),
    "spends": Target(event="value > 5", horizon_days=90),
    "leaves": Target(kind="does_not", event="event_type = 'purchase'", horizon_days=30),
}
_AGO = (0, 1, 7, 179, 180, 181, 274, 275, 276, 334, 335, 336, 357, 358, 359, 364, 365, 366, 700)
_EDGES = (dt.timedelta(), dt.timedelta(seconds=1), dt.timedelta(microseconds=-1))
_LATE = (dt.timedelta(), dt.timedelta(), dt.timedelta(days=40), dt.timedelta(days=400))


def random_events(dice: random.Random, user: str) -> list[Row]:
    rows = []
    for number in range(dice.randint(1, 10)):
        day = dice.choice(DAYS) - dt.timedelta(days=dice.choice(_AGO))
        time = midnight(day) + dice.choice(_EDGES)
        row = {
            "event_id": f"{user}-{number}",
            "user_id": user,
            "event_time": time,
            "event_type": dice.choice(("purchase", "view")),
            "item_id": dice.choice(("a", "b", None)),
            "value": dice.choice((None, Decimal("2.5"), Decimal("7.1"))),
            "arrived_at": time + dice.choice(_LATE),
        }
        rows.append(row)
        if dice.random() < 0.3:  # a correction, or a retraction, much later
            later = {"user_id": dice.choice((user, None)), "event_type": "purchase"}
            arrived = row["arrived_at"] + dt.timedelta(days=dice.choice((1, 100)))
            rows.append(row | later | {"arrived_at": arrived})
    return rows


def in_season(events: list[Row], day: dt.date, days: int) -> list[Row]:
    start = day - dt.timedelta(days=365)
    end = min(start + dt.timedelta(days=days), day)
    return [event for event in events if midnight(start) <= event["event_time"] < midnight(end)]


def season(events: list[Row], chosen: list[Row], day: dt.date, days: int) -> int | None:
    end = min(day, day - dt.timedelta(days=365) + dt.timedelta(days=days))
    known = any(event["event_time"] < midnight(end) for event in events)
    return len(in_season(chosen, day, days)) if known else None


def expected_at(rows: list[Row], day: dt.date) -> dict[str, dict[str, Any]]:
    by_user = seen_rows(rows, "event_id", "event_time", day)
    features = {}
    for user, events in by_user.items():
        bought = [event for event in events if event["event_type"] == "purchase"]
        spent = [event for event in events if event["value"] is not None and event["value"] > 5]
        row: dict[str, Any] = {
            "purchase_season_30d": season(events, bought, day, 30),
            "spends_season_90d": season(events, spent, day, 90),
            "event_season_7d": season(events, events, day, 7),
            "event_season_400d": season(events, events, day, 400),
        }
        for window in (180, 365):
            recent = within(bought, "event_time", day, window)
            row |= {
                f"purchase_count_{window}d": len(recent),
                f"purchase_value_{window}d": value(recent),
                f"purchase_item_count_{window}d": len({e["item_id"] for e in recent} - {None}),
                f"spends_count_{window}d": len(within(spent, "event_time", day, window)),
            }
        features[user] = row
    return features


def test_windows_of_a_year_and_its_season_equal_plain_loops_over_what_was_known(
    spark: SparkSession,
) -> None:
    dice = random.Random(365)
    rows = [row for case in range(250) for row in random_events(dice, f"u{case}")]
    feature_set = FeatureSet.make(SETTINGS, TARGETS)
    table_of = as_table(feature_set.build(Inputs(table(spark, EVENTS, rows)), DAYS))
    expected = {
        (day, user): row for day in DAYS for user, row in expected_at(rows, day).items()
    }
    names = next(iter(expected.values()))
    assert_same({key: {n: row[n] for n in names} for key, row in table_of.items()}, expected)
    # The cases are there: late rows matter, seasons are known and unknown, full and empty.
    assert len(known_rows(rows, "event_id", midnight(DAYS[1]))) < len(rows) / 2
    seasons = [row["purchase_season_30d"] for row in expected.values()]
    assert None in seasons and 0 in seasons and 2 in seasons


def test_a_season_reads_a_year_of_tiles_and_is_off_unless_it_is_asked_for() -> None:
    short = SETTINGS.model_copy(update={"windows_days": [7], "declared": []})
    plan = FeatureSet.make(short, TARGETS).plan
    assert plan.windows == [7, 275, 335, 365] and plan.longest_window == 365
    seasons = [d.feature for d in plan.definitions if d.feature.group == "seasons"]
    assert [feature.name for feature in seasons] == ["purchase_season_30d", "spends_season_90d"]
    usual = FeatureSettings(event_types=["purchase"])
    assert not any("season" in name for name in FeatureSet.make(usual, TARGETS).names)


@pytest.mark.parametrize(("count", "said"), [(0, "no"), (1, "1"), (3, "3"), (None, "not known")])
def test_a_season_is_told_in_words(count: int | None, said: str) -> None:
    feature = next(f for f in FeatureSet.make(SETTINGS, TARGETS).features
                   if f.name == "purchase_season_30d")  # fmt: skip
    sentence = feature.in_reasons.saying.of(count)
    assert sentence.startswith(said) and "30 days a year ago" in sentence
