"""A product rests on its last build only while nothing has taken rows out since."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from behavior_spark.config import WarehouseSettings
from behavior_spark.io.day_range import DayRange
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.runs.builds import Build, changes_since, last_build
from behavior_spark.runs.run import Run
from behavior_spark.schemas import TEXT_EMBEDDINGS, TEXTS

DAY = dt.date(2024, 3, 1)


@pytest.fixture
def run(spark: SparkSession, tmp_path: Path) -> Run:
    warehouse = Warehouse(spark, WarehouseSettings(path=str(tmp_path)))
    return Run("test", None, DAY, spark, warehouse, Console(quiet=True))  # type: ignore[arg-type]


def append(run: Run, build: Build | None = None) -> int:
    """Add a row; returns the table's version."""
    row = run.spark.sql("SELECT 'h' AS text_hash, 'd' AS backbone_digest, now() AS scored_at")
    run.warehouse.append(row, TEXT_EMBEDDINGS, note=build.note if build else None)
    version = run.warehouse.version(TEXT_EMBEDDINGS)
    assert version is not None
    return version


def take_out(run: Run) -> None:
    """As another program does; what looks afterwards is a later run."""
    run.spark.sql(f"DELETE FROM {run.warehouse.identifier(TEXT_EMBEDDINGS)}")
    run.warehouse = Warehouse(run.spark, run.warehouse.settings)


def test_builds_of_several_definitions_live_in_one_table(run: Run) -> None:
    assert last_build(run, TEXT_EMBEDDINGS) is None
    own = append(run)
    first, second = Build(DAY, "a", 3, own), Build(DAY, "b", 4, own)
    append(run, first)
    append(run, second)
    append(run)
    run.warehouse.compact(TEXT_EMBEDDINGS)
    assert last_build(run, TEXT_EMBEDDINGS) == second
    assert last_build(run, TEXT_EMBEDDINGS, definition="a") == first
    assert last_build(run, TEXT_EMBEDDINGS, definition="c") is None
    take_out(run)
    assert last_build(run, TEXT_EMBEDDINGS, definition="a") is None


def test_rows_taken_out_while_it_was_built_end_a_build_that_adds(run: Run) -> None:
    own = append(run)
    take_out(run)
    append(run, Build(DAY, "a", 3, own))
    assert last_build(run, TEXT_EMBEDDINGS, definition="a") is None
    replaced = Build(DAY, "a", 3)
    append(run, replaced)
    assert last_build(run, TEXT_EMBEDDINGS, definition="a") == replaced


def test_changes_reach_back_to_the_first_day_that_a_commit_touched(run: Run) -> None:
    texts = run.spark.sql(
        f"""SELECT 't' AS text_id, 'a' AS text, 'h' AS text_hash, TIMESTAMP '{DAY} 09:00:00' AS
        text_time, TIMESTAMP '{DAY} 09:00:00' AS arrived_at, DATE'{DAY}' AS arrived_day"""
    )
    run.warehouse.append(texts, TEXTS)
    start = changes_since(run, TEXTS, None)
    assert (start.start, start.why) == (None, "there is none yet")
    last = Build(DAY, "a", start.version)
    assert changes_since(run, TEXTS, last).start == DAY
    early = DAY - dt.timedelta(days=3)
    run.warehouse.replace(texts, TEXTS, where=DayRange("arrived_day", early))
    run.warehouse.compact(TEXTS)
    assert changes_since(run, TEXTS, last).start == early
    assert changes_since(run, TEXTS, Build(DAY, "a", 99)).why.startswith("the history of table")
    run.warehouse.append(texts, TEXTS)
    changed = changes_since(run, TEXTS, last)
    assert (changed.start, changed.why) == (None, "table texts was changed by WRITE")
