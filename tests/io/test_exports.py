"""Rows of any query go to a file as they are, nested ones as JSON."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from openpyxl import load_workbook
from pyspark.sql import SparkSession

from behavior_spark.io.exports import export_rows, plain_columns

QUERY = """
    SELECT id, id AS id, named_struct('a', array(id, 2), 'b', 'x') AS nested,
           array(named_struct('text', '=1')) AS reasons, map('k', id) AS by_name,
           CAST(id AS decimal(18, 4)) / 8 AS price, id > 1 AS many, CAST(NULL AS string) AS nothing,
           TIMESTAMP'2024-02-29 23:59:59.5' AS at, DATE'2024-02-29' AS day, id / 4 AS share,
           'é;"' AS text
    FROM range(3) ORDER BY id DESC
"""


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_every_type_has_a_form_in_a_file(spark: SparkSession, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"rows.{ending}"
    assert export_rows(plain_columns(spark.sql(QUERY)), path) == 3
    if ending == "csv":
        with path.open(encoding="utf-8", newline="") as file:
            names, *rows = csv.reader(file)
    else:
        table = pq.read_table(path)
        names = table.column_names
        columns = [column.to_pylist() for column in table.columns]
        rows = [
            ["" if value is None else str(value) for value in row]
            for row in zip(*columns, strict=True)
        ]
    assert names[:2] == ["id", "id_2"] and len(names) == 12
    assert [row[0] for row in rows] == ["2", "1", "0"]
    first = dict(zip(names, rows[0], strict=True))
    assert json.loads(first["nested"]) == {"a": [2, 2], "b": "x"}
    assert json.loads(first["reasons"]) == [{"text": "=1"}]
    assert json.loads(first["by_name"]) == {"k": 2}
    assert float(first["price"]) == 0.25 and float(first["share"]) == 0.5
    assert (first["many"], first["nothing"], first["day"]) == ("true", "", "2024-02-29")
    assert first["at"] == "2024-02-29 23:59:59.5" and first["text"] == 'é;"'


def test_numbers_below_zero_are_no_formulas_and_texts_that_look_like_them_are(
    spark: SparkSession, tmp_path: Path
) -> None:
    query = """
        SELECT CAST(-12.5 AS decimal(18, 4)) AS price, CAST(-0.25 AS float) AS share, -1.5D AS mean,
               CAST('-1234567890123456.5' AS decimal(18, 1)) AS wide, '-12.5' AS text, -3 AS `=n`
    """
    frame = plain_columns(spark.sql(query))
    export_rows(frame, tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        names, row = csv.reader(file)
    assert row == ["-12.5000", "-0.25", "-1.5", "-1234567890123456.5", "'-12.5", "-3"]
    assert names == ["price", "share", "mean", "wide", "text", "'=n"]
    export_rows(frame, tmp_path / "rows.xlsx")
    sheet = load_workbook(tmp_path / "rows.xlsx").active
    assert [cell.value for cell in sheet[2]] == [
        -12.5, -0.25, -1.5, "-1234567890123456.5", "'-12.5", -3
    ]  # fmt: skip
