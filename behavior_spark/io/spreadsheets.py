"""Write rows to an Excel workbook (.xlsx), row by row: memory does not grow with them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

from pyspark.sql import Row
from pyspark.sql.types import StructField

from behavior_spark.errors import ConfigError
from behavior_spark.names import xml_text

# What a sheet can hold, the row of names included.
# https://support.microsoft.com/office/excel-specifications-and-limits
MOST_ROWS, MOST_COLUMNS, MOST_CHARACTERS = 1_048_576, 16_384, 32_767
# A cell's number is a double, of which Excel keeps 15 digits.
_MOST_DIGITS = 15
_FIRST_DAY = dt.date(1900, 3, 1)  # before it Excel's calendar has a day that never was
_OTHER_FORMATS = "export to a name that ends in .csv or .parquet"

# The name that Spark has for the type that a column of text had before.
SOURCE_TYPE = "source_type"
_NUMBERS = ("decimal", "float")


def is_number(field: StructField) -> bool:
    """Whether a column of text holds numbers, which no spreadsheet takes for formulas."""
    return field.metadata.get(SOURCE_TYPE) in _NUMBERS


def write_workbook(
    file: IO[bytes],
    fields: Sequence[StructField],
    rows: Iterator[Row],
    *,
    escape: Callable[[str], str],
) -> int:
    """Write one sheet, its first row the names; return the number of other rows.

    Days and times are Excel's dates (times in UTC), numbers and decimals are numbers, all else is
    text. What Excel cannot hold exactly is text: whole numbers and decimals of more than 15 digits,
    days before March 1900, doubles that are not finite. Characters that XML has not become U+FFFD.

    Args:
        file: Where to.
        fields: Of ``plain_columns``: their metadata say which texts were times or numbers.
        rows: In the order of the sheet.
        escape: Makes a text that a spreadsheet would compute a plain one.

    Raises:
        ConfigError: More rows or columns than a sheet has, or a text longer than a cell.
        ModuleNotFoundError: openpyxl is not installed.
    """
    from openpyxl import Workbook

    if len(fields) > MOST_COLUMNS:
        raise ConfigError(
            f"a sheet has {MOST_COLUMNS:,} columns", found=f"{len(fields):,}", fix=_OTHER_FORMATS
        )
    workbook = Workbook(write_only=True)
    sheet = workbook.create_sheet("rows")
    sheet.freeze_panes = "A2"
    try:
        names = [StructField(field.name, field.dataType) for field in fields]
        sheet.append([_text(field.name, field, escape) for field in names])
        count = _append_rows(sheet, fields, rows, escape)
    except BaseException:
        sheet.close()
        sheet._writer.cleanup()  # its temporary file, which else stays until the process ends
        raise
    workbook.save(file)
    return count


def _append_rows(
    sheet: Any, fields: Sequence[StructField], rows: Iterator[Row], escape: Callable[[str], str]
) -> int:
    """Append rows below the names; return their number."""
    count = 0
    for row in rows:
        if count == MOST_ROWS - 1:
            raise ConfigError(
                f"a sheet has {MOST_ROWS:,} rows, the names included",
                found="more rows",
                fix=f"{_OTHER_FORMATS}, or add a LIMIT to the query",
            )
        sheet.append([_cell(value, of, escape) for value, of in zip(row, fields, strict=True)])
        count += 1
    return count


def _cell(value: Any, field: StructField, escape: Callable[[str], str]) -> Any:
    """A value in the form that Excel has for its type."""
    if isinstance(value, str):
        typed = _typed(value, field.metadata.get(SOURCE_TYPE, ""))
        return _text(typed, field, escape) if isinstance(typed, str) else typed
    if isinstance(value, int):
        return value if abs(value) < 10**_MOST_DIGITS else str(value)
    if isinstance(value, float):
        return value if abs(value) < float("inf") else str(value)
    if isinstance(value, dt.date):
        return value if value >= _FIRST_DAY else value.isoformat()
    return value


def _typed(text: str, source_type: str) -> Any:
    """The time, number or truth value that a text of Spark's was; else the text."""
    if source_type == "boolean":
        return text == "true"
    if source_type in ("timestamp", "timestamp_ntz"):
        try:
            moment = dt.datetime.fromisoformat(text)
        except ValueError:  # years beyond 9999
            return text
        return moment if moment.date() >= _FIRST_DAY else text
    if source_type in _NUMBERS:
        digits = re.sub(r"\D", "", text.partition("E")[0]).lstrip("0")
        number = float(text)
        exact = len(digits) <= _MOST_DIGITS and abs(number) < float("inf")
        return number if exact else text
    return text


def _text(text: str, field: StructField, escape: Callable[[str], str]) -> str:
    written = xml_text(text if is_number(field) else escape(text))
    if len(written) > MOST_CHARACTERS:
        raise ConfigError(
            f"a cell holds {MOST_CHARACTERS:,} characters",
            found=f"a text of {len(written):,} in the column {field.name}",
            fix=f"{_OTHER_FORMATS}, or take its beginning: left({field.name}, 32000)",
        )
    return written
