"""Read files that are not all alike: columns in another order, types that were widened.

Spark takes the columns of a folder from one of its files. Where a file has them in another order
(CSV) or another type (Parquet), rows of that file come out wrong, or not at all. Here files are
read in groups that are alike, and put together by the columns' names.
"""

from __future__ import annotations

import csv
import gzip
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ByteType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    IntegralType,
    LongType,
    NumericType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

MOST_FILES = 5_000  # of more than that nothing is looked into: one footer takes a millisecond
_INTEGERS: tuple[type[DataType], ...] = (ByteType, ShortType, IntegerType, LongType)


def local_files(path: str) -> list[Path]:
    """The data files of a path on this machine; none where it is elsewhere, or too many."""
    if re.match(r"^[a-z0-9]+:", path) and not path.startswith("file:"):
        return []
    root = Path(re.sub(r"^file:/*", "/", path))
    if root.is_file():
        return [root]
    if not root.is_dir():
        return []
    found = sorted(file for file in root.rglob("*") if file.is_file() and _is_data(file, root))
    return found if len(found) <= MOST_FILES else []


def _is_data(file: Path, root: Path) -> bool:
    parts = file.relative_to(root).parts
    return not any(part.startswith((".", "_")) and "=" not in part for part in parts)


def csv_headers(
    files: Sequence[Path], options: Mapping[str, Any]
) -> dict[tuple[str, ...], list[Path]]:
    """Files by their header, as Spark would read it; a file that cannot be opened is left out."""
    lower = {name.lower(): value for name, value in options.items()}
    groups: dict[tuple[str, ...], list[Path]] = defaultdict(list)
    for file in files:
        header = _header(file, lower)
        if header is not None:
            groups[header].append(file)
    return dict(groups)


def _header(file: Path, options: Mapping[str, Any]) -> tuple[str, ...] | None:
    encoding = str(options.get("encoding", options.get("charset", "utf-8")))
    encoding = "utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding
    opener = gzip.open if file.suffix == ".gz" else open
    quote = str(options.get("quote", '"'))
    how: dict[str, Any] = {"quotechar": quote} if quote else {"quoting": csv.QUOTE_NONE}
    separator = str(options.get("sep", options.get("delimiter", ",")))
    try:
        with opener(file, "rt", encoding=encoding, errors="replace", newline="") as lines:
            return tuple(next(csv.reader(lines, delimiter=separator, **how), ()))
    except (OSError, EOFError, LookupError, TypeError, csv.Error, UnicodeError):
        return None


def parquet_schemas(files: Sequence[Path]) -> dict[str, list[Path]]:
    """Files by the names and types of their columns; a file without a footer is left out."""
    with ThreadPoolExecutor(8) as pool:
        schemas = list(pool.map(_parquet_schema, files))
    groups: dict[str, list[Path]] = defaultdict(list)
    for file, schema in zip(files, schemas, strict=True):
        if schema is not None:
            key = ", ".join(sorted(f"{field.name} {field.type}" for field in schema))
            groups[key].append(file)
    return dict(groups)


def nanosecond_columns(file: Path) -> list[str]:
    """Columns whose times Parquet holds in nanoseconds, which Spark cannot read."""
    schema = _parquet_schema(file)
    if schema is None:
        return []
    return [f.name for f in schema if pa.types.is_timestamp(f.type) and f.type.unit == "ns"]


def _parquet_schema(file: Path) -> pa.Schema | None:
    try:
        return pq.read_schema(file)
    except (OSError, pa.ArrowException):
        return None


def load_group(
    spark: SparkSession,
    reader: DataFrameReader,
    files: Sequence[Path],
    *,
    base: str,
    nanoseconds: Sequence[str] = (),
) -> DataFrame:
    """Files that are alike, with the columns of their folders.

    Args:
        spark: Session to read with.
        reader: With format and options.
        files: Of one folder.
        base: That folder, below which ``name=value`` are columns.
        nanoseconds: Columns of times that Spark takes for no type.
    """
    if Path(base).is_dir():
        reader = reader.option("basePath", base)
    paths = [str(file) for file in files]
    if not nanoseconds:
        return reader.load(paths)
    key = "spark.sql.legacy.parquet.nanosAsLong"
    before = spark.conf.get(key, "false")
    spark.conf.set(key, "true")
    try:
        schema = reader.load(paths).schema
    finally:
        spark.conf.set(key, str(before))
    frame = reader.schema(schema).load(paths)
    # A name with a dot or a backtick is one name.
    return frame.withColumns(
        {name: F.expr(f"timestamp_micros({_quoted(name)} div 1000)") for name in nanoseconds}
    )


def union_by_name(frames: Iterable[DataFrame]) -> DataFrame:
    """Rows of all frames by the columns' names; a type that differs becomes the widest of them."""
    listed = list(frames)
    kinds: dict[str, list[DataType]] = defaultdict(list)
    for frame in listed:
        for field in frame.schema.fields:
            kinds[field.name].append(field.dataType)
    wide = {name: widest(found) for name, found in kinds.items()}
    cast = [
        frame.select(*[_as(field, wide[field.name]) for field in frame.schema.fields])
        for frame in listed
    ]
    return reduce(lambda a, b: a.unionByName(b, allowMissingColumns=True), cast)


def widest(kinds: Sequence[DataType]) -> DataType:
    """A type that holds the values of all; text where numbers meet something else.

    >>> widest([IntegerType(), LongType()]), widest([LongType(), DoubleType()])
    (LongType(), DoubleType())
    >>> widest([DateType(), TimestampType()]), widest([LongType(), StringType()])
    (TimestampType(), StringType())
    """
    first = kinds[0]
    if all(kind == first for kind in kinds):
        return first
    if all(isinstance(kind, IntegralType) for kind in kinds):
        return max(kinds, key=lambda kind: _INTEGERS.index(type(kind)))
    if all(isinstance(kind, DecimalType | IntegralType) for kind in kinds):
        scale = max(kind.scale for kind in kinds if isinstance(kind, DecimalType))
        return DecimalType(38, scale)
    if all(isinstance(kind, NumericType) for kind in kinds):
        floats = all(isinstance(kind, FloatType) for kind in kinds)
        return FloatType() if floats else DoubleType()
    if all(isinstance(kind, DateType | TimestampType | TimestampNTZType) for kind in kinds):
        return TimestampType()
    return StringType()


def with_text_folders(
    reader: DataFrameReader, path: str, frame: DataFrame, names: Iterable[str]
) -> DataFrame:
    """The frame with columns of folders (``user=007``) as text, where as numbers they lose zeros.

    Args:
        reader: With format and options.
        path: What ``frame`` was read from.
        frame: As Spark takes the folders.
        names: Columns that are names, not numbers.
    """
    numbers = {f.name for f in frame.schema.fields if isinstance(f.dataType, IntegralType)}
    wanted = numbers.intersection(names)
    if not wanted:
        return frame
    texts = {
        name
        for file in frame.inputFiles()
        for name, value in re.findall(r"/([^/=]+)=([^/]+)(?=/)", file)
        if name in wanted and not re.fullmatch(r"0|-?[1-9]\d*", value)
    }
    if not texts:
        return frame
    fields = [
        StructField(f.name, StringType() if f.name in texts else f.dataType)
        for f in frame.schema.fields
    ]
    return reader.schema(StructType(fields)).load(path)


def _as(field: StructField, kind: DataType) -> Any:
    column = F.col(_quoted(field.name))
    return column if field.dataType == kind else column.cast(kind).alias(field.name)


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
