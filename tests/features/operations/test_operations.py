"""Declared features against numbers worked out by hand."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import pytest
from pyspark.sql import SparkSession

from behavior_spark.config import FeatureSettings, Target
from behavior_spark.errors import ConfigError
from behavior_spark.features.feature_set import FeatureSet
from behavior_spark.features.inputs import Inputs
from behavior_spark.schemas import EVENTS, ITEMS, TEXT_SCORES, TEXTS
from tests.features.frames import (
    as_table,
    assert_same,
    build_features,
    list_features,
    make_inputs,
    table,
)
from tests.features.random_logs import random_log
from tests.features.reference import Row

DAY = dt.date(2024, 3, 10)
BUYS = {"buys": Target(event="event_type = 'purchase'", horizon_days=7)}

# For each declaration the columns it gives: at March 10, and at March 8 where that differs.
DECLARED: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"op": "count", "on": {"kind": "browse"}, "windows": [2, 5]},
     {"kind_browse_count_2d": 1, "kind_browse_count_5d": 4}),
    ({"op": "count", "on": {"sentiment": "negative"}, "windows": [5]}, {"negative_count_5d": 1}),
    ({"op": "count", "on": {"where": "value >= 10", "name": "dear"}, "windows": [5]},
     {"dear_count_5d": 2}),
    ({"op": "recency", "on": {"type": "view"}}, {"view_recency_days": 1.5}),
    ({"op": "sum", "windows": [5]}, {"event_value_5d": 35.0}),
    ({"op": "mean", "of": "value", "windows": [5]}, {"event_value_mean_5d": 35 / 3}),
    ({"op": "distinct", "windows": [5]}, {"event_item_count_5d": 3}),
    ({"op": "distinct", "of": "category", "windows": [5]}, {"event_category_count_5d": 2}),
    ({"op": "distinct", "of": "day", "windows": [5]}, {"event_day_count_5d": 4}),
    ({"op": "distinct", "of": "hour", "on": {"type": "view"}, "windows": [5]},
     {"view_hour_count_5d": 2}),
    ({"op": "streak", "windows": [5]}, {"event_streak_5d": 2}),
    ({"op": "trend", "on": {"type": "view"}, "windows": [2, 5]},
     {"view_trend_2d": (1 / 2) / (4 / 5)}),
    ({"op": "ratio", "on": {"type": "purchase"}, "to": {"type": "view"}, "windows": [5]},
     {"purchase_per_view_5d": 1 / 2}),
    ({"op": "entropy", "on": {"type": "view"}, "windows": [5]},
     {"view_item_entropy_5d": -(3 / 4 * math.log(3 / 4) + 1 / 4 * math.log(1 / 4))}),
    ({"op": "top_k", "k": 2, "windows": [5]}, {"event_top_item_5d": ["a", "b"]}),
    ({"op": "top_k", "of": "category", "k": 1, "on": {"type": "view"}, "windows": [5]},
     {"view_top_category_5d": ["bags"]}),
    ({"op": "first", "on": {"type": "purchase"}, "windows": [5]}, {"purchase_first_item_5d": "b"}),
    ({"op": "last", "on": {"type": "purchase"}, "windows": [5]}, {"purchase_last_item_5d": "c"}),
    ({"op": "count", "name": "looked", "on": {"type": "view"}, "windows": [5],
      "description": "looked at things"}, {"looked": 4}),
]  # fmt: skip


def event(number: int, kind: str, clock: str, item: str | None, value: float | None) -> Row:
    time = dt.datetime.fromisoformat(f"2024-03-{clock}+00:00")
    return {
        "event_id": f"e{number}", "user_id": "ann", "event_type": kind, "event_time": time,
        "arrived_at": time, "item_id": item, "value": value,
    }  # fmt: skip


@pytest.fixture(scope="module")
def inputs(spark: SparkSession) -> Inputs:
    events = [
        event(0, "view", "01T10:00:00", "z", 99),  # before every window
        event(1, "view", "05T10:00:00", "a", None),
        event(2, "view", "06T10:00:00", "a", None),
        event(3, "view", "06T12:00:00", "a", None),
        event(4, "purchase", "06T13:00:00", "b", 10),
        event(5, "view", "08T12:00:00", "b", None),
        event(6, "cancel", "08T13:00:00", None, 5),
        event(7, "purchase", "09T23:00:00", "c", 20),
        event(8, "view", "10T00:00:00", "a", 1),  # too late
    ]
    start = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    items = [
        {"item_id": "a", "category": "bags", "valid_from": start},
        {"item_id": "b", "category": "cups", "valid_from": start},
        {"item_id": "c", "category": "bags", "valid_from": start},
        {"item_id": "c", "category": "lamps",
         "valid_from": dt.datetime(2024, 3, 10, tzinfo=dt.UTC)},
    ]  # fmt: skip
    return Inputs(table(spark, EVENTS, events), items=table(spark, ITEMS, items))


def settings_of(*declared: dict[str, Any], **more: Any) -> FeatureSettings:
    return FeatureSettings.model_validate(
        {
            "event_types": ["view", "purchase", "cancel"],
            "windows_days": [5],
            "declared": list(declared),
            "groups": ["declared"],
            **more,
        }
    )


def test_declared_features_are_what_they_say(inputs: Inputs) -> None:
    declared = settings_of(*[declaration for declaration, _ in DECLARED])
    days = [dt.date(2024, 3, 2), DAY]  # several days in one job
    frame = build_features(inputs, days, settings=declared, targets=BUYS)
    found = as_table(frame)[DAY, "ann"]
    expected = {name: value for _, columns in DECLARED for name, value in columns.items()}
    assert_same({(DAY, "ann"): found}, {(DAY, "ann"): expected})


def test_nothing_seen_is_zero_for_counts_and_null_for_the_rest(inputs: Inputs) -> None:
    declared = settings_of(*[declaration for declaration, _ in DECLARED])
    frame = build_features(inputs, [dt.date(2024, 5, 1)], settings=declared, targets=BUYS)
    row = as_table(frame)[dt.date(2024, 5, 1), "ann"]
    zeros = {f.name for f in list_features(declared, BUYS, inputs) if f.zero}
    assert {name for name, value in row.items() if value == 0} == zeros
    assert {name for name, value in row.items() if value is None} == (
        set(row) - zeros - {"view_recency_days"}
    )


def test_people_read_strings_and_models_do_not(inputs: Inputs) -> None:
    declared = settings_of(*[declaration for declaration, _ in DECLARED])
    features = list_features(declared, BUYS, inputs)
    words = {f.name for f in features if not f.numeric}
    assert words == {
        "event_top_item_5d", "view_top_category_5d", "purchase_first_item_5d",
        "purchase_last_item_5d",
    }  # fmt: skip


def test_a_description_and_a_group_of_ones_own_are_shown(inputs: Inputs) -> None:
    declared = settings_of(
        {"op": "count", "windows": [5, 9], "group": "mine", "description": "things done"},
        groups=["mine"],
    )
    found = [feature.described() for feature in list_features(declared, BUYS, inputs)]
    assert found == [
        {
            "name": f"event_count_{days}d", "type": "bigint", "group": "mine",
            "meaning": f"things done, in the {days} days before as_of", "source": "events",
            "window_days": days,
        }
        for days in (5, 9)
    ]  # fmt: skip


def test_a_declared_feature_that_is_built_in_is_refused(inputs: Inputs) -> None:
    twice = settings_of({"op": "count", "on": {"type": "view"}}, groups=None)
    with pytest.raises(ConfigError, match="two features would be named view_count_5d"):
        list_features(twice, BUYS, inputs)


def test_texts_give_the_share_and_the_mean_probability_of_a_label(spark: SparkSession) -> None:
    likely = {"hi": {"glad": 0.75, "sad": 0.25}, "oh": {"glad": 0.25, "sad": 0.75}}
    scores = [
        (key, "d", "mood", max(each, key=each.__getitem__), None, each, None)
        for key, each in likely.items()
    ]
    time = dt.datetime(2024, 3, 2, tzinfo=dt.UTC)
    texts = [
        {"text_id": f"t{n}", "user_id": "ann", "text_time": time, "text_hash": key,
         "arrived_at": time}
        for n, key in enumerate(["hi", "hi", "oh", "unread"])
    ]  # fmt: skip
    told = Inputs(
        table(spark, EVENTS, [event(1, "view", "02T10:00:00", None, None)]),
        texts=table(spark, TEXTS, texts),
        scores=spark.createDataFrame(scores, TEXT_SCORES.schema),
        heads={"mood": "d"},
        head_labels={"mood": ["glad", "sad"]},
    )
    of_glad = {"head": "mood", "label": "glad", "windows": [9]}
    declared = settings_of({"op": "text_share", **of_glad}, {"op": "text_mean", **of_glad})
    frame = build_features(told, [DAY], settings=declared, targets=BUYS)
    expected = {"mood_glad_share_9d": 2 / 3, "mood_glad_mean_9d": round(1.75 / 3, 6)}
    assert_same(as_table(frame), {(DAY, "ann"): expected})


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"op": "text_share", "head": "mood", "label": "grim"}, "no label of mood"),
        ({"op": "text_similarity", "target": "buys"}, "no target with items"),
    ],
)
def test_a_label_or_target_that_is_not_there_is_refused_with_those_that_are(
    spark: SparkSession, declared: dict[str, Any], says: str
) -> None:
    told = make_inputs(spark, random_log(1, cases=1))
    with pytest.raises(ConfigError, match=says):
        list_features(settings_of(declared), BUYS, told)


def test_a_text_feature_without_texts_is_refused(inputs: Inputs) -> None:
    share = settings_of({"op": "text_share", "head": "mood", "label": "glad"})
    with pytest.raises(ConfigError, match="needs texts"):
        list_features(share, BUYS, inputs)


def test_tiles_are_built_anew_only_for_what_they_hold() -> None:
    plain = settings_of({"op": "count"})
    more = settings_of({"op": "count", "windows": [5, 300]}, {"op": "mean"})
    other = settings_of({"op": "count", "on": {"where": "value > 1", "name": "dear"}})
    digests = [FeatureSet.make(chosen, BUYS).plan.digest for chosen in (plain, more, other)]
    assert digests[0] == digests[1] != digests[2]
