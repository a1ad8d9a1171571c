"""Turn mapped rows into clean ones: functions from DataFrame to DataFrame, without an action.

``_reason`` is the reason why a row is refused, else null. The caller counts and stores refused
rows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.cleaning.readings import CHANGED, MISSING, RAW, UNREAD
from behavior_spark.cleaning.values import Change, last_moment
from behavior_spark.schemas import EVENTS, IDENTITIES, ITEMS, TEXTS, Contract

REASON, COPY, SOURCE, CONFLICT = "_reason", "_copy", "_source", "_conflict"
_ROW = "_row"
TIME = {EVENTS.name: "event_time", TEXTS.name: "text_time", IDENTITIES.name: "linked_at"}
TEXT = {TEXTS.name: ("text", "text_hash"), ITEMS.name: ("title", "title_hash")}
EARLIEST, LATEST = "1990-01-01", "2200-01-01"
ALWAYS = "1970-01-01 00:00:00"
BAD_TIMES, EARLIEST_BAD, LATEST_BAD = "bad_times", "earliest_bad", "latest_bad"
_YEAR_MICROS = 31_556_952 * 10**6


def prepare(frame: DataFrame, contract: Contract, *, skew_seconds: int = 0) -> DataFrame:
    """Fill in the arrival time of every row; an item without a date is always valid.

    An arrival up to ``skew_seconds`` before its event is set to the event's time. An earlier
    arrival at 00:00 of the event's day is taken as a day without a time, and set to the end of
    the day. ``arrived_day`` is null if the arrival is not a plausible time, so that the row is
    refused tonight and not left for a later night.

    Args:
        frame: Rows from ``readings.read_rows``.
        contract: Contract of the rows.
        skew_seconds: Maximum difference of the log's clocks.
    """
    if contract.name == ITEMS.name:
        always = F.lit(ALWAYS).cast("timestamp")
        return frame.withColumn("valid_from", F.coalesce("valid_from", always))
    time, arrived = F.col(TIME[contract.name]), F.col("arrived_at")
    early = arrived < time
    midnight = early & (arrived == F.date_trunc("day", time))
    near = early & ~midnight & (F.unix_micros(time) - F.unix_micros(arrived)
                                <= F.lit(skew_seconds * 1_000_000))  # fmt: skip
    adjusted = F.when(midnight, last_moment(arrived)).when(near, time).otherwise(arrived)
    arrival = F.coalesce(adjusted, time)
    flags = F.col(CHANGED + "arrived_at")
    return frame.withColumns(
        {
            "arrived_at": arrival,
            "arrived_day": F.when(~_outside(arrival), F.to_date(arrival)),
            CHANGED + "arrived_at": F.when(midnight, flags + int(Change.END_OF_DAY))
            .when(near, flags + int(Change.CLAMPED))
            .otherwise(flags),
        }
    )


def with_reason(frame: DataFrame, contract: Contract) -> DataFrame:
    """Add ``_reason``: a value that could not be read, else the first broken rule, else null."""
    checks: list[Column] = [F.col(UNREAD), F.col(MISSING)]
    time = TIME.get(contract.name)
    years = f"is outside {EARLIEST[:4]} to {LATEST[:4]}"
    if time:
        checks.append(F.when(_outside(F.col(time)), F.lit(f"{time} {years}")))
        checks.append(F.when(_outside(F.col("arrived_at")), F.lit(f"arrived_at {years}")))
        early = F.col("arrived_at") < F.col(time)
        checks.append(F.when(early, F.lit(f"arrived_at is before {time}")))
    elif contract.name == ITEMS.name:
        wrong = _outside(F.col("valid_from")) & (
            F.col("valid_from") != F.lit(ALWAYS).cast("timestamp")
        )
        checks.append(F.when(wrong, F.lit(f"valid_from {years}")))
    return frame.withColumn(REASON, F.coalesce(*checks, F.lit(None).cast("string")))


def time_counts(contract: Contract, *, among: Column) -> dict[str, Column]:
    """Aggregates: number of rows without a plausible time, and their earliest and latest time.

    Args:
        contract: Contract of the rows.
        among: Boolean column: rows to count.

    Returns:
        Aggregates by name; empty for a contract without a time.
    """
    name = TIME.get(contract.name)
    if name is None:
        return {}
    time = F.col(name)
    usable = F.coalesce(~_outside(time), F.lit(False))
    micros = F.when(among & ~usable, F.unix_micros(time))
    return {
        BAD_TIMES: F.count_if(among & ~usable),
        EARLIEST_BAD: F.min(micros),
        LATEST_BAD: F.max(micros),
    }


def describe_bad_times(counts: Mapping[str, int | None]) -> str:
    """The years of implausible times in words, with a guess at the cause.

    >>> describe_bad_times({BAD_TIMES: 3})
    '3 without a usable time'
    >>> years = [1709287200000 * 10**6, 1709287300000 * 10**6]
    >>> describe_bad_times({BAD_TIMES: 3, EARLIEST_BAD: years[0], LATEST_BAD: years[1]})
    '3 without a usable time; they lie in the years 56135 to 56135: milliseconds read as seconds?'
    """
    text = f"{counts[BAD_TIMES] or 0:,} without a usable time"
    first, last = counts.get(EARLIEST_BAD), counts.get(LATEST_BAD)
    if not first or not last:
        return text
    years = [1970 + int(micros / _YEAR_MICROS) for micros in (first, last)]
    guess = ""
    if years[0] >= int(LATEST[:4]):
        guess = ": milliseconds read as seconds?"
    elif years[0] == years[1] == 1970:
        guess = ": seconds read as milliseconds?"
    return f"{text}; they lie in the years {years[0]} to {years[1]}{guess}"


def _outside(time: Column) -> Column:
    return (time < F.lit(EARLIEST).cast("timestamp")) | (time >= F.lit(LATEST).cast("timestamp"))


def with_own_ids(frame: DataFrame, prefixes: Mapping[str, str]) -> DataFrame:
    """Add a prefix to ids, by column, so that ids of different sources cannot be equal."""
    if not prefixes:
        return frame
    return frame.withColumns(
        {name: F.concat(F.lit(prefix), F.col(name)) for name, prefix in prefixes.items()}
    )


def within_night(start: dt.date | None, as_of: dt.date) -> Column:
    """Condition on rows of a night: arrived in [start, as_of), or without a plausible time."""
    day = F.col("arrived_day")
    inside = day < F.lit(as_of)
    if start is not None:
        inside = inside & (day >= F.lit(start))
    return inside | day.isNull()


def not_before(frame: DataFrame, start: dt.date | None) -> DataFrame:
    """Leave out rows that arrived before ``start``; Spark can do so before it reads ids."""
    if start is None:
        return frame
    day = F.col("arrived_day")
    return frame.where(day.isNull() | (day >= F.lit(start)))


def numbered(frame: DataFrame, contract: Contract) -> DataFrame:
    """Add ``_copy`` and ``_conflict`` to the rows of a contract; see ``number_copies``."""
    if contract.name == ITEMS.name:
        return number_item_copies(frame).withColumn(CONFLICT, F.lit(False))
    return number_copies(frame, contract.key)


def number_copies(frame: DataFrame, key: tuple[str, ...]) -> DataFrame:
    """Add ``_copy``: 1 for the row to keep of each key, 2 and more for its duplicates.

    Which row is kept depends on the rows' content, not on their order. ``_conflict`` is true if
    a row has the id of another row but another user or type. It is false if the user was null
    before, and for visitors with two users.

    Args:
        frame: Clean rows.
        key: The id column, and the columns (arrival) that make a version of an id.
    """
    id_column, *version_columns = key
    content = [F.col(name) for name in sorted(frame.columns) if not name.startswith("_")]
    content = [F.xxhash64(*content), *[c.asc_nulls_first() for c in content]]
    # One sort order for versions of an id and for copies of a version.
    rows = Window.partitionBy(id_column).orderBy(*version_columns, *content)
    versions = Window.partitionBy(id_column).orderBy(*version_columns)
    identifying = [name for name in ("user_id", "event_type", "kind") if name in frame.columns]
    differences = [
        F.lag(n).over(rows) != F.col(n) for n in identifying if id_column != "anonymous_id"
    ]
    conflict = reduce(lambda a, b: a | b, differences, F.lit(False))
    return (
        frame.withColumns(
            {_ROW: F.row_number().over(rows), CONFLICT: F.coalesce(conflict, F.lit(False))}
        )
        .withColumn(COPY, F.col(_ROW) - F.rank().over(versions) + 1)
        .drop(_ROW)
    )


def number_item_copies(frame: DataFrame) -> DataFrame:
    """Add ``_copy`` to item versions: 2 if equal to the previous version of the item, else 1.

    Of different versions with the same moment one is kept, chosen by its content.
    """
    content = F.xxhash64("title", "category", "price")
    window = Window.partitionBy("item_id").orderBy("valid_from", content)
    earlier_rows = window.rowsBetween(Window.unboundedPreceding, -1)
    new_moment = ~F.col("valid_from").eqNullSafe(F.lag("valid_from").over(window))
    frame = frame.withColumn("_version", F.when(new_moment, content))
    equal_to_previous = F.col("_version") == F.last("_version", ignorenulls=True).over(earlier_rows)
    repeated = F.col("_version").isNull() | F.coalesce(equal_to_previous, F.lit(False))
    return frame.withColumn(COPY, F.when(repeated, F.lit(2)).otherwise(F.lit(1))).drop("_version")


def clean_texts(
    frame: DataFrame, contract: Contract, *, clean: Callable[[Column], Column]
) -> DataFrame:
    """Normalise, mask and hash the text column of a contract.

    Adds ``_masked`` (number of masked spans) and ``_cut`` (boolean: text was too long). If
    nothing is left, a text is refused and an item's title is null.

    Args:
        frame: Rows with ``_reason``.
        contract: Contract of the rows.
        clean: Column function from ``columns.clean_text_column``.
    """
    if contract.name not in TEXT:
        return frame.withColumns({"_masked": F.lit(0), "_cut": F.lit(False)})
    text, digest = TEXT[contract.name]
    frame = frame.withColumn("_clean", clean(F.col(text))).withColumns(
        {
            text: F.nullif(F.col("_clean.text"), F.lit("")),
            digest: F.col("_clean.text_hash"),
            "_masked": F.coalesce(F.col("_clean.masked"), F.lit(0)),
            "_cut": F.coalesce(F.col("_clean.cut"), F.lit(False)),
        }
    )
    if contract.name == TEXTS.name:
        empty = F.when(F.col(text).isNull(), F.lit("text is empty after cleaning"))
        frame = frame.withColumn(REASON, F.coalesce(REASON, empty))
    return frame.drop("_clean")


def may_become_empty(text: Column) -> Column:
    """Whether cleaning may leave nothing of a text: one visible ASCII character always stays."""
    return ~text.rlike("[!-~]")


def quarantine_rows(
    frame: DataFrame,
    contract: Contract,
    *,
    run_id: str,
    as_of: dt.date,
    clean: Callable[[Column], Column],
) -> DataFrame:
    """Refused rows as rows of the quarantine: mapped columns as masked JSON.

    Values are cut to 2,000 characters; equal rows become one row with their count.
    """
    shown = [n for n in contract.names if n in frame.columns]
    raw = {name: [RAW + name] if RAW + name in frame.columns else [] for name in shown}
    values = [
        F.substring(F.coalesce(*raw[n], F.col(n).cast("string")), 1, 2000).alias(n) for n in shown
    ]
    row = clean(F.to_json(F.struct(*values)))
    return (
        frame.select(SOURCE, REASON, row.alias("_row"))
        .select(
            F.lit(run_id).alias("run_id"),
            F.lit(as_of).alias("as_of"),
            F.lit(contract.name).alias("table_name"),
            F.col(SOURCE).alias("source"),
            F.col(REASON).alias("reason"),
            F.col("_row.text").alias("row"),
            F.col("_row.text_hash").alias("row_hash"),
        )
        .groupBy("run_id", "as_of", "table_name", "source", "reason", "row", "row_hash")
        .agg(F.count(F.lit(1)).alias("refused_rows"))
    )
