"""The queries of docs/querying.md: Spark in ANSI mode and DuckDB give the same rows."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from behavior_spark.io.catalog import register_views
from behavior_spark.io.conf import conf_meanwhile
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines.demonstration import DemoResult
from behavior_spark.schemas import TABLES, VIEWS
from tests.docs.pages import ROOT, Block, blocks_of

PAGE = ROOT / "docs" / "querying.md"
ANSI = "spark.sql.ansi.enabled"
# The night that the page's queries ask for.
WRITTEN = "2024-04-30"
QUERY = re.compile(r'(?:shop|duckdb)\.sql\("""(.*?)"""\)', re.S)


def blocks() -> list[Block]:
    return list(blocks_of(PAGE.read_text(encoding="utf-8"), name=PAGE.name))


def pairs() -> list[tuple[str, str]]:
    """Queries for Spark and Databricks, each with what DuckDB writes instead."""
    marked = [b.text for b in blocks() if b.language == "python" and QUERY.search(b.text)]
    sparks = [text for text in marked if text.startswith("# Spark SQL, Databricks SQL")]
    ducks = [text for text in marked if text.startswith("# DuckDB")]
    assert len(sparks) == len(ducks) >= 3
    return [(query_of(s), query_of(d)) for s, d in zip(sparks, ducks, strict=True)]


def query_of(text: str) -> str:
    match = QUERY.search(text)
    assert match is not None
    return match[1]


@pytest.fixture(scope="module")
def views(spark: SparkSession, demo_night: DemoResult) -> Iterator[SparkSession]:
    """The session with the shop's tables and views, in Databricks SQL's mode."""
    with conf_meanwhile(spark, {ANSI: "true"}):
        register_views(Warehouse(spark, demo_night.settings.warehouse))
        yield spark


@pytest.fixture(scope="module")
def duck(demo_night: DemoResult) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the same tables, read by delta-rs, and the same views."""
    folder = Path(str(demo_night.settings.warehouse.path))
    with duckdb.connect() as connection:
        there = [name for name in TABLES if (folder / name).is_dir()]
        for name in there:
            connection.register(name, DeltaTable(str(folder / name)).to_pyarrow_dataset())
        for view in VIEWS.values():
            if {table.name for table in view.reads} <= set(there):
                connection.execute(f"CREATE VIEW {view.name} AS {view.sql()}")
        yield connection


def plain(value: Any) -> Any:
    """A value as both engines give it."""
    if isinstance(value, dict):
        return sorted((key, plain(item)) for key, item in value.items())
    return float(f"{value:.6g}") if isinstance(value, float) else value


def rows_of(rows: list[Any]) -> list[list[Any]]:
    return [[plain(value) for value in row] for row in rows]


def test_queries_of_the_page_give_the_same_rows_in_spark_and_duckdb(
    views: SparkSession, duck: duckdb.DuckDBPyConnection, demo_night: DemoResult
) -> None:
    alike = [(block.text, block.text) for block in blocks() if block.language == "sql"]
    assert len(alike) >= 5
    answered = 0
    for in_spark, in_duckdb in [*alike, *pairs()]:
        night = str(demo_night.layout.as_of)
        given = rows_of(views.sql(in_spark.replace(WRITTEN, night)).collect())
        other = rows_of(duck.execute(in_duckdb.replace(WRITTEN, night)).fetchall())
        if "LIMIT" not in in_spark:  # rows of one rank may stand in any order
            given, other = sorted(given, key=repr), sorted(other, key=repr)
        assert given == other, in_spark
        answered += bool(given)
    assert answered >= len(alike) + len(pairs()) - 1  # nobody's chance moved after one night
