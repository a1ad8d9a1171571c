"""Convert values of a log to names, times and numbers, with the reason of refusal and the changes.

Every mapped column of every contract is read as a name (ids, event types, kinds), a time or a
number, by these rules:

- Bytes of a **string** that are not UTF-8 are replaced by U+FFFD (``readings``): Spark keeps them,
  Python refuses them.
- A **name**: white space and invisible characters at the ends are removed, and it gets Unicode's
  composed form (NFC). An empty name is null. A whole number stored as floating point becomes the
  digits of the integer; NaN becomes null; a fraction, an infinity, and a number with more digits
  than floating point can represent are refused.
- A **time** has a year, a month and a day. A number is refused. A day without a time is its first
  moment; for an arrival its last moment.
- A **number** has four decimals; more are rounded, and counted if that changes the value. NaN
  becomes null; an infinity and a number beyond the column's range are refused.

The functions only build column expressions; none of these raises in ANSI mode.
"""

from __future__ import annotations

import json
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
    ArrayType,
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

# White space of Unicode, control characters, soft hyphen, zero-width and direction marks: the
# rule of ``names.normal_name``.
EDGE = r"[\s\p{Z}\p{Cc}\u00AD\u180E\u200B-\u200F\u202A-\u202E\u2060-\u2064\uFEFF]"
_BEGINNING = rf"\A{EDGE}++"
# Below U+0300 every string is in composed form.
_MAY_BE_DECOMPOSED = r"[^\u0000-\u02FF]"
_DAY = r"\d{4}-\d{1,2}-\d{1,2}"
_NUMBER = r"\A[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\z"
# Below these numbers a double and a float represent every whole number exactly.
_EXACT: dict[type[DataType], int] = {DoubleType: 2**53, FloatType: 2**24}
WRITTEN = ("text", "title")  # written by people; cleaned by the rules of ``text``
_DAY_MICROS = 86_400_000_000
_NOISE = 1e-9  # relative error of floating point (0.1 + 0.2), which does not count as rounding


class Change(IntFlag):
    """Changes of a value; a column of changes is their sum."""

    TRIMMED = 1
    COMPOSED = 2
    LOWERED = 4
    WHOLE = 8
    NAN = 16
    ROUNDED = 32
    END_OF_DAY = 64
    CLAMPED = 128
    EMPTY = 256
    REPAIRED = 512


CHANGES = {
    Change.EMPTY: "were empty or blank: no value",
    Change.TRIMMED: "had white space or invisible characters at the ends: removed",
    Change.COMPOSED: "were decomposed Unicode (NFD): composed (NFC)",
    Change.LOWERED: "were not in lower case: lowered",
    Change.WHOLE: "were whole numbers of floating point: written as integers",
    Change.NAN: "were NaN: no value",
    Change.ROUNDED: "had more decimals than are stored: rounded",
    Change.END_OF_DAY: "were a day without a time: the end of that day",
    Change.REPAIRED: "held bytes that are not UTF-8: replaced by U+FFFD",
    Change.CLAMPED: "were a little before what they tell of (clock skew): set to its time",
}


@dataclass(frozen=True)
class Reading:
    """A converted column.

    Attributes:
        value: The typed value; null if there is none or it is refused.
        reason: Reason of refusal, to be put after the column's name; null if it is not refused.
        changed: Sum of ``Change``; 0 if the value is unchanged.
    """

    value: Column
    reason: Column
    changed: Column


def read_name(
    value: Column, kind: DataType, *, trimmed: Column | None = None, lower: bool = False
) -> Reading:
    """Convert a column to names. NFC is done by ``compose``.

    Args:
        value: The mapped column.
        kind: Its type: string, number, date or timestamp.
        trimmed: ``trim(value)``, if it is a column already.
        lower: Whether to lowercase it.
    """
    if isinstance(kind, FractionalType):
        return _whole_number(value, kind)
    if not isinstance(kind, StringType):
        return Reading(value.cast("string"), _no_reason(), F.lit(0))
    trimmed = trim(value) if trimmed is None else trimmed
    name = F.lower(trimmed) if lower else trimmed
    empty = trimmed == ""
    changed = _flags(
        (Change.EMPTY, empty),
        (Change.TRIMMED, (trimmed != value) & ~empty),
        (Change.LOWERED, name != trimmed),
    )
    return Reading(F.nullif(name, F.lit("")), _no_reason(), changed)


def _whole_number(value: Column, kind: DataType) -> Reading:
    """Convert a column of floating-point numbers or decimals to names."""
    if isinstance(kind, DecimalType):
        floor = F.floor(value)
        fraction = value != floor
        changed = _flags((Change.WHOLE, F.lit(kind.scale > 0) & ~fraction))
        reason = F.when(fraction, F.lit("is a fraction"))
        return Reading(F.when(~fraction, floor.cast("string")), reason, changed)
    limit = _EXACT[type(kind)]
    number = value.cast("double")
    nan = F.isnan(number)
    infinite = F.abs(number) == float("inf")
    reason = (
        F.when(number.isNull() | nan, None)
        .when(infinite, F.lit("is infinite"))
        .when(F.abs(number) >= limit, F.lit(f"is a {kind.simpleString()} of {limit:,} or more, "
                                           "whose last digits are lost"))
        .when(number != F.floor(number), F.lit("is a fraction"))
    )  # fmt: skip
    fits = ~nan & (F.abs(number) < limit) & (number == F.floor(number))
    name = F.when(fits, number.try_cast("bigint").cast("string"))
    return Reading(name, reason, _flags((Change.NAN, nan), (Change.WHOLE, fits)))


def read_time(
    value: Column, kind: DataType, *, trimmed: Column | None = None, end_of_day: bool = False
) -> Reading:
    """Convert a column to timestamps; UTC if the value has no time zone.

    Args:
        value: The mapped column.
        kind: Its type: string, date or timestamp.
        trimmed: ``trim(value)``, if it is a column already.
        end_of_day: Whether a day without a time is its last moment; else it is its first.
    """
    if isinstance(kind, StringType):
        text = F.nullif(trim(value) if trimmed is None else trimmed, F.lit(""))
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


def read_number(
    value: Column, kind: DataType, target: DecimalType, *, trimmed: Column | None = None
) -> Reading:
    """Convert a column to decimals of the target's precision and scale.

    Args:
        value: The mapped column.
        kind: Its type.
        target: The decimal type of the result.
        trimmed: ``trim(value)``, if it is a column already.
    """
    # A float is read as text: converted to a double, 2.55 would have more digits.
    source = value.cast("string") if isinstance(kind, FloatType) else value
    if isinstance(kind, StringType):
        source = F.nullif(trim(value) if trimmed is None else trimmed, F.lit(""))
    number = source.try_cast("double")
    nan = F.coalesce(F.isnan(number), F.lit(False))
    decimal = source.try_cast(target)
    reason = (
        F.when(source.isNull() | nan, None)
        .when(number.isNull(), F.lit("is not a number"))
        .when(F.abs(number) == float("inf"), F.lit("is infinite"))
        .when(decimal.isNull(), F.lit(f"is beyond {target.simpleString()}"))
    )
    rounded = F.abs(decimal.cast("double") - number) > F.abs(number) * _NOISE
    changed = _flags((Change.NAN, nan), (Change.ROUNDED, rounded & ~nan))
    return Reading(F.when(~nan, decimal), reason, changed)


def read_text(value: Column) -> Reading:
    """A text as it is; texts are cleaned later, by ``rows.clean_texts``."""
    return Reading(value.cast("string"), _no_reason(), F.lit(0))


def read_value(
    value: Column, kind: DataType, target: DataType, *, name: str, trimmed: Column | None = None
) -> Reading:
    """Convert a mapped column to its type in the contract.

    Args:
        value: The column.
        kind: Its type in the source.
        target: Its type in the contract.
        name: Its name in the contract; there are special rules for ``arrived_at``,
            ``event_type`` and texts.
        trimmed: ``trim(value)``, if it is a column already.
    """
    if isinstance(kind, NullType):
        return Reading(value.cast(target), _no_reason(), F.lit(0))
    if isinstance(target, TimestampType):
        return read_time(value, kind, trimmed=trimmed, end_of_day=name == "arrived_at")
    if isinstance(target, DecimalType):
        return read_number(value, kind, target, trimmed=trimmed)
    if name in WRITTEN:
        return read_text(value)
    return read_name(value, kind, trimmed=trimmed, lower=name == "event_type")


def possible_changes(target: DataType, *, name: str) -> list[Change]:
    """The changes that ``readings`` and ``rows.prepare`` can make to a column."""
    if isinstance(target, TimestampType):
        return [Change.END_OF_DAY, Change.CLAMPED] if name == "arrived_at" else []
    if isinstance(target, DecimalType):
        return [Change.NAN, Change.ROUNDED]
    if name in WRITTEN:
        return [Change.REPAIRED]
    lowered = [Change.LOWERED] if name == "event_type" else []
    return [Change.REPAIRED, Change.EMPTY, Change.TRIMMED, Change.COMPOSED, Change.WHOLE,
            Change.NAN, *lowered]  # fmt: skip


def compose(*names: Column) -> Column:
    """An array of the names in NFC; null if all are in NFC already, as in nearly every row.

    Only rows with a character that may be decomposed are sent to Python, as one JSON string,
    which for rows of nulls is several times as fast as an array.
    """
    may_differ = [
        # ASCII text has as many bytes as characters.
        (F.octet_length(name) != F.char_length(name)) & name.rlike(_MAY_BE_DECOMPOSED)
        for name in names
    ]
    any_may_differ = reduce(
        lambda a, b: a | b, [F.coalesce(flag, F.lit(False)) for flag in may_differ]
    )
    compose_udf = cast(Callable[[Column], Column], pandas_udf(_composed, "string"))  # type: ignore[call-overload]
    payload = F.when(any_may_differ, F.to_json(F.array(*names), {"ignoreNullFields": "false"}))
    return F.from_json(compose_udf(payload), ArrayType(StringType()))


def _composed(rows: pd.Series) -> pd.Series:
    """JSON arrays of names in NFC; None for a null and for names that are in NFC already."""
    forms: list[str | None] = [None] * len(rows)
    for row, text in enumerate(rows):
        if text is None:
            continue
        names = json.loads(text)
        composed = [name and unicodedata.normalize("NFC", name) for name in names]
        if composed != names:
            forms[row] = json.dumps(composed)
    return pd.Series(forms, dtype=object)


def not_utf8(value: Column) -> Column:
    """``Change.REPAIRED`` where a string holds bytes that are not UTF-8, else 0."""
    return _flags((Change.REPAIRED, ~F.is_valid_utf8(value)))


def is_changed(flags: Column, change: Change) -> Column:
    """Whether a sum of changes includes a change."""
    return flags.bitwiseAND(F.lit(int(change))) != 0


def trim(value: Column) -> Column:
    """Remove white space and invisible characters at the ends.

    Nearly every id begins and ends with a visible ASCII character. Such ids are not matched
    against the regular expression, which takes ten times as long as the rest of a conversion.
    """
    ends = [F.substring(value, position, 1).between("!", "~") for position in (1, -1)]
    left_trimmed = F.regexp_replace(value, _BEGINNING, "")
    trimmed = F.reverse(F.regexp_replace(F.reverse(left_trimmed), _BEGINNING, ""))
    return F.when(ends[0] & ends[1], value).otherwise(trimmed)


def _flags(*changes: tuple[Change, Column]) -> Column:
    parts = [F.when(condition, F.lit(int(change))).otherwise(0) for change, condition in changes]
    return reduce(lambda a, b: a + b, parts)


def _no_reason() -> Column:
    return F.lit(None).cast("string")
