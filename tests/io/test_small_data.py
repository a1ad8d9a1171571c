"""Plans over small data are interpreted, in local sessions of this package alone."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from behavior_spark.config import LocalSpark, WarehouseSettings, validate_settings
from behavior_spark.io.conf import conf_meanwhile
from behavior_spark.io.session import local_settings
from behavior_spark.io.small_data import interpreted
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.runs.run import Run, running
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import ITEMS, TEXTS, Contract

ALLOWED = "spark.behaviorSpark.interpretSmallData"
COMPILED = "spark.sql.codegen.wholeStage"


def test_tables_of_a_catalog_are_not_measured(spark: SparkSession) -> None:
    assert not Warehouse(spark, WarehouseSettings(schema="night")).are_small([TEXTS])


@pytest.mark.parametrize(
    ("conf", "allowed"),
    [({}, "true"), ({"spark.ui.enabled": "true"}, "true"), ({COMPILED: "true"}, "false")],
)
def test_a_config_that_speaks_of_compiling_decides(conf: dict[str, str], allowed: str) -> None:
    assert local_settings(LocalSpark(conf=conf))[ALLOWED] == allowed


def test_a_session_is_as_it_was_after_the_block(spark: SparkSession) -> None:
    local = {ALLOWED: "true", COMPILED: "true", "spark.sql.codegen.factoryMode": "FALLBACK"}
    with conf_meanwhile(spark, local):
        with interpreted(spark, where=False):
            assert spark.conf.get(COMPILED) == "true"
        with interpreted(spark), interpreted(spark):
            assert spark.conf.get(COMPILED) == "false"
            assert spark.conf.get("spark.sql.codegen.factoryMode") == "NO_CODEGEN"
        assert {key: spark.conf.get(key) for key in local} == local
    with conf_meanwhile(spark, local):
        spark.conf.unset(ALLOWED)  # a platform's session
        with interpreted(spark):
            assert spark.conf.get(COMPILED) == "true"


@dataclass(frozen=True)
class Seen(StageResult):
    """How a stage's plans were run."""

    compiled: bool


def looking(run: Run) -> Seen:
    """A stage that looks at its session."""
    return Seen(run.spark.conf.get(COMPILED) == "true")


@pytest.fixture
def compiled_in(spark: SparkSession, tmp_path: Path) -> Callable[..., bool]:
    """Whether a stage's plans are compiled in a local session, by the tables that it reads."""

    def ask(*reads: Contract, writes: tuple[Contract, ...] = ()) -> bool:
        made = stage("looks", does="look", reads=reads, writes=writes)(looking)
        settings = validate_settings(
            {
                "warehouse": str(tmp_path),
                "sources": {"events": {"path": "unused", "columns": {"event_id": "id"}}},
                "features": {"event_types": ["view"]},
                "targets": {"any": {"event": "true"}},
            }
        )
        local = {ALLOWED: "true", COMPILED: "true"}
        quiet, day = Console(quiet=True), dt.date(2024, 1, 2)
        with (
            conf_meanwhile(spark, local),
            running("x", settings, as_of=day, spark=spark, console=quiet, record=False) as run,
        ):
            return made(run).compiled

    return ask


def test_a_stage_is_interpreted_where_all_its_tables_are_small(
    compiled_in: Callable[..., bool], tmp_path: Path
) -> None:
    assert compiled_in()  # what it reads is not known
    assert not compiled_in(TEXTS, ITEMS)
    (tmp_path / ITEMS.name).mkdir()
    with (tmp_path / ITEMS.name / "part.parquet").open("wb") as large:
        large.truncate((24 << 20) + 1)
    assert compiled_in(TEXTS, ITEMS)
    assert not compiled_in(TEXTS)
    assert compiled_in(TEXTS, writes=(ITEMS,))
