"""Views: what is documented is what Spark, a catalog and DuckDB give."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import duckdb
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from behavior_spark.cli.main import run
from behavior_spark.config import WarehouseSettings, load_settings
from behavior_spark.errors import ConfigError
from behavior_spark.io.catalog import register_views
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines import views
from behavior_spark.pipelines.view_commands import ViewScript, view_script
from behavior_spark.schemas import TABLES, USER_PROPENSITY, VIEWS
from docs.generation.tables import tables_page, views_part


@pytest.fixture
def schema(spark: SparkSession, tmp_path: Path) -> Iterator[str]:
    name = f"views_{uuid.uuid4().hex[:8]}"
    spark.sql(f"CREATE SCHEMA {name} LOCATION '{tmp_path / name}'")
    yield name
    spark.sql(f"DROP SCHEMA {name} CASCADE")


def predictions(spark: SparkSession, warehouse: Warehouse) -> None:
    rows = [
        ("ann", "2024-05-01", "buy", 0.2, "m1"), ("ann", "2024-05-02", "buy", 0.5, "m2"),
        ("bob", "2024-05-01", "buy", 0.4, "m1"), ("ann", "2024-05-01", "stop", 0.1, "m1"),
    ]  # fmt: skip
    frame = spark.createDataFrame(
        rows,
        "user_id string, as_of string, target string, probability double, model_digest string",
    )
    warehouse.append(frame, USER_PROPENSITY)


HISTORY = [
    ("ann", "2024-05-01", None, None), ("ann", "2024-05-02", 0.3, False),
    ("bob", "2024-05-01", None, None),
]  # fmt: skip
ASKED = (
    "SELECT user_id, CAST(as_of AS STRING), round(change, 6), same_model "
    "FROM {} WHERE target = 'buy' ORDER BY ALL"
)


def test_views_have_the_columns_that_are_documented_with_their_types(spark: SparkSession) -> None:
    for table in TABLES.values():
        spark.createDataFrame([], table.schema).createOrReplaceTempView(f"empty_{table.name}")
    for view in VIEWS.values():
        frame = spark.sql(view.sql(lambda table: f"empty_{table.name}"))
        given = [(f.name, f.dataType.simpleString()) for f in frame.schema.fields]
        documented = [(f.name, f.dataType.simpleString()) for f in view.columns]
        assert given == documented, view.name
        assert all(field.metadata.get("comment") for field in view.columns), view.name
        assert view.name not in TABLES


def test_the_table_reference_has_every_view_with_its_columns_and_query() -> None:
    part = views_part()
    assert part in tables_page()
    for view in VIEWS.values():
        section = part.split(f"{{ #{view.name} }}")[1].split("\n### ")[0]
        assert view.sql() in section
        for field in view.columns:
            assert f"| `{field.name}` | `" in section, f"{view.name}.{field.name}"


def test_a_catalog_and_sql_have_the_views_and_a_missing_table_leaves_one_out(
    spark: SparkSession, tmp_path: Path, schema: str
) -> None:
    house = Warehouse(spark, WarehouseSettings(path=str(tmp_path / "a house"), register=schema))
    predictions(spark, house)
    settings = load_settings(["demo.yaml"]).model_copy(update={"warehouse": house.settings})
    created = views(settings, create=True, spark=spark).of(ViewScript).created
    assert created == (f"{schema}.latest_propensity", f"{schema}.propensity_history")
    assert views(settings, create=True, spark=spark).of(ViewScript).created == created  # again
    asked = spark.sql(ASKED.format(f"{schema}.propensity_history")).collect()
    assert [tuple(row) for row in asked] == HISTORY
    described = spark.sql(f"DESCRIBE {schema}.propensity_history").collect()
    assert all(row["comment"] for row in described)
    latest = spark.table(f"{schema}.latest_propensity")
    assert {(r["user_id"], r["target"]) for r in latest.collect()} == {
        ("ann", "buy"), ("ann", "stop")
    }  # fmt: skip
    assert {"user_propensity", *[name.split(".")[1] for name in created]} == set(
        register_views(house)
    )
    asked = spark.sql(ASKED.format("propensity_history")).collect()
    assert [tuple(row) for row in asked] == HISTORY


def test_a_text_whose_head_was_trained_again_has_its_newest_label(spark: SparkSession) -> None:
    rows = {
        "texts": ("text_id string, user_id string, text_time timestamp, kind string, text string, "
                  "text_hash string, arrived_at timestamp",
                  [("t1", "ann", moment(1), "chat", "hello", "h1", moment(1))]),
        "text_scores": ("text_hash string, head string, label string, probability float, "
                        "head_digest string, scored_at timestamp",
                        [("h1", "intent", "old", 0.9, "z", moment(2)),
                         ("h1", "intent", "new", 0.6, "a", moment(3)),
                         ("h1", "intent", "new", 0.6, "a", moment(3)),
                         ("h1", "mood", None, 0.4, "m", moment(2))]),
    }  # fmt: skip
    for name, (schema, values) in rows.items():
        spark.createDataFrame(values, schema).createOrReplaceTempView(f"scored_{name}")
    query = VIEWS["labelled_texts"].sql(lambda table: f"scored_{table.name}")
    asked = f"SELECT text_id, head, label, head_digest FROM ({query}) ORDER BY head"
    expected = [("t1", "intent", "new", "a"), ("t1", "mood", None, "m")]
    assert [tuple(row) for row in spark.sql(asked).collect()] == expected
    with duckdb.connect() as connection:
        for name in rows:
            connection.register(f"scored_{name}", spark.table(f"scored_{name}").toArrow())
        assert connection.execute(asked).fetchall() == expected


def moment(day: int) -> dt.datetime:
    return dt.datetime(2024, 5, day, tzinfo=dt.UTC)


def parquet_files(table: Path) -> str:
    """The files of a Delta table's latest version, as literals of SQL."""
    uris = [unquote(uri).removeprefix("file://") for uri in DeltaTable(str(table)).file_uris()]
    return ", ".join("'" + uri.replace("'", "''") + "'" for uri in uris)


def test_duckdb_gives_the_same_from_the_script_that_is_shown(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "it's a house"
    house = Warehouse(spark, WarehouseSettings(path=str(folder)))
    predictions(spark, house)
    settings = load_settings(["demo.yaml"]).model_copy(update={"warehouse": house.settings})
    script = view_script(settings, "duckdb")
    assert script[:2] == ["INSTALL delta", "LOAD delta"]
    with duckdb.connect() as connection:
        # The extension cannot be fetched here: delta-rs lists the files that it would read.
        files = {
            str(folder / table.name): parquet_files(folder / table.name)
            if table is USER_PROPENSITY else ""
            for table in TABLES.values()
        }  # fmt: skip
        for statement in script[2:]:
            for place, listed in files.items():
                scanned = f"delta_scan('{place.replace(chr(39), chr(39) * 2)}')"
                read = f"read_parquet([{listed}])" if listed else ""
                statement = statement.replace(scanned, read)
            if not statement.endswith("FROM "):
                try:
                    connection.execute(statement)
                except duckdb.CatalogException:  # of a table that is not there
                    assert "user_propensity" not in statement
        assert connection.execute(ASKED.format("propensity_history")).fetchall() == HISTORY


def test_the_script_is_shown_without_spark_and_says_what_cannot_be(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["views", "--config", "demo.yaml", "--dialect", "databricks", "--json"]) == 0
    shown = capsys.readouterr().out.strip().splitlines()
    statements = json.loads(shown[-1])["details"]["statements"]
    assert len(statements) == len(VIEWS)
    assert statements[0].startswith("CREATE OR REPLACE TEMPORARY VIEW latest_propensity AS\nSELECT")
    assert "demo/warehouse/user_propensity`" in statements[0]
    in_schema = load_settings(["demo.yaml"], overrides=["warehouse={schema: main.b}", "models=m"])
    assert "FROM main.b.user_propensity" in view_script(in_schema, "spark")[0]
    with pytest.raises(ConfigError, match="warehouse is a schema"):
        view_script(in_schema, "duckdb")
    with pytest.raises(ConfigError, match="no dialect mysql"):
        view_script(in_schema, "mysql")
