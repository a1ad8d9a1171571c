"""Read one value of a log: what it is, why it is none, and what was changed to make it one.

Every mapped column of every contract goes through one of three readings: a name (ids, event types,
kinds), a time or a number. A rule stands here and nowhere else:

- A **name** loses white space and invisible characters at its ends, and is in Unicode's composed
  form (NFC). Nothing left: no value. A whole number of floating point is its integer's digits; NaN
  is no value; a fraction, an infinity and a number whose digits floating point cannot hold are
  refused.
- A **time** has a year, a month and a day. A number is no time. A day alone is its first moment,
  of an arrival its last.
- A **number** has four decimals; more are rounded, and counted where that changes it. NaN is no
  value; an infinity and a number beyond the column's range are refused.

A reading gives columns and looks at no row; nothing in it raises in ANSI mode.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag
from functools import reduce
from typing import cast

import pandas as pd
from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import (
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    FractionalType,
    NullType,
    StringType,
    TimestampType,
)

# White space of Unicode, control characters, soft hyphen, zero-width and direction marks.
EDGE = r"[\s\p{Z}\p{Cc}\u00AD\u180E\u200B-\u200F\u202A-\u202E\u2060-\u2064\uFEFF]"
_EDGES = rf"\A{EDGE}++|(?<!{EDGE}){EDGE}++\z"
_PYTHON_EDGE = (
    r"[\s\x00-\x1f\x7f-\xa0\xad\u1680\u180E\u2000-\u200F\u2028-\u202F\u205F\u2060-\u2064\u3000"
    r"\uFEFF]"
)
_PYTHON_EDGES = re.compile(rf"\A{_PYTHON_EDGE}+|{_PYTHON_EDGE}+\Z")
# Below U+0300 every string is in composed form.
_MAY_BE_DECOMPOSED = r"[^\u0000-\u02FF]"
_DAY = r"\d{4}-\d{1,2}-\d{1,2}"
_NUMBER = r"\A[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\z"
# Whole numbers that a double and a float hold, each with no other beside it.
_EXACT: dict[type[DataType], int] = {DoubleType: 2**53, FloatType: 2**24}
_DAY_MICROS = 86_400_000_000
_NOISE = 1e-9  # relative: what floating point makes of 0.1 + 0.2 is no rounding


class Change(IntFlag):
    """What a reading did to a value."""

    TRIMMED = 1
    COMPOSED = 2
    LOWERED = 4
    WHOLE = 8
    NAN = 16
    ROUNDED = 32
    END_OF_DAY = 64
    CLAMPED = 128
    EMPTY = 256


CHANGES = {
    Change.EMPTY: "were empty or blank: no value",
    Change.TRIMMED: "had white space or invisible characters at the ends: removed",
    Change.COMPOSED: "were decomposed Unicode (NFD): composed (NFC)",
    Change.LOWERED: "were not in lower case: lowered",
    Change.WHOLE: "were whole numbers of floating point: written as integers",
    Change.NAN: "were NaN: no value",
    Change.ROUNDED: "had more decimals than are stored: rounded",
    Change.END_OF_DAY: "were a day without a time: the end of that day",
    Change.CLAMPED: "were a little before what they tell of (clock skew): set to its time",
}


@dataclass(frozen=True)
class Reading:
    """A column as read.

    Attributes:
        value: Typed; null where there is none or it is refused.
        reason: Why it is refused, to follow the column's name; null where it is not.
        changed: Sum of ``Change``; 0 where the value is as it was.
    """

    value: Column
    reason: Column
    changed: Column


def read_name(value: Column, kind: DataType, *, lower: bool = False) -> Reading:
    """An id, a type or another name as text. See ``compose`` for NFC.

    Args:
        value: The mapped column.
        kind: Its type: string, number, date or timestamp.
        lower: Whether its case says nothing.
    """
    if isinstance(kind, FractionalType):
        return _whole_number(value, kind)
    if not isinstance(kind, StringType):
        return Reading(value.cast("string"), _no_reason(), F.lit(0))
    trimmed = _trim(value)
    name = F.lower(trimmed) if lower else trimmed
    empty = trimmed == ""
    changed = _flags(
        (Change.EMPTY, empty),
        (Change.TRIMMED, (trimmed != value) & ~empty),
        (Change.LOWERED, name != trimmed),
    )
    return Reading(F.nullif(name, F.lit("")), _no_reason(), changed)


def _whole_number(value: Column, kind: DataType) -> Reading:
    """A name that its table holds as a floating-point number or a decimal."""
    if isinstance(kind, DecimalType):
        whole = F.floor(value)
        fraction = value != whole
        changed = _flags((Change.WHOLE, F.lit(kind.scale > 0) & ~fraction))
        reason = F.when(fraction, F.lit("is a fraction"))
        return Reading(F.when(~fraction, whole.cast("string")), reason, changed)
    most = _EXACT[type(kind)]
    number = value.cast("double")
    nan = F.isnan(number)
    infinite = F.abs(number) == float("inf")
    reason = (
        F.when(number.isNull() | nan, None)
        .when(infinite, F.lit("is infinite"))
        .when(F.abs(number) >= most, F.lit(f"is a {kind.simpleString()} of {most:,} or more, "
                                           "whose last digits are lost"))
        .when(number != F.floor(number), F.lit("is a fraction"))
    )  # fmt: skip
    fits = ~nan & (F.abs(number) < most) & (number == F.floor(number))
    name = F.when(fits, number.try_cast("bigint").cast("string"))
    return Reading(name, reason, _flags((Change.NAN, nan), (Change.WHOLE, fits)))


def read_time(value: Column, kind: DataType, *, end_of_day: bool = False) -> Reading:
    """A moment, UTC where the value names no zone.

    Args:
        value: The mapped column.
        kind: Its type: string, date or timestamp.
        end_of_day: What a day without a time means: its last moment, not its first.
    """
    if isinstance(kind, StringType):
        text = F.nullif(_trim(value), F.lit(""))
        moment = F.when(text.rlike(rf"\A{_DAY}([T ].*)?\z"), text.try_cast("timestamp"))
        day_alone = text.rlike(rf"\A{_DAY}\z")
        reason = (
            F.when(text.isNull() | moment.isNotNull(), None)
            .when(text.rlike(_NUMBER), F.lit("is a number without its unit"))
            .otherwise(F.lit("is not a timestamp"))
        )
    else:
        moment, reason = value.cast("timestamp"), _no_reason()
        day_alone = F.lit(isinstance(kind, DateType))
    if not end_of_day:
        return Reading(moment, reason, F.lit(0))
    day_alone = day_alone & moment.isNotNull()
    late = F.when(day_alone, last_moment(moment)).otherwise(moment)
    return Reading(late, reason, _flags((Change.END_OF_DAY, day_alone)))


def last_moment(moment: Column) -> Column:
    """The last microsecond of a moment's day."""
    return F.timestamp_micros(F.unix_micros(F.date_trunc("day", moment)) + F.lit(_DAY_MICROS - 1))


def read_number(value: Column, kind: DataType, target: DecimalType) -> Reading:
    """A decimal of the target's range and scale."""
    text = isinstance(kind, StringType)
    # The digits of a float as they are written: as a double 2.55 has more of them.
    given = value.cast("string") if isinstance(kind, FloatType) else value
    given = F.nullif(_trim(given), F.lit("")) if text else given
    number = given.try_cast("double")
    nan = F.coalesce(F.isnan(number), F.lit(False))
    decimal = given.try_cast(target)
    reason = (
        F.when(given.isNull() | nan, None)
        .when(number.isNull(), F.lit("is not a number"))
        .when(F.abs(number) == float("inf"), F.lit("is infinite"))
        .when(decimal.isNull(), F.lit(f"is beyond {target.simpleString()}"))
    )
    lost = F.abs(decimal.cast("double") - number) > F.abs(number) * _NOISE
    changed = _flags((Change.NAN, nan), (Change.ROUNDED, lost & ~nan))
    return Reading(F.when(~nan, decimal), reason, changed)


def read_text(value: Column) -> Reading:
    """What a person wrote: cleaned later, by its own rules."""
    return Reading(value.cast("string"), _no_reason(), F.lit(0))


def read_value(value: Column, kind: DataType, target: DataType, *, name: str) -> Reading:
    """A mapped column as its contract wants it.

    Args:
        value: The column.
        kind: Its type in the source.
        target: Its type in the contract.
        name: Its name in the contract: an arrival, an event's type and a text have rules of
            their own.
    """
    if isinstance(kind, NullType):
        return Reading(value.cast(target), _no_reason(), F.lit(0))
    if isinstance(target, TimestampType):
        return read_time(value, kind, end_of_day=name == "arrived_at")
    if isinstance(target, DecimalType):
        return read_number(value, kind, target)
    if name in ("text", "title"):
        return read_text(value)
    return read_name(value, kind, lower=name == "event_type")


def possible_changes(target: DataType, *, name: str) -> list[Change]:
    """What ``read_value`` can do to a column."""
    if isinstance(target, TimestampType):
        return [Change.END_OF_DAY, Change.CLAMPED] if name == "arrived_at" else []
    if isinstance(target, DecimalType):
        return [Change.NAN, Change.ROUNDED]
    if name in ("text", "title"):
        return []
    lowered = [Change.LOWERED] if name == "event_type" else []
    return [Change.EMPTY, Change.TRIMMED, Change.COMPOSED, Change.WHOLE, Change.NAN, *lowered]


def compose(*names: Column) -> Column:
    """A struct ``c0, c1, ...`` of the names in NFC; null where a name is composed already.

    Only names with a character that may be part of a decomposed one travel to Python.
    """
    doubtful = [F.when(name.rlike(_MAY_BE_DECOMPOSED), name) for name in names]
    fields = ", ".join(f"c{index} string" for index in range(len(names)))

    def normalise(table: pd.DataFrame) -> pd.DataFrame:
        return table.apply(_composed_alone)

    struct = F.struct(*[name.alias(f"c{index}") for index, name in enumerate(doubtful)])
    run = cast(Callable[[Column], Column], pandas_udf(normalise, fields))  # type: ignore[call-overload]
    return run(struct)


def _composed_alone(values: pd.Series) -> pd.Series:
    """Composed forms of the strings that are not in it; None for all others."""
    forms = [
        None
        if not isinstance(value, str) or unicodedata.is_normalized("NFC", value)
        else unicodedata.normalize("NFC", value)
        for value in values
    ]
    return pd.Series(forms, index=values.index, dtype=object)


def is_changed(flags: Column, change: Change) -> Column:
    """Whether a reading did this to a value."""
    return flags.bitwiseAND(F.lit(int(change))) != 0


def normal_name(text: str, *, lower: bool = False) -> str:
    """What ``read_name`` and ``compose`` make of a string, for words of a config.

    >>> normal_name(" Order Completed\u00a0", lower=True)
    'order completed'
    """
    composed = unicodedata.normalize("NFC", _PYTHON_EDGES.sub("", text))
    return composed.lower() if lower else composed


def _trim(value: Column) -> Column:
    return F.regexp_replace(value, _EDGES, "")


def _flags(*changes: tuple[Change, Column]) -> Column:
    parts = [F.when(condition, F.lit(int(change))).otherwise(0) for change, condition in changes]
    return reduce(lambda a, b: a + b, parts)


def _no_reason() -> Column:
    return F.lit(None).cast("string")
