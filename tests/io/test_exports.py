"""Rows of any query go to a file as they are, nested ones as JSON."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
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
