"""What folders on this machine tell of the data in them, without a query."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from behavior_spark.io.files import absolute_path
from behavior_spark.object_store import parts_of_address
from behavior_spark.shared_folder import local_path

_LOG = "_delta_log"
# Files of Delta's log by version: commits, their checksums, and checkpoints.
_VERSION = re.compile(r"(\d{20})\.(json|crc|checkpoint\b.*)")


def local_folder(place: str) -> Path | None:
    """The path of a place on this machine; None for other addresses, and for patterns of names.

    >>> str(local_folder("file:///w/events")), local_folder("s3a://w/events"), local_folder("/w/*")
    ('/w/events', None, None)
    """
    parts = parts_of_address(place)
    if set(place) & set("*?[{") or (parts is not None and parts[0] != "file"):
        return None
    return Path(absolute_path(place)) if parts is None else local_path(place)


def rows_at_most(place: Path, *, most_bytes: int, most_rows: int) -> int | None:
    """Upper bound of the rows in a file or folder; None if it is larger, or cannot be read.

    Rows are counted in Parquet files alone, by their footers; those of other files are 0. Delta's
    log does not count; files of rows that were removed do, until they are vacuumed.

    Args:
        place: Where nothing is, there are no rows.
        most_bytes: Of all files; what is larger is not looked into.
        most_rows: Of all files.
    """
    size = rows = 0
    try:
        for file in _files(place):
            size += file.stat().st_size
            if size <= most_bytes and file.suffix == ".parquet":
                rows += pq.read_metadata(file).num_rows
            if size > most_bytes or rows > most_rows:
                return None
    except (OSError, pa.ArrowException):
        return None  # gone meanwhile, or not readable: who reads it will say so
    return rows


def latest_version(table: Path) -> int | None:
    """The version of a Delta table: its newest commit; None if there is none.

    By the names of the log's files
    (https://github.com/delta-io/delta/blob/master/PROTOCOL.md#delta-log-entries).
    """
    log = table / _LOG
    names = [_VERSION.fullmatch(file.name) for file in log.iterdir()] if log.is_dir() else []
    return max((int(name[1]) for name in names if name), default=None)


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    for folder, inner, names in os.walk(place):
        inner[:] = [name for name in inner if name != _LOG]
        yield from (Path(folder, name) for name in names)
