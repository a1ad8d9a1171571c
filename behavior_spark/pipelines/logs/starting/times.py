"""How a column holds its times: timestamps, numbers since 1970, or text in one of many forms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql.types import DateType, NumericType, StringType, TimestampNTZType, TimestampType

from behavior_spark.names import sql_text
from behavior_spark.pipelines.logs.starting.leaves import Leaf

# Seconds since 1970 from 1990 to 2100. A number is of the unit in which it lies in these years.
_FIRST, _LAST = 631_152_000, 4_102_444_800
_UNITS = {
    "seconds": (1, "timestamp_seconds({})"),
    "milliseconds": (10**3, "timestamp_millis({})"),
    "microseconds": (10**6, "timestamp_micros({})"),
    "nanoseconds": (10**9, "timestamp_micros({} div 1000)"),
}
_MOSTLY = 0.95
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
_ISO = re.compile(r"\d{4}-\d{1,2}-\d{1,2}([T ]\d{1,2}:\d{2}.*)?")
# Other forms, with the pattern that Spark reads them by; a time may follow the day.
_DAYS = (
    (re.compile(r"\d{4}/\d{1,2}/\d{1,2}"), "y/M/d"),
    (re.compile(r"\d{4}\.\d{1,2}\.\d{1,2}\.?"), "y.M.d"),
    (re.compile(r"\d{4}年\d{1,2}月\d{1,2}日"), "y年M月d日"),
    (re.compile(r"\d{1,2}\.\d{1,2}\.\d{4}"), "d.M.y"),
    (re.compile(r"\d{1,2}-\d{1,2}-\d{4}"), "d-M-y"),
    (re.compile(r"\d{1,2}/\d{1,2}/\d{4}"), "d/M/y"),
    (re.compile(r"\d{8}"), "yyyyMMdd"),
)
_CLOCKS = (
    ("", ""),
    (r"[ T]\d{1,2}:\d{2}", " H:mm"),
    (r"[ T]\d{1,2}:\d{2}:\d{2}", " H:mm:ss"),
    (r"[ T]\d{1,2}:\d{2}:\d{2}\.\d{3}", " H:mm:ss.SSS"),
    (r"[ T]\d{1,2}:\d{2}:\d{2}\.\d{6}", " H:mm:ss.SSSSSS"),
)


@dataclass(frozen=True)
class TimeReading:
    """How a leaf is read as a time.

    Attributes:
        expression: SQL expression of a timestamp, or of a text that Spark reads as one.
        form: In words, for a comment; empty where it is plain.
    """

    expression: str
    form: str = ""


def read_as_time(leaf: Leaf) -> TimeReading | None:
    """How the leaf is a time; None if it is none.

    A column of text or numbers is judged by its sample; without one, text is taken as it is.
    """
    if isinstance(leaf.kind, TimestampType | TimestampNTZType | DateType):
        return TimeReading(leaf.expression)
    if isinstance(leaf.kind, NumericType):
        return _epoch(leaf, leaf.values, text=False) or _compact_day(leaf)
    if not isinstance(leaf.kind, StringType):
        return None
    texts = [value.strip() for value in leaf.values if value.strip()]
    if not texts:
        return TimeReading(leaf.expression)
    if _mostly(_ISO.fullmatch(text) for text in texts):
        return TimeReading(leaf.expression)
    numbers = [float(text) for text in texts if _NUMBER.fullmatch(text)]
    if len(numbers) >= _MOSTLY * len(texts) and (epoch := _epoch(leaf, numbers, text=True)):
        return epoch
    return _written(leaf, texts)


def holds_moments(leaf: Leaf) -> bool:
    """Whether the values can be nothing else than times: since 1970, or as ISO writes them."""
    if isinstance(leaf.kind, StringType):
        texts = [value.strip() for value in leaf.values]
        if _mostly(_ISO.fullmatch(text) for text in texts):
            return True
    reading = read_as_time(leaf)
    return reading is not None and "since 1970" in reading.form


def _mostly(answers: Iterable[object]) -> bool:
    """Whether nearly all are true; a log may have some times that are none."""
    given = [bool(answer) for answer in answers]
    return bool(given) and sum(given) >= _MOSTLY * len(given)


def _epoch(leaf: Leaf, values: Sequence[Any], *, text: bool) -> TimeReading | None:
    for unit, (in_a_second, function) in _UNITS.items():
        low, high = _FIRST * in_a_second, _LAST * in_a_second
        if _mostly(low <= float(value) < high for value in values):
            fractions = unit == "seconds" and any(float(v) != int(float(v)) for v in values)
            number = leaf.expression
            if text or leaf.kind.typeName() not in ("long", "integer"):
                kind = "decimal(20,6)" if fractions else "bigint"
                # By way of a decimal, for text such as 1.7E12.
                inner = number if kind != "bigint" else f"try_cast({number} AS decimal(38,0))"
                number = f"try_cast({inner} AS {kind})"
            form = f"{unit} since 1970" + (", as text" if text else "")
            return TimeReading(function.format(number), form)
    return None


def _compact_day(leaf: Leaf) -> TimeReading | None:
    texts = [str(value) for value in leaf.values]
    return _written(leaf, texts, expression=f"cast({leaf.expression} AS string)")


def _written(leaf: Leaf, texts: list[str], *, expression: str = "") -> TimeReading | None:
    """A day in another order than ISO's, alone or with a time of day."""
    for day, pattern in _DAYS:
        for clock, clock_pattern in _CLOCKS:
            shaped = [text for text in texts if re.fullmatch(day.pattern + clock, text)]
            if not shaped or len(shaped) < _MOSTLY * len(texts):
                continue
            form = ""
            if pattern == "d/M/y":
                parts = [[int(part) for part in text.split("/")[:2]] for text in shaped]
                if any(second > 12 for _, second in parts):
                    pattern = "M/d/y"
                elif all(first <= 12 for first, _ in parts):
                    form = "; if the month comes first, write M/d/y"
            form = f"days written {pattern}{form}"
            full = pattern + (clock_pattern.replace(" ", "'T'") if "T" in shaped[0] else
                              clock_pattern)  # fmt: skip
            trimmed = f"trim({expression or leaf.expression})"
            return TimeReading(f"try_to_timestamp({trimmed}, {sql_text(full)})", form)
    return None
