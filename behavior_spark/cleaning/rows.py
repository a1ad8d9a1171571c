"""Verbs that turn mapped rows into clean ones: ``DataFrame -> DataFrame``, no action.

A refused row carries its reason in ``_reason``; the caller counts and stores it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from behavior_spark.schemas import EVENTS, IDENTITIES, ITEMS, TEXTS, Contract

REASON, COPY, SOURCE = "_reason", "_copy", "_source"
TIME = {EVENTS.name: "event_time", TEXTS.name: "text_time", IDENTITIES.name: "linked_at"}
TEXT = {TEXTS.name: ("text", "text_hash"), ITEMS.name: ("title", "title_hash")}
EARLIEST, LATEST = "1990-01-01", "2200-01-01"
ALWAYS = "1970-01-01 00:00:00"


def prepare(frame: DataFrame, contract: Contract) -> DataFrame:
    """Trim names, give every row its arrival; items without a date are valid always."""
    names = [
        f.name
        for f in contract.columns
        if isinstance(f.dataType, StringType)
        and f.name in frame.columns
        and f.name not in ("text", "title")
    ]
    trimmed = {name: F.nullif(F.trim(name), F.lit("")) for name in names}
    if "event_type" in trimmed:
        trimmed["event_type"] = F.lower(trimmed["event_type"])
    frame = frame.withColumns(trimmed)
    if contract.name == ITEMS.name:
        always = F.lit(ALWAYS).cast("timestamp")
        return frame.withColumn("valid_from", F.coalesce("valid_from", always))
    arrived = F.coalesce("arrived_at", TIME[contract.name])
    return frame.withColumns({"arrived_at": arrived, "arrived_day": F.to_date(arrived)})


def with_reason(frame: DataFrame, contract: Contract) -> DataFrame:
    """Add ``_reason``: the first promise of the contract a row breaks, else null."""
    checks: list[Column] = []
    for name in [c for c in frame.columns if c.startswith("_raw_")]:
        column = name.removeprefix("_raw_")
        kind = contract.field(column).dataType.simpleString()
        broken = F.col(name).isNotNull() & (F.trim(name) != "") & F.col(column).isNull()
        checks.append(F.when(broken, F.lit(f"{column} is not a {kind}")))
    for name in contract.required:
        if name in frame.columns and name not in ("arrived_at", "arrived_day"):
            checks.append(F.when(F.col(name).isNull(), F.lit(f"{name} is missing")))
    time = TIME.get(contract.name)
    if time:
        outside = (F.col(time) < F.lit(EARLIEST).cast("timestamp")) | (
            F.col(time) >= F.lit(LATEST).cast("timestamp")
        )
        checks.append(F.when(outside, F.lit(f"{time} is outside {EARLIEST[:4]} to {LATEST[:4]}")))
        early = F.col("arrived_at") < F.col(time)
        checks.append(F.when(early, F.lit(f"arrived_at is before {time}")))
    return frame.withColumn(REASON, F.coalesce(*checks, F.lit(None).cast("string")))


def within_night(start: dt.date | None, as_of: dt.date) -> Column:
    """Rows a night reads: arrived in [start, as_of), and those with no usable time at all."""
    day = F.col("arrived_day")
    inside = day < F.lit(as_of)
    if start is not None:
        inside = inside & (day >= F.lit(start))
    return inside | day.isNull()


def number_copies(frame: DataFrame, key: tuple[str, ...]) -> DataFrame:
    """Add ``_copy``: 1 for the row kept of each key, 2 and more for its duplicates.

    Which one is kept depends on the rows' content alone, not on their order.
    """
    content = [F.col(name) for name in sorted(frame.columns) if name != SOURCE]
    order = [F.xxhash64(*content), *[c.asc_nulls_first() for c in content]]
    window = Window.partitionBy(*key).orderBy(*order)
    return frame.withColumn(COPY, F.row_number().over(window))


def number_item_copies(frame: DataFrame) -> DataFrame:
    """Add ``_copy`` to item versions: one equal to the version before it is a duplicate.

    Of different versions with the same moment one is kept, chosen by its content.
    """
    content = F.xxhash64("title", "category", "price")
    window = Window.partitionBy("item_id").orderBy("valid_from", content)
    before = window.rowsBetween(Window.unboundedPreceding, -1)
    first = ~F.col("valid_from").eqNullSafe(F.lag("valid_from").over(window))
    frame = frame.withColumn("_version", F.when(first, content))
    same = F.col("_version") == F.last("_version", ignorenulls=True).over(before)
    repeated = F.col("_version").isNull() | F.coalesce(same, F.lit(False))
    return frame.withColumn(COPY, F.when(repeated, F.lit(2)).otherwise(F.lit(1))).drop("_version")


def clean_texts(
    frame: DataFrame, contract: Contract, *, clean: Callable[[Column], Column]
) -> DataFrame:
    """Normalise and mask the contract's text column and hash it.

    Adds ``_masked`` (count) and ``_cut`` (boolean); a text of which nothing is left
    is refused, an item title of which nothing is left is null.
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


def quarantine_rows(
    frame: DataFrame,
    contract: Contract,
    *,
    run_id: str,
    as_of: dt.date,
    clean: Callable[[Column], Column],
) -> DataFrame:
    """Refused rows in the quarantine's form: what was mapped, as masked JSON.

    Texts over 2,000 characters are cut; equal rows are one row with their count.
    """
    shown = [n for n in contract.names if n in frame.columns]
    raw = [n for n in frame.columns if n.startswith("_raw_")]
    values = [
        F.substring(F.coalesce(*([f"_raw_{n}"] if f"_raw_{n}" in raw else []),
                               F.col(n).cast("string")), 1, 2000).alias(n)
        for n in shown
    ]  # fmt: skip
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
