"""Read the user's tables and map their columns to a contract.

Everything that can be wrong with a mapping is found from schemas alone, before any
row is read: a missing file, a column that does not exist, an expression that is not
SQL or gives the wrong type.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    NullType,
    NumericType,
    StringType,
    TimestampNTZType,
    TimestampType,
)

from behavior_spark.config import Attributes, Labels, Source
from behavior_spark.errors import ConfigError, InputError, Problems
from behavior_spark.io.expressions import check_condition, column_list, type_of
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.files import (
    absolute_path,
    columns_to_mend,
    csv_headers,
    load_group,
    local_files,
    parquet_schemas,
    union_by_name,
    with_text_folders,
)
from behavior_spark.schemas import EVENTS, IDENTITIES, ITEMS, TEXTS, Contract

MUST_MAP = {
    IDENTITIES.name: ("anonymous_id", "user_id", "linked_at"),
    EVENTS.name: ("event_id", "user_id", "event_time", "event_type"),
    TEXTS.name: ("text_id", "user_id", "text_time", "text"),
    ITEMS.name: ("item_id",),
}
NOT_FINITE = "_not_finite"
DERIVED = {"arrived_day", "text_hash", "title_hash"}


def read_raw(spark: SparkSession, source: Source | Labels, *, label: str) -> DataFrame:
    """A user's table as it is, less the rows that ``where`` leaves out.

    Raises:
        InputError: The table or file is not there, or cannot be read as this format.
        ConfigError: The ``where`` condition is not valid SQL over its columns.
    """
    context = f"{label} ({source.path or source.table})"
    with spark_errors(context):
        if source.table:
            frame = spark.read.options(**source.options).table(source.table)
        else:
            frame = _load(spark, source)
        _ = frame.schema  # resolves the plan: a missing path shows here
    _refuse_what_is_no_table(frame, source, context)
    if source.where:
        check_condition(frame, source.where, label=f"{label}.where")
        frame = frame.where(source.where)
    return frame


def _load(spark: SparkSession, source: Source | Labels) -> DataFrame:
    path, options = absolute_path(str(source.path)), reader_options(source)

    names = _mapped_to_names(source)

    def reader() -> DataFrameReader:
        return spark.read.format(source.format).options(**options)

    files = local_files(path) if source.format in ("csv", "parquet") else []
    if source.format == "parquet" and files:
        groups = list(parquet_schemas(files).values())
        mend = [columns_to_mend(group[0]) for group in groups]
        if any(times or nulls for times, nulls in mend) or len(groups) > 1:
            return union_by_name(
                load_group(
                    spark, reader(), group, base=path, names=names, nanoseconds=times, nulls=nulls
                )
                for group, (times, nulls) in zip(groups, mend, strict=True)
            )
    elif len(files) > 1 and str(options["header"]).lower() == "true":
        headers = csv_headers(files, options)
        if len(headers) > 1:
            return union_by_name(
                load_group(spark, reader(), group, base=path, names=names)
                for group in headers.values()
            )
    frame = reader().load(path)
    return with_text_folders(reader(), path, frame, names)


def _mapped_to_names(source: Source | Labels) -> list[str]:
    """Columns that become ids and other names as they stand."""
    columns: dict[str, str] = getattr(source, "columns", {})
    numbers = ("value", "price")
    return [theirs.strip("` ") for ours, theirs in columns.items() if ours not in numbers]


def reader_options(source: Source | Labels) -> dict[str, Any]:
    """The options a source is read with: CSV as pandas and Excel write it, unless it says else."""
    if source.format != "csv":
        return dict(source.options)
    given = {name.lower() for name in source.options}
    usual: dict[str, Any] = {"header": True}
    if source.options.get("quote") != "":
        usual |= {"escape": '"', "multiLine": True}
    if not local_files(absolute_path(str(source.path))):
        usual["enforceSchema"] = False  # files with their columns in another order are refused
    return {n: v for n, v in usual.items() if n.lower() not in given} | dict(source.options)


def _refuse_what_is_no_table(frame: DataFrame, source: Source | Labels, context: str) -> None:
    """What Spark reads without an error and is no table: another separator, printed JSON."""
    names = frame.columns
    if source.table or not names:
        return
    if source.format == "json" and names == ["_corrupt_record"]:
        raise InputError(
            f"{context}: no line is JSON by itself",
            fix="if the file is one array, or printed over several lines: "
            "options: {multiLine: true}",
        )
    if source.format != "csv":
        return
    if len(names) == 1:
        marks = {mark: names[0].count(mark) for mark in (";", "\t", "|")}
        mark = max(marks, key=lambda each: marks[each])
        if marks[mark]:
            shown = {"\t": "\\t"}.get(mark, mark)
            raise InputError(
                f"{context}: the header is one column",
                found=f"{marks[mark]} times {shown} in it",
                fix=f'options: {{sep: "{shown}"}}',
            )
    if any("\ufffd" in name or "\x00" in name for name in names):
        raise InputError(
            f"{context}: the header is not UTF-8",
            fix="say its encoding, options: {encoding: ISO-8859-1} or UTF-16",
        )


def map_source(frame: DataFrame, source: Source, contract: Contract, *, label: str) -> DataFrame:
    """Columns by the contract's names, of types from which ``cleaning.readings`` makes its own.

    What is not mapped is null, without a type.

    Raises:
        ConfigError: An expression is unknown, missing, not SQL, or of the wrong type.
    """
    mappable = [name for name in contract.names if name not in DERIVED]
    problems = Problems()
    for name in source.columns:
        if name not in mappable:
            close = difflib.get_close_matches(name, mappable, n=1)
            with problems.gathered():
                raise ConfigError(
                    f"{label}.columns.{name}: {contract.name} has no such column",
                    fix=f"did you mean {close[0]}?" if close else f"one of {', '.join(mappable)}",
                )
    for name in MUST_MAP[contract.name]:
        if name not in source.columns:
            with problems.gathered():
                raise ConfigError(
                    f"{label}.columns.{name} is missing",
                    found=f"mapped: {', '.join(source.columns)}",
                    fix=f"{contract.field(name).metadata['comment']}; give an SQL expression over: "
                    f"{column_list(frame.columns, most=12)}",
                )
    selected: list[Column] = []
    for name in mappable:
        target = contract.field(name).dataType
        expression = source.columns.get(name)
        if expression is None:
            selected += [F.lit(None).alias(name)]
            continue
        with problems.gathered():
            kind = type_of(frame, expression, label=f"{label}.columns.{name}")
            _check_type(kind, target, f"{label}.columns.{name}")
            selected += [F.expr(expression).alias(name)]
    problems.raise_any()
    return frame.select(*selected)


def map_labels(frame: DataFrame, labels: Labels, *, label: str) -> DataFrame:
    """Columns ``text, label, day`` of a labelled table; label is a string or array of strings.

    Bytes that are not UTF-8 are replaced by U+FFFD, as in names and texts of a log.
    Where the config names slices, also ``slices``: a map of their values as strings.
    """
    expressions = {"text": labels.text, "label": labels.label, "day": labels.day or "null"}
    named = {f"slices.{name}": expression for name, expression in labels.slices.items()}
    for name, expression in (expressions | named).items():
        type_of(frame, expression, label=f"{label}.{name}")
    slices = [
        column
        for name, expression in labels.slices.items()
        for column in (F.lit(name), F.make_valid_utf8(F.expr(expression).cast("string")))
    ]
    mapped = frame.select(
        F.make_valid_utf8(F.expr(labels.text).cast("string")).alias("text"),
        F.expr(labels.label).alias("label"),
        F.expr(expressions["day"]).try_cast("date").alias("day"),
        *([F.create_map(*slices).alias("slices")] if slices else []),
    )
    kind = mapped.schema["label"].dataType
    if isinstance(kind, ArrayType):
        # array(first, second) has a null where there is no second label.
        mapped = mapped.withColumn("label", F.array_compact("label"))
        if isinstance(kind.elementType, StringType):
            mapped = mapped.withColumn("label", F.transform("label", F.make_valid_utf8))
    elif isinstance(kind, StringType):
        mapped = mapped.withColumn("label", F.make_valid_utf8("label"))
    return mapped


def map_attributes(frame: DataFrame, source: Attributes, *, label: str) -> DataFrame:
    """Columns ``user_id, valid_from, known_at`` as they stand, and the attributes as doubles.

    A condition is 0 or 1; NaN and an infinity are null, and counted in ``_not_finite``.

    Raises:
        ConfigError: An expression is not SQL over the table's columns, or of the wrong type.
    """
    columns = {"known_at": source.columns["valid_from"], **source.columns}
    selected, not_finite = [], F.lit(0)
    for name, expression in columns.items():
        place = f"{label}.columns.{name}"
        kind = type_of(frame, expression, label=place)
        value = F.expr(expression)
        if name == "user_id":
            _check_type(kind, StringType(), place)
            selected.append(value.alias(name))
        elif name in ("valid_from", "known_at"):
            _check_type(kind, TimestampType(), place)
            selected.append(value.alias(name))
        elif name in source.categories:
            selected += _category_columns(value, source.category_features(name))
        elif isinstance(kind, NumericType | BooleanType | NullType):
            # There is no cast from boolean to double in every mode; by way of an int there is.
            number = value.cast("int") if isinstance(kind, BooleanType) else value
            double = number.cast("double")
            finite = ~F.isnan(double) & (F.abs(double) != float("inf"))
            not_finite = not_finite + F.when(~finite, 1).otherwise(0)
            selected.append(F.when(finite, double).alias(name))
        else:
            raise ConfigError(
                f"{place} must be a number, a condition or a category",
                found=f"type {kind.simpleString()}, and {label}.categories does not name it",
                fix=f"list its values: categories: {{{name}: [...]}}; or write a condition",
            )
    return frame.select(*selected, not_finite.alias(NOT_FINITE))


def _category_columns(value: Column, features: Mapping[str | None, str]) -> list[Column]:
    """One column of 0 and 1 for each value, and one for all others; null where there is none."""
    text = F.trim(value.cast("string"))
    named = [category for category in features if category is not None]
    return [
        F.when(text.isNotNull(), (~text.isin(named) if category is None else text == category))
        .cast("int").cast("double").alias(name)
        for category, name in features.items()
    ]  # fmt: skip


def map_contacts(frame: DataFrame, source: Source, *, label: str) -> DataFrame:
    """``user_id`` as it stands, and the other columns as strings.

    Raises:
        ConfigError: An expression is not SQL over the table's columns, or a list for user_id.
    """
    selected = []
    for name, expression in source.columns.items():
        place = f"{label}.columns.{name}"
        kind = type_of(frame, expression, label=place)
        if name == "user_id":
            _check_type(kind, StringType(), place)
            selected.append(F.expr(expression).alias(name))
        else:
            selected.append(F.expr(expression).cast("string").alias(name))
    return frame.select(*selected)


def _check_type(kind: DataType, target: DataType, label: str) -> None:
    """Refuse casts that would guess: a number is no time, a list is no name."""
    if isinstance(kind, NullType) or kind == target or isinstance(kind, StringType):
        return
    allowed: tuple[type[DataType], ...]
    if isinstance(target, TimestampType):
        allowed, hint = (
            (DateType, TimestampNTZType),
            (
                "for a number say its unit: timestamp_seconds(x), timestamp_millis(x), or of "
                "nanoseconds timestamp_micros(x div 1000)"
            ),
        )
    elif isinstance(target, DecimalType):
        allowed, hint = (NumericType,), "give a number"
    else:
        allowed, hint = (NumericType, DateType, TimestampType), "cast it to string"
    if not isinstance(kind, allowed):
        raise ConfigError(
            f"{label} has the wrong type: {target.simpleString()} is wanted",
            found=kind.simpleString(),
            fix=hint,
        )
