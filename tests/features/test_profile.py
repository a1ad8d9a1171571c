"""A user in words, on tables small enough to read."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import pytest
from pyspark.sql import DataFrame, SparkSession

from behavior_spark.features.profile import (
    most_frequent_label,
    next_action,
    preferred_category,
    segment,
)
from behavior_spark.schemas import EVENTS, ITEMS
from tests.features.frames import table
from tests.features.reference import Row

AS_OF = dt.date(2024, 3, 10)
WINDOWS = [1, 7, 30, 90]
LABELS = ["refund", "Refund!", "thanks"]


def march(day: int, clock: str = "12:00:00") -> dt.datetime:
    return dt.datetime.fromisoformat(f"2024-03-{day:02}T{clock}+00:00")


def by_user(frame: DataFrame) -> dict[str, tuple[object, ...]]:
    rows = [tuple(row) for row in frame.collect()]
    assert len({row[0] for row in rows}) == len(rows), "a user has two rows"
    return {row[0]: row[1:] for row in rows}


# ------------------------------------------------------------------ segment


def test_each_user_is_in_the_segment_the_words_say(spark: SparkSession) -> None:
    rows = [
        ("new", 0.5, 30.0, 20),
        ("loyal", 30.0, 30.0001, 5),
        ("active", 30.0, 400.0, 4),
        ("cooling", 30.0001, 400.0, 20),
        ("cooling", 90.0, 400.0, 1),
        ("lapsed", 90.0001, 400.0, 0),
    ]
    named = [(f"{name}-{index}", *rest) for index, (name, *rest) in enumerate(rows)]
    columns = "user_id string, recency_days double, tenure_days double, active_days_90d long"
    frame = spark.createDataFrame(named, columns).select("user_id", segment(WINDOWS))
    found = by_user(frame)
    assert found == {user: (user.split("-")[0],) for user in found}
    assert len(found) == len(rows)


def test_with_one_window_segments_are_of_that_window(spark: SparkSession) -> None:
    rows = [("new", 1.0, 7.0, 1), ("loyal", 7.0, 9.0, 5), ("active", 7.0, 9.0, 4),
            ("lapsed", 7.1, 9.0, 4)]  # fmt: skip
    columns = "user_id string, recency_days double, tenure_days double, active_days_7d long"
    found = by_user(spark.createDataFrame(rows, columns).select("user_id", segment([7])))
    assert found == {name: (name,) for name in ("new", "loyal", "active", "lapsed")}


# ------------------------------------------------------------------ preferred_category


def item(key: str, category: str | None, valid_from: dt.datetime) -> Row:
    return {"item_id": key, "category": category, "valid_from": valid_from}


def preferences(
    spark: SparkSession, events: Sequence[tuple[str | None, str | None, dt.datetime]]
) -> dict[str, tuple[object, ...]]:
    """Preferences over 7 days from (user, item, time) of events known when they happen."""
    rows = [
        {"event_id": f"e{index}", "user_id": user, "item_id": item, "event_type": "view",
         "event_time": time, "arrived_at": time}
        for index, (user, item, time) in enumerate(events)
    ]  # fmt: skip
    return by_user(prefer(spark, rows))


def prefer(spark: SparkSession, rows: Sequence[Row]) -> DataFrame:
    items = [
        item("bag", "bags", march(1)),
        item("sack", "bags", march(1)),
        item("cup", "cups", march(1)),
        item("moved", "bags", march(1)),
        item("moved", "cups", march(5)),
        item("moved", "lamps", march(10, "00:00:00")),
        item("dropped", "bags", march(1)),
        item("dropped", None, march(5)),
        item("later", "bags", march(10, "00:00:00")),
    ]
    events, catalogue = table(spark, EVENTS, rows), table(spark, ITEMS, items)
    return preferred_category(events, catalogue, AS_OF, window_days=7)


def test_the_preference_is_the_category_with_most_events(spark: SparkSession) -> None:
    events = [("ann", "bag", march(5)), ("ann", "sack", march(5)), ("ann", "cup", march(9))]
    assert preferences(spark, events) == {"ann": ("bags",)}


def test_of_equal_categories_the_one_seen_last_then_the_first_by_name(spark: SparkSession) -> None:
    events = [
        ("last", "bag", march(5)), ("last", "cup", march(6)),
        ("name", "cup", march(6)), ("name", "bag", march(6)),
    ]  # fmt: skip
    assert preferences(spark, events) == {"last": ("cups",), "name": ("bags",)}


def test_an_item_has_the_category_last_known_before_the_day(spark: SparkSession) -> None:
    events = [("ann", "moved", march(4)), ("bob", "dropped", march(4)), ("cid", "later", march(4))]
    assert preferences(spark, events) == {"ann": ("cups",)}


def test_events_outside_the_window_without_item_or_user_give_no_preference(
    spark: SparkSession,
) -> None:
    events = [
        ("ann", "bag", march(2, "23:59:59.999999")),
        ("bob", "bag", march(10, "00:00:00")),
        ("cid", None, march(5)),
        (None, "bag", march(5)),
        ("dan", "nowhere", march(5)),
        ("eve", "cup", march(3, "00:00:00")),
    ]
    assert preferences(spark, events) == {"eve": ("cups",)}


def test_a_preference_forgets_an_event_that_was_corrected_or_taken_back(
    spark: SparkSession,
) -> None:
    def version(key: str, item: str, arrived: dt.datetime, user: str | None = "ann") -> Row:
        return {"event_id": key, "user_id": user, "item_id": item, "event_type": "view",
                "event_time": march(4), "arrived_at": arrived}  # fmt: skip

    rows = [
        version("e1", "bag", march(4)),
        version("e1", "bag", march(5), user=None),
        version("e2", "bag", march(4)),
        version("e2", "cup", march(6)),
        version("e2", "bag", march(10, "00:00:00")),
    ]
    assert by_user(prefer(spark, rows)) == {"ann": ("cups",)}


# ------------------------------------------------------------------ most_frequent_label


@pytest.mark.parametrize(
    ("shares", "label"),
    [
        ((0.2, 0.5, 0.3), "Refund!"),
        ((0.4, 0.2, 0.4), "refund"),
        ((0.0, 0.0, 1.0), "thanks"),
        ((0.0, 0.0, 0.0), None),
        ((None, None, None), None),
    ],
    ids=["largest", "tie: the first", "all of one", "none known", "no texts"],
)
def test_the_label_is_the_one_with_the_largest_share(
    spark: SparkSession, shares: tuple[float | None, ...], label: str | None
) -> None:
    names = ["refund", "refund_0590498d", "thanks"]
    columns = ", ".join(f"intent_{name}_share_30d double" for name in names)
    frame = spark.createDataFrame([shares], columns)
    chosen = most_frequent_label("intent", LABELS, window_days=30)
    assert frame.select(chosen).collect()[0][0] == label


def test_a_head_with_one_label_says_it_where_there_are_texts(spark: SparkSession) -> None:
    columns = "user_id string, spam_spam_share_7d double"
    frame = spark.createDataFrame([("ann", 1.0), ("bob", 0.0), ("cid", None)], columns)
    said = most_frequent_label("spam", ["spam"], window_days=7)
    assert by_user(frame.select("user_id", said)) == {
        "ann": ("spam",), "bob": (None,), "cid": (None,)
    }  # fmt: skip


# ------------------------------------------------------------------ next_action


def actions(
    spark: SparkSession, rows: Sequence[tuple[str, str, float | None]]
) -> dict[str, tuple[object, ...]]:
    columns = "user_id string, target string, probability double"
    return by_user(next_action(spark.createDataFrame(list(rows), columns)))


def test_the_next_action_stands_highest_against_the_average_user(spark: SparkSession) -> None:
    rows = [
        ("ann", "buys", 0.5), ("ann", "cancels", 0.09),
        ("bob", "buys", 0.7), ("bob", "cancels", 0.03),
    ]  # fmt: skip
    assert actions(spark, rows) == {
        "ann": ("cancels", 0.09, 1.5),
        "bob": ("buys", 0.7, round(0.7 / 0.6, 6)),
    }


def test_of_equal_lifts_the_first_target_by_name_is_next(spark: SparkSession) -> None:
    rows = [("ann", target, 0.3) for target in ("b", "a", "c")]
    rows += [("bob", target, 0.1) for target in ("b", "a", "c")]
    assert actions(spark, rows) == {"ann": ("a", 0.3, 1.5)}


def test_a_constant_model_names_no_next_action(spark: SparkSession) -> None:
    rows = [(user, "a", 0.05) for user in ("ann", "bob", "cid")]
    assert actions(spark, rows) == {}


def test_a_target_without_a_probability_is_never_next(spark: SparkSession) -> None:
    rows = [
        ("ann", "a", None), ("ann", "b", 0.0), ("ann", "never", 0.0),
        ("bob", "a", None), ("bob", "b", 0.4), ("bob", "never", 0.0),
        ("cid", "a", None),
    ]  # fmt: skip
    assert actions(spark, rows) == {"bob": ("b", 0.4, 2.0)}
