"""The first evening: from somebody's own log to a config that works, without an edit."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from behavior_spark.config import load_settings
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines import commands
from behavior_spark.pipelines.logs.starting import write_config
from behavior_spark.pipelines.logs.verdict import Verdict
from behavior_spark.schemas import EVENTS
from tests.first_evening.logs import LOGS

QUIET = Console(quiet=True)


@pytest.mark.parametrize("name", LOGS)
def test_a_log_is_read_as_it_is_from_init_to_the_last_row(
    spark: SparkSession, tmp_path: Path, name: str
) -> None:
    log = LOGS[name](tmp_path)
    written = write_config(
        events=str(log.path), texts=None, items=None, output=tmp_path / "mine.yaml", spark=spark,
        console=QUIET,
    )  # fmt: skip
    assert str(written.as_of) == "2024-06-29"
    settings = load_settings([written.path], overrides=[f"warehouse={tmp_path / 'warehouse'}"])
    assert log.buys in settings.features.event_types
    purchase = next(iter(settings.targets.values()))
    assert purchase.event == f"event_type = '{log.buys}'"

    checked = commands.check(settings, spark=spark, console=QUIET)
    verdict = checked.of(Verdict)
    assert verdict.failure is None and verdict.as_of == written.as_of
    assert next(iter(verdict.targets.values())).positives > 20
    assert not any(outlook.problem for outlook in verdict.targets.values())
    assert checked.last_lines() == [verdict.last_line()]
    assert "can run with --as-of 2024-06-29; your log ends 2024-06-28" in checked.last_lines()[0]

    result = commands.ingest(settings, as_of=written.as_of, spark=spark, console=QUIET)
    counts = next(c for c in result.sources if c.table_name == "events")
    assert (counts.rows_in, counts.duplicates, counts.refused) == (
        log.rows, log.duplicates, log.refused,
    )  # fmt: skip
    assert counts.balanced
    events = Warehouse(spark, settings.warehouse).snapshot(EVENTS)
    events = events.dropDuplicates(["event_id"])  # a link adds versions with the visitor's user
    by_kind = events.groupBy("event_type").count().collect()
    assert {row["event_type"]: row["count"] for row in by_kind} == log.kept
    total = events.agg(F.sum("value").alias("value"), F.count("item_id").alias("items")).first()
    assert total is not None
    assert float(total["value"]) == pytest.approx(log.worth, abs=0.01)
    assert total["items"] > 0
