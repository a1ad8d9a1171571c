"""A value is read by one rule whatever its column: kept, put right and counted, or refused."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import functions as F
from pyspark.sql.types import (
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from behavior_spark.cleaning.readings import CHANGED, UNREAD, read_rows
from behavior_spark.cleaning.values import Change
from behavior_spark.io.conf import conf_meanwhile
from behavior_spark.names import normal_name
from behavior_spark.schemas import EVENTS

NAN, INF = float("nan"), float("inf")


@pytest.fixture(params=["ansi", "lenient"])
def sql_mode(spark, request):
    with conf_meanwhile(spark, {"spark.sql.ansi.enabled": str(request.param == "ansi").lower()}):
        yield


def read(spark, column: str, kind, values: list[Any]) -> list[tuple[Any, str | None, Change]]:
    """What becomes of values that a source holds as one type, mapped to one column."""
    schema = StructType([StructField("_row", IntegerType()), StructField(column, kind)])
    frame = spark.createDataFrame(list(enumerate(values)), schema)
    rows = read_rows(frame, EVENTS).orderBy("_row").collect()
    return [(r[column], r[UNREAD], Change(r[CHANGED + column])) for r in rows]


NONE = Change(0)
COMPOSED, DECOMPOSED = "J\u00fcrgen", "Ju\u0308rgen"
NAMES = [
    ("u1", "u1", NONE),
    ("007", "007", NONE),
    ("10000001.0", "10000001.0", NONE),  # as text it is the log's own spelling
    ("12345678901234567", "12345678901234567", NONE),
    ("a b", "a b", NONE),
    ("a\u200bb", "a\u200bb", NONE),  # inside it is part of the id
    (" u1", "u1", Change.TRIMMED),
    ("u1\t ", "u1", Change.TRIMMED),
    ("u1\r", "u1", Change.TRIMMED),
    ("u1\r\n", "u1", Change.TRIMMED),
    ("\u00a0u1\u3000", "u1", Change.TRIMMED),
    ("\ufeffu1\u200b", "u1", Change.TRIMMED),
    ("u1\u00ad\u2060", "u1", Change.TRIMMED),
    ("u1\x00", "u1", Change.TRIMMED),
    ("\x80u1\x9f", "u1", Change.TRIMMED),
    ("\u2028u1\u2029", "u1", Change.TRIMMED),
    (COMPOSED, COMPOSED, NONE),
    (DECOMPOSED, COMPOSED, Change.COMPOSED),
    (f" {DECOMPOSED}", COMPOSED, Change.TRIMMED | Change.COMPOSED),
    ("\u212b", "\u00c5", Change.COMPOSED),
    ("日本", "日本", NONE),
    ("👩‍👩‍👧", "👩‍👩‍👧", NONE),
    ("", None, Change.EMPTY),
    (" \u200b\n", None, Change.EMPTY),
    (None, None, NONE),
    ("NaN", "NaN", NONE),
    ("None", "None", NONE),
]


def test_a_name_loses_what_nobody_sees_at_its_ends_and_is_composed(spark, sql_mode):
    got = read(spark, "user_id", StringType(), [given for given, _, _ in NAMES])
    assert got == [(wanted, None, change) for _, wanted, change in NAMES]
    assert [normal_name(given) or None for given, _, _ in NAMES if given is not None] == [
        wanted for given, wanted, _ in NAMES if given is not None
    ]


def test_an_id_of_many_blanks_is_trimmed_in_linear_time(spark):
    long = "a" + " " * 300_000 + "b"
    assert read(spark, "user_id", StringType(), [long + " "]) == [(long, None, Change.TRIMMED)]


LOST = "user_id is a double of 9,007,199,254,740,992 or more, whose last digits are lost"
DOUBLES = [
    (10000001.0, "10000001", None, Change.WHOLE),
    (1.0000001e7, "10000001", None, Change.WHOLE),
    (-5.0, "-5", None, Change.WHOLE),
    (0.0, "0", None, Change.WHOLE),
    (-0.0, "0", None, Change.WHOLE),
    (2.0**53 - 1, "9007199254740991", None, Change.WHOLE),
    (2.0**53, None, LOST, NONE),
    (12345678901234567.0, None, LOST, NONE),
    (1e300, None, LOST, NONE),
    (NAN, None, None, Change.NAN),
    (INF, None, "user_id is infinite", NONE),
    (-INF, None, "user_id is infinite", NONE),
    (1.5, None, "user_id is a fraction", NONE),
    (None, None, None, NONE),
]


def test_a_floating_point_id_is_its_integer_or_refused_by_name(spark, sql_mode):
    got = read(spark, "user_id", DoubleType(), [given for given, *_ in DOUBLES])
    assert got == [tuple(rest) for _, *rest in DOUBLES]
    lost = "user_id is a float of 16,777,216 or more, whose last digits are lost"
    assert read(spark, "user_id", FloatType(), [2.0**24 - 1, 2.0**24, NAN]) == [
        ("16777215", None, Change.WHOLE), (None, lost, NONE), (None, None, Change.NAN),
    ]  # fmt: skip


def test_an_id_of_any_other_type_is_its_text(spark, sql_mode):
    assert read(spark, "user_id", LongType(), [2**62 + 1, -7, None]) == [
        (str(2**62 + 1), None, NONE), ("-7", None, NONE), (None, None, NONE),
    ]  # fmt: skip
    big = Decimal("12345678901234567890123456789012345678")
    assert read(spark, "user_id", DecimalType(38, 0), [big]) == [(str(big), None, NONE)]
    assert read(spark, "user_id", DecimalType(10, 2), [Decimal("7.00"), Decimal("7.25")]) == [
        ("7", None, Change.WHOLE), (None, "user_id is a fraction", NONE),
    ]  # fmt: skip
    day = read(spark, "user_id", DateType(), [dt.date(2024, 3, 1)])
    assert day == [("2024-03-01", None, NONE)]


def test_the_case_of_an_event_type_says_nothing_that_of_an_id_does(spark):
    assert read(spark, "event_type", StringType(), [" Order Completed", "view"]) == [
        ("order completed", None, Change.TRIMMED | Change.LOWERED), ("view", None, NONE),
    ]  # fmt: skip
    assert read(spark, "user_id", StringType(), ["Ann"]) == [("Ann", None, NONE)]


def at(*parts: int) -> dt.datetime:
    return dt.datetime(*parts)  # type: ignore[arg-type]


NOT, UNIT = "is not a timestamp", "is a number without its unit"
TIMES_READ = [
    ("2024-03-01 10:00:00", at(2024, 3, 1, 10), None),
    ("2024-03-01T10:00:00Z", at(2024, 3, 1, 10), None),
    ("2024-03-01T10:00:00+01:00", at(2024, 3, 1, 9), None),
    ("2024-03-01 10:00:00+0100", at(2024, 3, 1, 9), None),
    ("2024-03-01T10:00:00 Europe/Paris", at(2024, 3, 1, 9), None),
    ("2024-03-01 10:00:00.123456789", at(2024, 3, 1, 10, 0, 0, 123456), None),
    ("\u00a02024-3-1 10:00\r", at(2024, 3, 1, 10), None),
    ("", None, None),
    (" ", None, None),
    (None, None, None),
    ("10:30", None, NOT),
    ("T10:30", None, NOT),
    ("2024", None, UNIT),
    ("2024-03", None, NOT),
    ("03/01/2024", None, NOT),
    ("1 Mar 2024", None, NOT),
    ("soon", None, NOT),
    ("now", None, NOT),
    ("NaT", None, NOT),
    ("null", None, NOT),
    ("2024-02-30", None, NOT),
    ("2024-03-01 25:00", None, NOT),
    ("+12024-03-01", None, NOT),
    ("1709287200", None, UNIT),
    ("1709287200000", None, UNIT),
    ("1.7092872e9", None, UNIT),
    ("20240301", None, UNIT),
]


@pytest.mark.parametrize("column", ["event_time", "arrived_at"])
def test_a_time_that_is_set_is_read_whole_or_refused_whichever_column_it_is(
    spark, sql_mode, column
):
    got = read(spark, column, StringType(), [given for given, _, _ in TIMES_READ])
    assert got == [(at, why and f"{column} {why}", NONE) for _, at, why in TIMES_READ]


def test_a_day_alone_is_its_first_moment_and_of_an_arrival_its_last(spark):
    first, last = at(2024, 3, 1), at(2024, 3, 1, 23, 59, 59, 999999)
    for kind, day in [(StringType(), "2024-03-01"), (DateType(), dt.date(2024, 3, 1))]:
        assert read(spark, "event_time", kind, [day]) == [(first, None, NONE)]
        assert read(spark, "arrived_at", kind, [day]) == [(last, None, Change.END_OF_DAY)]
    midnight = read(spark, "arrived_at", TimestampType(), [first])
    assert midnight == [(first, None, NONE)]


BEYOND = "value is beyond decimal(18,4)"
NUMBERS = [
    ("2.50", "2.5", None, NONE),
    (" 2.5\r", "2.5", None, NONE),
    ("-7", "-7", None, NONE),
    ("1e3", "1000", None, NONE),
    ("99999999999999.9999", "99999999999999.9999", None, NONE),
    ("0.00001", "0", None, Change.ROUNDED),
    ("1.23456", "1.2346", None, Change.ROUNDED),
    ("0.30000000000000004", "0.3", None, NONE),
    ("NaN", None, None, Change.NAN),
    ("", None, None, NONE),
    (None, None, None, NONE),
    ("100000000000000", None, BEYOND, NONE),
    ("-1e30", None, BEYOND, NONE),
    ("Infinity", None, "value is infinite", NONE),
    ("-inf", None, "value is infinite", NONE),
    ("1e400", None, "value is infinite", NONE),
    ("cheap", None, "value is not a number", NONE),
    ("1,234.50", None, "value is not a number", NONE),
    ("12 EUR", None, "value is not a number", NONE),
    ("0x10", None, "value is not a number", NONE),
]


def numbers(cases: list[tuple]) -> list[tuple]:
    return [(w and Decimal(w), why, change) for _, w, why, change in cases]


def test_a_number_is_kept_rounded_and_counted_or_refused_never_null_in_silence(spark, sql_mode):
    assert read(spark, "value", StringType(), [given for given, *_ in NUMBERS]) == numbers(NUMBERS)
    doubles = [
        (2.55, "2.55", None, NONE),
        (0.1 + 0.2, "0.3", None, NONE),
        (3.0 * 1.1, "3.3", None, NONE),
        (1999.0, "1999", None, NONE),
        (9.5e13, "95000000000000", None, NONE),
        (0.00001, "0", None, Change.ROUNDED),
        (1 / 3, "0.3333", None, Change.ROUNDED),
        (1e14, None, BEYOND, NONE),
        (-1e308, None, BEYOND, NONE),
        (INF, None, "value is infinite", NONE),
        (-INF, None, "value is infinite", NONE),
        (NAN, None, None, Change.NAN),
    ]
    assert read(spark, "value", DoubleType(), [c[0] for c in doubles]) == numbers(doubles)
    floats = [(2.55, "2.55", None, NONE), (NAN, None, None, Change.NAN)]
    assert read(spark, "value", FloatType(), [c[0] for c in floats]) == numbers(floats)
    wide = [
        (Decimal("1.23450000"), "1.2345", None, NONE),
        (Decimal("0.00001000"), "0", None, Change.ROUNDED),
        (Decimal("123456789012345678.5"), None, BEYOND, NONE),
    ]
    assert read(spark, "value", DecimalType(38, 8), [c[0] for c in wide]) == numbers(wide)
    longs = [(150_000_000, "150000000", None, NONE), (10**15, None, BEYOND, NONE)]
    assert read(spark, "value", LongType(), [c[0] for c in longs]) == numbers(longs)


def test_the_first_column_that_cannot_be_read_is_the_reason(spark):
    frame = spark.createDataFrame([("e1", "soon", "cheap")], "event_id string, event_time string, "
                                  "value string")  # fmt: skip
    row = read_rows(frame, EVENTS).select(UNREAD, "_raw_value", F.col("_raw_event_id")).first()
    assert tuple(row) == ("event_time is not a timestamp", "cheap", None)


def test_names_are_composed_beside_those_of_no_value(spark, sql_mode):
    rows = [(None, DECOMPOSED, "a\u0000b", "view"), ("e2", "u2", None, "caf\u00e9"),
            ("日本", COMPOSED, '"', DECOMPOSED.upper())]  # fmt: skip
    names = ["event_id", "user_id", "item_id", "event_type"]
    frame = spark.createDataFrame(rows, ", ".join(f"{name} string" for name in names))
    read = read_rows(frame.coalesce(1), EVENTS)
    assert list(map(tuple, read.select(names).collect())) == [
        (None, COMPOSED, "a\u0000b", "view"), ("e2", "u2", None, "caf\u00e9"),
        ("日本", COMPOSED, '"', COMPOSED.lower()),
    ]  # fmt: skip
    flags = read.select(*[F.col(CHANGED + name) for name in names]).collect()
    composed = [tuple(bool(flag & Change.COMPOSED) for flag in row) for row in flags]
    assert composed == [(False, True, False, False), (False,) * 4, (False, False, False, True)]


def test_bytes_that_are_not_utf8_are_replaced_and_counted(spark, sql_mode):
    raw = [b"J\xfcrgen", b" \xffu1", b"u\xc3\xbc", b"caf\xe9"]
    frame = spark.createDataFrame([(value,) for value in raw], "raw binary").coalesce(1)
    names = ["event_id", "user_id", "item_id", "event_type"]
    strings = frame.select(*[F.col("raw").cast("string").alias(name) for name in names])
    read = read_rows(strings, EVENTS)
    assert [tuple(row) for row in read.select(names).collect()] == [
        ("J\ufffdrgen", "J\ufffdrgen", "J\ufffdrgen", "j\ufffdrgen"),
        ("\ufffdu1", "\ufffdu1", "\ufffdu1", "\ufffdu1"),
        ("u\xfc", "u\xfc", "u\xfc", "u\xfc"),
        ("caf\ufffd", "caf\ufffd", "caf\ufffd", "caf\ufffd"),
    ]
    flags = [Change(row[0]) for row in read.select(CHANGED + "user_id").collect()]
    assert flags == [
        Change.REPAIRED, Change.REPAIRED | Change.TRIMMED, NONE, Change.REPAIRED,
    ]  # fmt: skip
