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
from typing import Any, TypeVar

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
    NullType,
    NumericType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from behavior_spark.io.conf import conf_meanwhile
from behavior_spark.names import quoted_name

K = TypeVar("K")
MOST_FILES = 5_000  # of more than that nothing is looked into: one footer takes a millisecond
_EXACT = 2**53  # below it a double represents every whole number
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
    files = sorted(file for file in root.rglob("*") if file.is_file() and _is_data(file, root))
    return files if len(files) <= MOST_FILES else []


def _is_data(file: Path, root: Path) -> bool:
    parts = file.relative_to(root).parts
    return not any(part.startswith((".", "_")) and "=" not in part for part in parts)


def csv_headers(
    files: Sequence[Path], options: Mapping[str, Any]
) -> dict[tuple[str, ...], list[Path]]:
    """Files by their header, as Spark would read it; empty files have no row and are left out.

    A file that cannot be opened is beside the first ones, for Spark to name it.
    """
    lower = {name.lower(): value for name, value in options.items()}
    return _grouped((file, _header(file, lower)) for file in files)


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
    """Files by the names and types of their columns.

    A file without a footer is beside the first ones, for Spark to name it.
    """
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(_schema_key, files))
    return _grouped(zip(files, keys, strict=True))


def _schema_key(file: Path) -> str | None:
    kinds = _parquet_columns(file)
    return None if kinds is None else ", ".join(sorted(f"{n} {k}" for n, k in kinds.items()))


def _grouped(files: Iterable[tuple[Path, K | None]]) -> dict[K, list[Path]]:
    groups: dict[K, list[Path]] = defaultdict(list)
    unknown = []
    for file, key in files:
        if key is None:
            unknown.append(file)
        elif key:
            groups[key].append(file)
    for group in list(groups.values())[:1]:
        group += unknown
    return dict(groups)


def columns_to_mend(file: Path) -> tuple[list[str], list[str]]:
    """Columns that Spark takes for what they are not: times in nanoseconds, and of nulls alone.

    A column of nulls alone has no type in Arrow; Spark takes it for one of integers.
    """
    kinds = _parquet_columns(file) or {}
    nulls = [name for name, kind in kinds.items() if kind == "null"]
    return [name for name, kind in kinds.items() if kind.startswith("timestamp[ns")], nulls


def _parquet_columns(file: Path) -> dict[str, str] | None:
    """Types by column; None of a file that has no footer."""
    try:
        schema = pq.read_metadata(file).schema
        # What Spark writes as INT96 has nanoseconds too, and Spark reads it.
        old = {c.path for c in map(schema.column, range(len(schema))) if c.physical_type == "INT96"}
        fields = schema.to_arrow_schema()
    except (OSError, pa.ArrowException):
        return None
    return {field.name: "INT96" if field.name in old else str(field.type) for field in fields}


def load_group(
    spark: SparkSession,
    reader: DataFrameReader,
    files: Sequence[Path],
    *,
    base: str,
    names: Iterable[str] = (),
    nanoseconds: Sequence[str] = (),
    nulls: Sequence[str] = (),
) -> DataFrame:
    """Files that are alike, with the columns of their folders.

    Args:
        spark: Session to read with.
        reader: With format and options.
        files: Of one folder.
        base: That folder, below which ``name=value`` are columns.
        names: Columns of folders that are names, not numbers.
        nanoseconds: Columns of times that Spark takes for no type.
        nulls: Columns without a value and a type.
    """
    if Path(base).is_dir():
        reader = reader.option("basePath", base)
    paths = [str(file) for file in files]
    # Times in nanoseconds have the type of an integer, while a schema is looked for.
    as_long = {"spark.sql.legacy.parquet.nanosAsLong": "true"} if nanoseconds else {}
    with conf_meanwhile(spark, as_long):
        frame = reader.load(paths)
        inferred = frame.schema
    texts = _with_text(inferred, [file.as_posix() for file in files], names)
    # To load them once more is to list the files and read their schema once more.
    if nanoseconds or texts != inferred:
        frame = reader.schema(texts).load(paths)
    # A name with a dot or a backtick is one name.
    mended = {
        name: F.expr(f"timestamp_micros({quoted_name(name)} div 1000)") for name in nanoseconds
    }
    mended |= {name: F.lit(None) for name in nulls}
    return frame.withColumns(mended) if mended else frame


def union_by_name(frames: Iterable[DataFrame]) -> DataFrame:
    """Rows of all frames by the columns' names; a type that differs becomes the widest of them."""
    listed = list(frames)
    kinds: dict[str, list[DataType]] = defaultdict(list)
    for frame in listed:
        for field in frame.schema.fields:
            kinds[field.name].append(field.dataType)
    wide = {name: widest(types) for name, types in kinds.items()}
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
    kinds = [kind for kind in kinds if not isinstance(kind, NullType)] or kinds
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
    if not _numbers(frame.schema).intersection(names):
        return frame
    schema = _with_text(frame.schema, frame.inputFiles(), names)
    return frame if schema == frame.schema else reader.schema(schema).load(path)


def _with_text(schema: StructType, files: Iterable[str], names: Iterable[str]) -> StructType:
    """A schema in which folders that are names, and no plain numbers, are text."""
    wanted = _numbers(schema).intersection(names)
    texts = {
        name
        for file in (files if wanted else ())
        for name, value in re.findall(r"/([^/=]+)=([^/]+)(?=/)", file)
        if name in wanted and not re.fullmatch(r"0|-?[1-9]\d*", value)
    }
    return StructType(
        [
            StructField(f.name, StringType()) if f.name in texts else f
            for f in schema.fields
        ]
    )  # fmt: skip


def _numbers(schema: StructType) -> set[str]:
    return {f.name for f in schema.fields if isinstance(f.dataType, IntegralType)}


def _as(field: StructField, kind: DataType) -> Any:
    column = F.col(quoted_name(field.name))
    if field.dataType == kind:
        return column
    cast = column.cast(kind)
    if isinstance(field.dataType, DoubleType | FloatType) and isinstance(kind, StringType):
        # An id that is 7.0 in one file, as pandas writes it beside nulls, is 7 in another.
        digits = column.try_cast("bigint")
        is_whole = (F.abs(column) < F.lit(_EXACT)) & (digits == column)
        cast = F.when(is_whole, digits.cast("string")).otherwise(cast)
    return cast.alias(field.name)


def absolute_path(path: str) -> str:
    """A path that every worker understands: relative ones start at the working directory."""
    return path if re.match(r"^[a-z0-9]+:", path) else str(Path(path).absolute())
