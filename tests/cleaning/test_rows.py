"""Rows are refused for a reason, deduplicated by content, versioned by arrival."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.cleaning import rows
from behavior_spark.cleaning.columns import clean_text_column, pseudonym_column
from behavior_spark.cleaning.readings import CHANGED, read_rows
from behavior_spark.cleaning.values import Change
from behavior_spark.schemas import EVENTS, ITEMS, QUARANTINE, TEXTS

DAY = dt.date(2024, 3, 2)
NOON = dt.datetime(2024, 3, 1, 12)
CLEAN = clean_text_column(max_chars=200)

EVENT = {
    "event_id": "e1", "user_id": "u1", "event_time": NOON, "event_type": "view", "item_id": None,
    "value": None, "session_id": None, "text_id": None, "arrived_at": None,
}  # fmt: skip
TEXT = {
    "text_id": "t1", "user_id": "u1", "text_time": NOON, "kind": "review", "text": "nice mug",
    "arrived_at": None,
}  # fmt: skip
ITEM = {"item_id": "i1", "title": "Mug", "category": "kitchen", "price": None, "valid_from": None}


def frame_of(spark: SparkSession, contract, base: dict, *changes: dict, text=()) -> DataFrame:
    """Rows as read of a source: the base row with each set of changes.

    ``text``: columns that the source holds as strings.
    """
    kinds = {n: "string" if n in text else contract.field(n).dataType.simpleString() for n in base}
    schema = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
    values = [tuple({**base, **change}[name] for name in base) for change in changes]
    frame = spark.createDataFrame(values, schema)
    return read_rows(frame, contract).withColumn(rows.SOURCE, F.lit("log"))


def reasons(frame: DataFrame, contract) -> list[str | None]:
    prepared = rows.prepare(frame, contract, skew_seconds=300)
    return [row[rows.REASON] for row in rows.with_reason(prepared, contract).collect()]


def test_names_are_trimmed_types_lowered_and_texts_left_alone(spark):
    frame = frame_of(
        spark, EVENTS, EVENT, {"user_id": " u1 ", "event_type": " View", "item_id": " "}
    )
    row = rows.prepare(frame, EVENTS).first()
    assert (row.user_id, row.event_type, row.item_id) == ("u1", "view", None)
    assert rows.prepare(frame_of(spark, TEXTS, TEXT, {"text": " a "}), TEXTS).first().text == " a "


def test_a_row_without_arrival_arrived_when_it_happened(spark):
    late = NOON + dt.timedelta(days=3)
    frame = frame_of(spark, EVENTS, EVENT, {}, {"event_id": "e2", "arrived_at": late})
    first, second = rows.prepare(frame, EVENTS).orderBy("event_id").collect()
    assert (first.arrived_at, first.arrived_day) == (NOON, NOON.date())
    assert (second.arrived_at, second.arrived_day) == (late, late.date())


def test_an_item_without_a_date_is_valid_always(spark):
    assert rows.prepare(frame_of(spark, ITEMS, ITEM, {}), ITEMS).first().valid_from == dt.datetime(
        1970, 1, 1
    )


EVENT_REASONS = [
    ({}, None),
    ({"user_id": None}, None),
    ({"event_id": None}, "event_id is missing"),
    ({"event_id": "  "}, "event_id is missing"),
    ({"event_type": ""}, "event_type is missing"),
    ({"event_time": None}, "event_time is missing"),
    ({"event_time": " "}, "event_time is missing"),
    ({"event_time": "soon"}, "event_time is not a timestamp"),
    ({"arrived_at": "soon"}, "arrived_at is not a timestamp"),
    ({"arrived_at": "10:30"}, "arrived_at is not a timestamp"),
    ({"arrived_at": "1709287200"}, "arrived_at is a number without its unit"),
    ({"arrived_at": " "}, None),
    ({"value": "cheap"}, "value is not a number"),
    ({"value": "1.5"}, None),
    ({"event_time": "1989-12-31"}, "event_time is outside 1990 to 2200"),
    ({"event_time": "2200-01-01"}, "event_time is outside 1990 to 2200"),
    ({"arrived_at": "2200-01-01"}, "arrived_at is outside 1990 to 2200"),
    ({"arrived_at": "2024-03-01 11:55"}, None),
    ({"arrived_at": "2024-03-01 11:54:59"}, "arrived_at is before event_time"),
    ({"arrived_at": "2024-03-01"}, None),
    ({"arrived_at": "2024-03-01 00:00"}, None),
    ({"arrived_at": "2024-02-29"}, "arrived_at is before event_time"),
    ({"arrived_at": "2024-03-01 12:00"}, None),
    ({"event_id": None, "value": "cheap"}, "value is not a number"),
]


def test_each_broken_promise_of_an_event_has_its_reason(spark):
    changes = [change for change, _ in EVENT_REASONS]
    base = {**EVENT, "event_time": "2024-03-01 12:00"}
    frame = frame_of(spark, EVENTS, base, *changes, text=("event_time", "arrived_at", "value"))
    assert reasons(frame.coalesce(1), EVENTS) == [reason for _, reason in EVENT_REASONS]


def test_an_arrival_is_put_right_within_the_tolerance_and_counted(spark):
    second = dt.timedelta(seconds=1)
    night = dt.datetime(2024, 3, 1, 23, 59, 59, 999999)
    cases = [
        (NOON, NOON, 0),
        (NOON - 300 * second, NOON, Change.CLAMPED),
        (NOON - 301 * second, NOON - 301 * second, 0),
        (dt.datetime(2024, 3, 1), night, Change.END_OF_DAY),
        (None, NOON, 0),
    ]
    frame = frame_of(spark, EVENTS, EVENT, *[{"arrived_at": given} for given, _, _ in cases])
    got = rows.prepare(frame.coalesce(1), EVENTS, skew_seconds=300).collect()
    assert [(r.arrived_at, r[CHANGED + "arrived_at"]) for r in got] == [c[1:] for c in cases]


def test_each_broken_promise_of_a_text_or_item_has_its_reason(spark):
    texts = frame_of(spark, TEXTS, TEXT, {}, {"text_id": ""}, {"text": None}, {"text_time": None})
    assert reasons(texts.coalesce(1), TEXTS) == [
        None, "text_id is missing", "text is missing", "text_time is missing",
    ]  # fmt: skip
    items = frame_of(spark, ITEMS, ITEM, {}, {"item_id": None}, {"title": None})
    assert reasons(items.coalesce(1), ITEMS) == [None, "item_id is missing", None]


def test_a_night_reads_its_days_and_rows_without_any_time(spark):
    days = [dt.date(2024, 2, 28), dt.date(2024, 3, 1), DAY, None]
    frame = spark.createDataFrame([(day,) for day in days], "arrived_day date").coalesce(1)

    def read(start: dt.date | None) -> list[dt.date | None]:
        return [r[0] for r in frame.where(rows.within_night(start, DAY)).collect()]

    assert read(dt.date(2024, 3, 1)) == [days[1], None]
    assert read(None) == [days[0], days[1], None]


def kept_copies(frame: DataFrame) -> list[tuple]:
    numbered = rows.number_copies(rows.prepare(frame, EVENTS), EVENTS.key)
    kept = numbered.where(F.col(rows.COPY) == 1).drop(rows.COPY, rows.SOURCE)
    return sorted(map(tuple, kept.collect()), key=str)


def test_which_duplicate_is_kept_does_not_depend_on_row_order_or_source(spark):
    changes = [{"item_id": "i1"}, {"item_id": "i2"}, {}, {}, {"event_id": "e2"}]
    forward = frame_of(spark, EVENTS, EVENT, *changes)
    backward = frame_of(spark, EVENTS, EVENT, *changes[::-1]).withColumn(
        rows.SOURCE, F.lit("another")
    )
    assert kept_copies(forward) == kept_copies(backward)
    assert len(kept_copies(forward)) == 2


def test_copies_are_numbered_from_one_for_each_key(spark):
    frame = frame_of(spark, EVENTS, EVENT, {}, {}, {}, {"event_id": "e2"})
    numbered = rows.number_copies(rows.prepare(frame, EVENTS), EVENTS.key)
    counted = numbered.groupBy("event_id").agg(F.sort_array(F.collect_list(rows.COPY)).alias("n"))
    assert dict(map(tuple, counted.collect())) == {"e1": [1, 2, 3], "e2": [1]}


def test_a_later_arrival_of_an_event_is_a_new_version(spark):
    later = NOON + dt.timedelta(days=1)
    frame = frame_of(spark, EVENTS, EVENT, {}, {"arrived_at": later, "value": Decimal(2)})
    assert len(kept_copies(frame)) == 2


def item_versions(spark: SparkSession, *titles: str | None) -> list[str | None]:
    changes = [
        {"title": title, "valid_from": NOON + dt.timedelta(days=day)}
        for day, title in enumerate(titles)
    ]
    numbered = rows.number_item_copies(frame_of(spark, ITEMS, ITEM, *changes[::-1]))
    kept = numbered.where(F.col(rows.COPY) == 1).orderBy("valid_from")
    return [row.title for row in kept.collect()]


@pytest.mark.parametrize(
    ("titles", "kept"),
    [
        (["A", "B", "A"], ["A", "B", "A"]),
        (["A", "A", "B", "B", "A"], ["A", "B", "A"]),
        (["A", None, "A"], ["A", None, "A"]),
        ([None, None], [None]),
    ],
)
def test_an_item_that_changes_back_keeps_each_version_and_no_repetition(spark, titles, kept):
    assert item_versions(spark, *titles) == kept


def test_of_two_versions_at_one_moment_one_is_kept_whatever_their_order(spark):
    changes = [{"title": title, "valid_from": NOON} for title in "AB"]
    changes += [{"title": t, "valid_from": NOON + dt.timedelta(days=1)} for t in "AB"]
    kept = []
    for order in (changes, changes[::-1]):
        numbered = rows.number_item_copies(frame_of(spark, ITEMS, ITEM, *order))
        kept.append(numbered.where(F.col(rows.COPY) == 1).select("title", "valid_from").collect())
    assert kept[0] == kept[1]
    assert [row.valid_from for row in kept[0]] == [NOON]  # the second day brings nothing new


def test_an_equal_item_line_at_the_same_moment_is_a_duplicate(spark):
    frame = frame_of(
        spark, ITEMS, ITEM, *[{"valid_from": NOON}] * 3, {"valid_from": NOON, "item_id": "i2"}
    )
    copies = [row[rows.COPY] for row in rows.number_item_copies(frame).collect()]
    assert sorted(copies) == [1, 1, 2, 2]


def test_a_text_is_cleaned_masked_counted_and_hashed(spark):
    frame = frame_of(spark, TEXTS, TEXT, {"text": " mail  ann@example.com "}).withColumn(
        rows.REASON, F.lit(None).cast("string")
    )
    row = rows.clean_texts(frame, TEXTS, clean=CLEAN).first()
    assert (row.text, row._masked, row._cut, row[rows.REASON]) == ("mail <email>", 1, False, None)
    assert row.text_hash == frame.select(F.sha2(F.lit("mail <email>"), 256)).first()[0]


def test_a_text_of_which_nothing_is_left_is_refused_and_a_title_is_null(spark):
    none = F.lit(None).cast("string")
    texts = frame_of(spark, TEXTS, TEXT, {"text": " \u200b "}).withColumn(rows.REASON, none)
    row = rows.clean_texts(texts, TEXTS, clean=CLEAN).first()
    assert (row.text, row[rows.REASON]) == (None, "text is empty after cleaning")
    items = frame_of(spark, ITEMS, ITEM, {"title": " "}, {"title": None}).withColumn(
        rows.REASON, none
    )
    for item in rows.clean_texts(items, ITEMS, clean=CLEAN).collect():
        assert (item.title, item.title_hash, item[rows.REASON]) == (None, None, None)


def test_a_contract_without_text_has_nothing_to_clean(spark):
    row = rows.clean_texts(frame_of(spark, EVENTS, EVENT, {}), EVENTS, clean=CLEAN).first()
    assert (row._masked, row._cut) == (0, False)


def quarantined(frame: DataFrame, contract, *, chars: int = 2000) -> list:
    reasoned = rows.with_reason(rows.prepare(frame, contract), contract)
    refused = reasoned.where(F.col(rows.REASON).isNotNull())
    clean = clean_text_column(max_chars=chars)
    return rows.quarantine_rows(refused, contract, run_id="r1", as_of=DAY, clean=clean).collect()


def test_quarantine_shows_the_row_but_no_mail_or_phone(spark):
    frame = frame_of(
        spark, TEXTS, TEXT,
        {"text_id": None, "text": "ann@example.com +44 20 7946 0018 wants a mug"},
        {"text_id": None, "text": "fine", "user_id": "bob@example.com"},
    )  # fmt: skip
    found = quarantined(frame, TEXTS)
    everything = " ".join(row.row for row in found)
    assert "wants a mug" in everything
    assert "<email>" in everything
    assert "<phone>" in everything
    assert "example.com" not in everything
    assert "7946" not in everything
    assert {row.reason for row in found} == {"text_id is missing"}
    assert {(r.run_id, r.as_of, r.table_name, r.source) for r in found} == {
        ("r1", DAY, "texts", "log")
    }


def test_quarantine_shows_what_did_not_fit_its_type(spark):
    frame = frame_of(spark, EVENTS, EVENT, {"value": "cheap"}, text=("value",))
    [row] = quarantined(frame, EVENTS)
    assert json.loads(row.row)["value"] == "cheap"
    assert row.reason == "value is not a number"


def test_quarantine_caps_rows_and_counts_equal_ones(spark):
    long = {"text_id": None, "text": "long story " * 5000}
    frame = frame_of(spark, TEXTS, TEXT, long, long, {**long, "text": None})
    found = quarantined(frame, TEXTS)
    assert sorted(row.refused_rows for row in found) == [1, 2]
    assert max(len(row.row) for row in found) <= 2000
    assert len({row.row_hash for row in found}) == 2


def test_quarantine_has_the_columns_of_its_contract(spark):
    frame = frame_of(spark, EVENTS, EVENT, {"event_id": None})
    reasoned = rows.with_reason(rows.prepare(frame, EVENTS), EVENTS)
    out = rows.quarantine_rows(reasoned, EVENTS, run_id="r", as_of=DAY, clean=CLEAN)
    assert set(out.columns) == set(QUARANTINE.names)


def test_user_ids_become_keyed_hashes_and_null_stays_null(spark):
    hide = pseudonym_column(key="a-key-of-sixteen-characters")
    frame = spark.createDataFrame([("u1",), (None,), ("u1",), ("u2",)], "user_id string").coalesce(
        1
    )
    first, missing, again, other = [r[0] for r in frame.select(hide(F.col("user_id"))).collect()]
    assert missing is None
    assert first == again != other
    assert first != "u1"
