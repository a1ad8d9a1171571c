"""A workbook holds what Excel can hold exactly, computes nothing, and refuses what is too large."""

from __future__ import annotations

import datetime as dt
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from pyspark.sql import Row, SparkSession
from pyspark.sql.types import LongType, StringType, StructField

from behavior_spark.errors import ConfigError
from behavior_spark.io import spreadsheets
from behavior_spark.io.exports import escape_formula, export_rows, plain_columns
from behavior_spark.io.spreadsheets import write_workbook

QUERY = """
    SELECT 7 AS small, 12345678901234567 AS large, 0.1 + 0.2 AS price, 2.5D AS share,
           CAST('NaN' AS double) AS undefined, CAST(1.25 AS float) AS single, true AS yes,
           CAST('12345678901234.5678' AS decimal(18, 4)) AS exact,
           TIMESTAMP'2024-02-29 23:59:59.5' AS at, TIMESTAMP'1600-01-01' AS old_time,
           TIMESTAMP_NTZ'2024-02-29 10:00:00' AS local, DATE'2024-02-29' AS day,
           DATE'1899-12-31' AS old_day, array(named_struct('text', '=1')) AS reasons,
           '=1+1' AS formula, concat('a', char(1), 'b') AS control, CAST(NULL AS string) AS nothing,
           1 AS `=SUM(A1)`
"""


def test_every_type_is_excels_own_where_that_is_exact_and_text_where_not(
    spark: SparkSession, tmp_path: Path
) -> None:
    path = tmp_path / "rows.xlsx"
    assert export_rows(plain_columns(spark.sql(QUERY)), path) == 1
    names, row = load_workbook(path)["rows"].iter_rows()
    cells = {name.value: cell for name, cell in zip(names, row, strict=True)}
    values = {name: cell.value for name, cell in cells.items()}
    assert all(cell.data_type != "f" for cell in (*names, *row))
    assert (values["small"], values["large"]) == (7, "12345678901234567")
    assert (values["price"], values["share"], values["single"]) == (0.3, 2.5, 1.25)
    assert (values["exact"], values["undefined"]) == ("12345678901234.5678", "nan")
    assert values["yes"] is True and values["nothing"] is None
    assert values["at"] == dt.datetime(2024, 2, 29, 23, 59, 59, 500_000)
    assert values["local"] == dt.datetime(2024, 2, 29, 10)
    assert values["old_time"] == "1600-01-01 00:00:00"
    assert values["day"] == dt.datetime(2024, 2, 29) and values["old_day"] == "1899-12-31"
    assert values["reasons"] == '[{"text":"=1"}]'
    assert (values["formula"], values["control"]) == ("'=1+1", "a\ufffdb")
    assert values["'=SUM(A1)"] == 1


def written(rows: list[Row], *fields: StructField) -> io.BytesIO:
    file = io.BytesIO()
    write_workbook(file, fields, iter(rows), escape=escape_formula)
    return file


TEXT, NUMBER = StructField("text", StringType()), StructField("number", LongType())


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=50))
def test_no_text_is_computed_or_refused(text: str) -> None:
    file = written([Row(text)], TEXT)
    _, (cell,) = load_workbook(file)["rows"].iter_rows()
    assert cell.data_type != "f" and (cell.value or "")[:1] not in {"=", "+", "-", "@"}


def test_rows_beyond_a_sheet_and_a_text_beyond_a_cell_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(spreadsheets, "MOST_ROWS", 4)
    written([Row(1), Row(2), Row(3)], NUMBER)
    with pytest.raises(ConfigError, match="4 rows"):
        written([Row(1), Row(2), Row(3), Row(4)], NUMBER)
    written([Row("x" * 32_767)], TEXT)
    with pytest.raises(ConfigError, match="32,768 in the column text"):
        written([Row("x" * 32_768)], TEXT)
