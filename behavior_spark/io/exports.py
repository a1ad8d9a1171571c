"""Write a frame's rows to one local file, CSV, Excel or Parquet, for tools that know no Spark."""

from __future__ import annotations

import csv
import os
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DateType,
    DoubleType,
    IntegralType,
    MapType,
    StringType,
    StructField,
    StructType,
    VariantType,
)

from behavior_spark.errors import ConfigError
from behavior_spark.io.spreadsheets import SOURCE_TYPE, is_number, write_workbook
from behavior_spark.names import quoted_name, unique_names

# First characters that make a spreadsheet take a cell for a formula, full-width ones included.
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_BATCH = 10_000


def escape_formula(text: str) -> str:
    """The text, with an apostrophe before it where a spreadsheet would compute it.

    >>> escape_formula("=1+1"), escape_formula("a=1"), escape_formula("@SUM(A1)")
    ("'=1+1", 'a=1', "'@SUM(A1)")
    """
    return f"'{text}" if text.startswith(_FORMULA) else text


def plain_columns(frame: DataFrame) -> DataFrame:
    """The frame with columns that ``export_rows`` can write: nested ones as JSON, others as text.

    Strings, whole numbers, doubles and days stay as they are. A column that becomes text says in
    its metadata what it was. Of several columns of one name the second is called ``<name>_2``.
    """
    kept = (StringType, IntegralType, DoubleType, DateType)
    columns = []
    names = unique_names(frame.columns)
    for place, field in enumerate(frame.schema.fields):
        column, was = F.col(quoted_name(f"_{place}")), {}
        if isinstance(field.dataType, StructType | ArrayType | MapType | VariantType):
            column = F.to_json(column)
        elif not isinstance(field.dataType, kept):
            column, was = column.cast("string"), {SOURCE_TYPE: field.dataType.typeName()}
        columns.append(column.alias(names[place], metadata=was))
    return frame.toDF(*[f"_{place}" for place in range(len(frame.columns))]).select(*columns)


def check_export_name(path: Path) -> None:
    """Refuse a name that ``export_rows`` would, before the work whose rows are exported.

    Raises:
        ConfigError: The name has another ending than those of ``export_rows``.
    """
    if path.suffix.lower() not in _WRITERS:
        raise ConfigError(
            f"cannot export to {path.name}", fix="give a name that ends in .csv, .xlsx or .parquet"
        )


def export_rows(frame: DataFrame, path: Path) -> int:
    """Write all rows in the frame's order and return their number.

    Rows pass in batches: memory does not grow with them. The file appears when it is complete,
    readable by its owner alone.

    Args:
        frame: Columns of strings, numbers and days.
        path: Ends in ``.csv`` (UTF-8, RFC 4180, formulas escaped), ``.xlsx`` (see
            ``write_workbook``; formulas escaped) or ``.parquet``.

    Raises:
        ConfigError: The name has another ending, or a sheet cannot hold the rows.
        ModuleNotFoundError: ``.xlsx`` needs openpyxl (the extra ``xlsx``).
    """
    check_export_name(path)
    write = _WRITERS[path.suffix.lower()]
    fields = frame.schema.fields
    with _private_file(path) as file:
        return write(file, fields, frame.toLocalIterator())


Writer = Callable[[IO[bytes], Sequence[StructField], Iterator[Row]], int]


def _write_csv(file: IO[bytes], fields: Sequence[StructField], rows: Iterator[Row]) -> int:
    count = 0
    writer = csv.writer(_Utf8(file))
    writer.writerow([escape_formula(field.name) for field in fields])
    escaped = [not is_number(field) for field in fields]
    for row in rows:
        writer.writerow(
            [escape_formula(value) if escape and isinstance(value, str) else value
             for value, escape in zip(row, escaped, strict=True)]
        )  # fmt: skip
        count += 1
    return count


def _write_parquet(file: IO[bytes], fields: Sequence[StructField], rows: Iterator[Row]) -> int:
    schema = pa.schema([pa.field(field.name, _arrow_type(field)) for field in fields])
    count = 0
    with pq.ParquetWriter(file, schema) as writer:
        while batch := list(islice(rows, _BATCH)):
            columns = [
                pa.array([row[place] for row in batch], field.type)
                for place, field in enumerate(schema)
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            count += len(batch)
    return count


def _arrow_type(field: StructField) -> pa.DataType:
    if isinstance(field.dataType, IntegralType):
        return pa.int64()
    if isinstance(field.dataType, DoubleType):
        return pa.float64()
    return pa.date32() if field.dataType.typeName() == "date" else pa.string()


_WRITERS: dict[str, Writer] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
    ".xlsx": partial(write_workbook, escape=escape_formula),
}


class _Utf8:
    """A text file over a binary one, for the csv module."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """Write text as UTF-8."""
        return self._file.write(text.encode("utf-8", "replace"))


@contextmanager
def _private_file(path: Path) -> Iterator[IO[bytes]]:
    """A file that takes its name when the block succeeds; its owner alone may read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
