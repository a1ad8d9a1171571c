"""What a day may see: random logs against a plain reference, and changes that must not matter.

Each random log holds many independent users, so that one Spark job tries many cases.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession

from behavior_spark.config import FeatureSettings, Target
from behavior_spark.errors import InputError
from behavior_spark.features import directions as of_targets
from behavior_spark.features.directions import target_directions
from behavior_spark.features.inputs import Inputs
from behavior_spark.features.point_in_time import of_users
from behavior_spark.features.sampling import Shares, sampled
from behavior_spark.features.targets import labels, mark_targets
from behavior_spark.io.conf import conf_meanwhile
from behavior_spark.schemas import EVENTS, ITEMS
from tests.features.frames import (
    TARGETS,
    Table,
    as_table,
    assert_same,
    build_features,
    feature_set,
    features_of,
    make_inputs,
    table,
    training_set_of,
)
from tests.features.random_logs import DAYS, KNOWN_BEFORE, SETTINGS, random_log, random_time
from tests.features.reference import (
    Log,
    Row,
    midnight,
    reference_features,
    reference_labels,
    reference_training_set,
)

SEEDS = st.integers(0, 2**32 - 1)
LAST = max(DAYS)
HORIZON = dt.timedelta(days=max(target.horizon_days for target in TARGETS.values()))


def tries(examples: int) -> settings:
    """A few tries, always the same; one that fails is not shrunk: its message names the case."""
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
    )


@dataclass(frozen=True, repr=False)
class Case:
    """One random log and its features at all days, for the tests that change it and compare."""

    log: Log
    features: Table


@pytest.fixture(scope="module")
def case(spark: SparkSession) -> Case:
    log = random_log(20240301, cases=100)
    return Case(log, features_of(make_inputs(spark, log), DAYS))


# ------------------------------------------------------------------ against the reference


def test_features_of_random_logs_equal_the_plain_reference(spark: SparkSession) -> None:
    log = random_log(20240302, cases=300)
    expected = {
        (day, user): row
        for day in DAYS
        for user, row in reference_features(log, day, SETTINGS).items()
    }
    assert_same(features_of(make_inputs(spark, log), DAYS), expected, log)


@pytest.mark.parametrize(("ansi", "seed"), [("true", 11), ("false", 12)], ids=["on", "off"])
def test_training_sets_equal_the_plain_reference_with_ansi_mode_on_and_off(
    spark: SparkSession, ansi: str, seed: int
) -> None:
    log = random_log(seed, cases=120)
    night = LAST + HORIZON
    expected = {
        (day, user): row
        for day in DAYS
        for user, row in reference_training_set(log, day, SETTINGS, night).items()
    }
    with conf_meanwhile(spark, {"spark.sql.ansi.enabled": ansi}):
        actual = training_set_of(make_inputs(spark, log), DAYS, night)
    assert_same(actual, expected, log)
    assert {row["label_takes_bag"] for row in actual.values()} == {0, 1}


def test_labels_of_random_logs_equal_the_plain_reference(spark: SparkSession) -> None:
    log = random_log(20240303, cases=1200)
    for night in (KNOWN_BEFORE, KNOWN_BEFORE - dt.timedelta(days=3)):
        expected = {
            (day, user): row
            for day in DAYS
            for user, row in reference_labels(log, day, SETTINGS, night).items()
        }
        assert_same(positives(spark, log, DAYS, night), expected, log)


def positives(spark: SparkSession, log: Log, days: Sequence[dt.date], night: dt.date) -> Table:
    """What ``labels`` gives, without its rows of zeros."""
    events = of_users(table(spark, EVENTS, log.events), key="event_id")
    marked = mark_targets(events, table(spark, ITEMS, log.items), TARGETS)
    found = as_table(labels(marked, days, TARGETS, known_before=night))
    return {key: row for key, row in found.items() if any(row.values())}


# ------------------------------------------------------------------ changes that must not matter


@tries(2)
@given(seed=SEEDS, day=st.sampled_from(DAYS))
@example(seed=0, day=DAYS[0])
def test_the_future_cannot_change_the_past(
    spark: SparkSession, case: Case, seed: int, day: dt.date
) -> None:
    changed = change_after(case.log, day, random.Random(seed))
    days = [other for other in DAYS if other <= day]
    wanted = {key: row for key, row in case.features.items() if key[0] in days}
    assert_same(features_of(make_inputs(spark, changed), days), wanted, changed)


def test_what_arrives_later_does_change_later_days(case: Case) -> None:
    """The change above is one that a later day notices: else it would prove nothing."""
    changed = change_after(case.log, DAYS[0], random.Random(0))
    before, after = (reference_features(one, LAST, SETTINGS) for one in (case.log, changed))
    assert sum(before[user] != after.get(user) for user in before) > len(before) / 2


def test_order_and_partitioning_of_rows_and_order_of_days_change_nothing(
    spark: SparkSession, case: Case
) -> None:
    dice = random.Random(5)
    mixed = deepcopy(case.log)
    for rows in (mixed.events, mixed.items, mixed.texts):
        dice.shuffle(rows)
    mixed.embeddings = dict(
        dice.sample(list(case.log.embeddings.items()), len(case.log.embeddings))
    )
    inputs = make_inputs(spark, mixed)
    parts = {
        name: frame.repartition(dice.randint(2, 7))
        for name, frame in vars(inputs).items()
        if isinstance(frame, DataFrame)
    }
    days = [DAYS[2], DAYS[0], DAYS[1], DAYS[0]]  # one of them twice: it counts once
    assert_same(features_of(replace(inputs, **parts), days), case.features, case.log)


def test_several_days_in_one_job_give_what_each_gives_alone(
    spark: SparkSession, case: Case
) -> None:
    inputs = make_inputs(spark, case.log)
    for day in DAYS[1:]:  # the first is alone in the example above
        together = {key: row for key, row in case.features.items() if key[0] == day}
        assert_same(features_of(inputs, [day]), together, case.log)


@tries(2)
@given(seed=SEEDS)
def test_labels_see_only_the_horizon_and_what_was_known_by_the_night(
    spark: SparkSession, case: Case, seed: int
) -> None:
    day = DAYS[1]
    changed = change_after(case.log, KNOWN_BEFORE, random.Random(seed))
    inside = {
        event["event_id"]
        for event in changed.events
        if midnight(day) <= event["event_time"] < midnight(day) + HORIZON
    }
    changed.events = [event for event in changed.events if event["event_id"] in inside]
    expected = reference_labels(case.log, day, SETTINGS, KNOWN_BEFORE)
    assert len(expected) > 20
    found = positives(spark, changed, [day], KNOWN_BEFORE)
    assert_same(found, {(day, user): row for user, row in expected.items()}, case.log)


def change_after(log: Log, day: dt.date, dice: random.Random) -> Log:
    """Add, change and delete what happened or became known at or after a day, and only that."""
    moment = midnight(day)
    title = {"title": "NEW BAG", "title_hash": "h:NEW BAG", "price": None}
    changed = deepcopy(log)
    changed.embeddings["h:NEW BAG"] = [0.0, 0.6, 0.0, 0.8, 0.0]
    changed.events = [
        *_change_rows(log.events, "event_id", "event_time", moment, dice),
        *_change_rows(_as_new(log.events, "event_id"), "event_id", "event_time", moment, dice),
    ]
    changed.texts = _change_rows(log.texts, "text_id", "text_time", moment, dice)
    changed.items = [
        item | title if item["valid_from"] >= moment else item
        for item in log.items
        if item["valid_from"] < moment or dice.random() < 0.6
    ]
    fresh = {item["item_id"]: moment + dice.randrange(9) * dt.timedelta(days=1, microseconds=1)
             for item in log.items}  # fmt: skip
    taken = {(item["item_id"], item["valid_from"]) for item in changed.items}
    changed.items += [
        {"item_id": item, "category": "new", "valid_from": time} | title
        for item, time in fresh.items()
        if (item, time) not in taken
    ]
    return changed


def _change_rows(
    rows: list[Row], key: str, time: str, moment: dt.datetime, dice: random.Random
) -> list[Row]:
    """Rows known before the moment stay; the others go or change, and new versions come."""
    content = [name for name in rows[0] if name not in (key, time, "arrived_at")]
    kept = []
    for row in rows:
        if row["arrived_at"] < moment:
            kept.append(row)
        elif dice.random() < 0.6:
            other = dice.choice(rows)
            kept.append(row | {time: min(random_time(dice), row["arrived_at"])})
            kept[-1] |= {name: other[name] for name in content}
        if dice.random() < 0.3:
            other = dice.choice(rows)
            arrived = moment + dt.timedelta(microseconds=dice.randrange(10**12))
            new = row | {name: other[name] for name in content}
            kept.append(new | {"arrived_at": dice.choice((arrived, moment)), time: row[time]})
            kept[-1][time] = min(kept[-1][time], kept[-1]["arrived_at"])
    return list({(row[key], row["arrived_at"]): row for row in reversed(kept)}.values())


def _as_new(rows: list[Row], key: str) -> list[Row]:
    """Rows as others' that arrive after every day: events nobody had heard of."""
    late = midnight(LAST) + dt.timedelta(days=30)
    return [row | {key: f"new-{row[key]}", "arrived_at": late} for row in rows[::3]]


# ------------------------------------------------------------------ small logs, edge by edge

SMALL = FeatureSettings(event_types=["purchase"], windows_days=[7])
BUYS = {"buys": Target(event="event_type = 'purchase'", horizon_days=7)}
TAKES_BAG = {
    "takes_bag": Target(event="event_type = 'purchase'", item="title LIKE '%BAG%'", horizon_days=7)
}


def march(day: int, clock: str = "00:00:00") -> dt.datetime:
    return dt.datetime.fromisoformat(f"2024-03-{day:02}T{clock}+00:00")


def purchase(key: str, time: dt.datetime, **more: object) -> Row:
    plain = {"event_id": key, "user_id": "ann", "event_type": "purchase", "event_time": time}
    return plain | {"arrived_at": time} | more


def days_of_march(*days: int) -> list[dt.date]:
    return [march(day).date() for day in days]


def column_by_day(frame: DataFrame, name: str, user: str = "ann") -> dict[int, object]:
    rows = as_table(frame)
    return {day.day: row[name] for (day, of_user), row in sorted(rows.items()) if of_user == user}


def test_a_window_holds_its_first_midnight_and_not_its_last(spark: SparkSession) -> None:
    times = {
        "a moment too early": march(2, "23:59:59.999999"),
        "the first": march(3),
        "the last": march(9, "23:59:59.999999"),
        "too late": march(10),
    }
    events = table(spark, EVENTS, [purchase(name, time) for name, time in times.items()])
    frame = build_features(Inputs(events), days_of_march(10), settings=SMALL, targets=BUYS)
    row = as_table(frame)[march(10).date(), "ann"]
    assert (row["purchase_count_7d"], row["purchase_count_all"]) == (2, 3)


def test_a_correction_counts_only_for_days_after_its_arrival(spark: SparkSession) -> None:
    first = purchase("e", march(1, "10:00:00"), value=10)
    events = [
        first,
        first | {"value": 3, "arrived_at": march(5)},
        first | {"user_id": "bob", "arrived_at": march(7, "08:00:00")},
        first | {"user_id": None, "arrived_at": march(8, "23:59:59.999999")},
    ]
    inputs = Inputs(table(spark, EVENTS, events))
    frame = build_features(inputs, days_of_march(1, 2, 5, 6, 7, 8, 9), settings=SMALL, targets=BUYS)
    assert column_by_day(frame, "value_all") == {2: 10.0, 5: 10.0, 6: 3.0, 7: 3.0}
    assert column_by_day(frame, "value_all", "bob") == {8: 10.0}


def test_an_item_counts_only_for_days_after_its_matching_title(spark: SparkSession) -> None:
    events = [purchase("e", march(2, "12:00:00"), item_id="i")]
    items = [
        {"item_id": "i", "title": "SACK", "valid_from": march(1)},
        {"item_id": "i", "title": "BAG", "valid_from": march(5)},
        {"item_id": "i", "title": "SACK AGAIN", "valid_from": march(6)},
    ]
    inputs = Inputs(table(spark, EVENTS, events), items=table(spark, ITEMS, items))
    frame = build_features(inputs, days_of_march(4, 5, 6, 8), settings=SMALL, targets=TAKES_BAG)
    assert column_by_day(frame, "takes_bag_count_all") == {4: 0, 5: 0, 6: 1, 8: 1}


@pytest.mark.parametrize(
    ("time", "arrived", "label"),
    [
        (march(9, "23:59:59.999999"), None, 0),
        (march(10), None, 1),
        (march(16, "23:59:59.999999"), None, 1),
        (march(17), None, 0),
        (march(12), march(19, "23:59:59.999999"), 1),
        (march(12), march(20), 0),
    ],
    ids=["before", "first", "last", "after", "late", "too late"],
)
def test_a_label_is_the_half_open_horizon_as_known_by_the_night(
    spark: SparkSession, time: dt.datetime, arrived: dt.datetime | None, label: int
) -> None:
    events = [purchase("old", march(1)), purchase("e", time, arrived_at=arrived or time)]
    marked = mark_targets(of_users(table(spark, EVENTS, events), key="event_id"), None, BUYS)
    found = as_table(labels(marked, days_of_march(10), BUYS, known_before=march(20).date()))
    assert found.get((march(10).date(), "ann"), {"label_buys": 0}) == {"label_buys": label}


def test_a_purchase_taken_back_before_the_night_is_no_positive(spark: SparkSession) -> None:
    bought = purchase("e", march(12))
    events = [
        purchase("old", march(1)),
        bought,
        bought | {"user_id": None, "arrived_at": march(17)},
    ]
    inputs = Inputs(table(spark, EVENTS, events))
    labelled = [
        feature_set(inputs, SMALL, BUYS).training_set(
            inputs, days_of_march(10), known_before=march(night).date()
        )
        for night in (17, 18)
    ]
    assert [column_by_day(frame, "label_buys") for frame in labelled] == [{10: 1}, {10: 0}]


def test_a_horizon_that_has_not_passed_is_refused(spark: SparkSession) -> None:
    inputs = Inputs(table(spark, EVENTS, [purchase("e", march(1))]))
    with pytest.raises(InputError, match="the horizon of buys at 2024-03-10 has not passed"):
        feature_set(inputs, SMALL, BUYS).training_set(
            inputs, days_of_march(3, 10), known_before=march(16).date()
        )


@pytest.mark.parametrize("kept", [(1.0, 0.25), (0.5, 0.125)])
def test_sampled_rows_stand_for_those_left_out(
    spark: SparkSession, kept: tuple[float, float]
) -> None:
    frame = spark.range(8000).selectExpr(
        "concat('u', id) AS user_id", "DATE'2024-03-10' AS as_of",
        "cast(id % 10 = 0 AS int) AS label_a", "cast(id % 15 = 0 AS int) AS label_b",
    )  # fmt: skip
    found = [
        sampled(one, ["label_a", "label_b"], Shares(*kept), seed=3)
        for one in (frame, frame.repartition(3).orderBy("user_id"))
    ]
    rows = [{(r["user_id"], r["label_a"] | r["label_b"], r["weight"]) for r in one.collect()}
            for one in found]  # fmt: skip
    assert rows[0] == rows[1]
    positives = frame.where("label_a + label_b > 0").count()
    weights = {label: weight for _, label, weight in rows[0]}
    assert weights == {1: 1 / kept[0], 0: 1 / kept[1]}
    sums = [sum(weight for _, of, weight in rows[0] if of == label) for label in (0, 1)]
    assert sums == pytest.approx([8000 - positives, positives], rel=0.1)
    assert kept[0] < 1 or sums[1] == positives


# ------------------------------------------------------------------ where a target's items lie


def bag(key: str, valid_from: dt.datetime, title: str | None = "BAG") -> Row:
    digest = None if title is None else f"h:{key}:{title}"
    return {"item_id": key, "title": title, "valid_from": valid_from, "title_hash": digest}


def directions(
    spark: SparkSession, items: list[Row], vectors: dict[str, list[float] | None], *days: int
) -> list[list[float]]:
    inputs = make_inputs(spark, Log(items=items, embeddings=dict(vectors)))
    found = target_directions(inputs, ["takes_bag"], TAKES_BAG, days_of_march(*days))
    return [list(row) for row in np.round(found, 6)]


def test_a_direction_is_the_mean_of_the_matching_titles_known_by_the_day(
    spark: SparkSession,
) -> None:
    items = [
        bag("a", march(1), "SACK"),
        bag("a", march(3)),
        bag("b", march(5)),
        bag("b", march(6), "OTHER BAG"),
        bag("c", march(1), "CUP"),
        bag("failed", march(1)),
    ]
    vectors = {
        "h:a:SACK": [0.0, 0.0, 1.0],
        "h:a:BAG": [1.0, 0.0, 0.0],
        "h:b:BAG": [0.0, 1.0, 0.0],
        "h:b:OTHER BAG": [0.0, 0.0, 1.0],
        "h:c:CUP": [0.0, 0.0, 1.0],
        "h:failed:BAG": None,
    }
    half = round(0.5**0.5, 6)
    assert directions(spark, items, vectors, 3, 4, 5, 6, 9) == [
        [0, 0, 0], [1, 0, 0], [1, 0, 0], [half, half, 0], [half, half, 0]
    ]  # fmt: skip


def test_items_known_later_do_not_displace_the_items_of_an_earlier_direction(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_targets, "DIRECTION_ITEMS", 3)
    early = [bag(f"early{index}", march(1)) for index in range(6)]
    late = [bag(f"late{index}", march(5)) for index in range(60)]
    dice = np.random.default_rng(5)
    vectors = {row["title_hash"]: list(map(float, dice.normal(size=4))) for row in early + late}
    before = directions(spark, early, vectors, 4)
    after = directions(spark, early + late, vectors, 4, 9)
    assert after[0] == before[0]
    assert after[1] != before[0]


@pytest.fixture
def told(spark: SparkSession) -> Iterator[Inputs]:
    """A user with an event and a text whose embedding is known, and no item."""
    text = {"text_id": "t", "user_id": "ann", "text_time": march(2), "text_hash": "h"}
    yield make_inputs(
        spark,
        Log(
            events=[purchase("e", march(2))],
            texts=[text | {"arrived_at": march(2)}],
            embeddings={"h": [0.6, 0.8]},
        ),
    )


@pytest.mark.parametrize("embedded", [True, False])
def test_without_items_or_embeddings_similarity_is_null(told: Inputs, embedded: bool) -> None:
    assert told.embeddings is not None
    inputs = replace(
        told,
        embeddings=told.embeddings.where(str(embedded)),
        scores=None,
        heads={},
        head_labels={},
    )
    frame = build_features(inputs, days_of_march(3), settings=SMALL, targets=TAKES_BAG)
    row = as_table(frame)[march(3).date(), "ann"]
    assert row["text_count_7d"] == 1
    assert row["text_similarity_takes_bag_7d"] is None
    assert row["text_similarity_max_takes_bag_7d"] is None
