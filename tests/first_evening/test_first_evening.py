"""The first evening: from somebody's own log to a config that works, without an edit."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from behavior_spark.config import load_settings
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines import commands
from behavior_spark.pipelines.logs.starting import write_config
from behavior_spark.pipelines.logs.starting.leaves import leaves_of
from behavior_spark.pipelines.logs.starting.times import read_as_time
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
    overrides = [f"warehouse={tmp_path / 'warehouse'}"]
    if contradicted := name == "nested":
        overrides.append(f"features.without.value=[{log.buys}]")
    settings = load_settings([written.path], overrides=overrides)
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
    by_kind = (
        events.groupBy("event_type")
        .agg(F.count("*").alias("events"), F.count("value").alias("value"),
             F.count("item_id").alias("item_id"))
        .collect()
    )  # fmt: skip
    assert {row["event_type"]: row["events"] for row in by_kind} == log.kept
    kinds = {row["event_type"]: row for row in by_kind}
    without = load_settings([written.path]).features.without
    for column in ("value", "item_id"):
        lacking = [kind for kind in settings.features.event_types if not kinds[kind][column]]
        assert without.of(column) == lacking and log.buys not in lacking
    told = [note for note in checked.notes if "features.without" in note]
    again = [note for note in result.notes if "features.without" in note]
    assert bool(told) == bool(again) == contradicted
    if contradicted:
        assert "have a value" in again[0] and told[0].endswith(f"take off: {log.buys}")
    total = events.agg(F.sum("value").alias("value"), F.count("item_id").alias("items")).first()
    assert total is not None
    assert float(total["value"]) == pytest.approx(log.worth, abs=0.01)
    assert total["items"] > 0


def test_every_expression_that_init_writes_is_read_by_spark(
    spark: SparkSession, tmp_path: Path
) -> None:
    moment = dt.datetime(2024, 6, 29, 10, tzinfo=dt.UTC)
    seconds = int(moment.timestamp())
    forms: dict[str, Any] = {
        "seconds": seconds, "fractions": seconds + 0.0, "text": f"{seconds}000",
        "micros": seconds * 10**6, "nanos": seconds * 10**9, "day_first": "29.06.2024 10:00",
        "iso": "2024-06-29T12:00:00+02:00", "utc": "2024-06-29 10:00:00 UTC",
        "chinese": "2024年6月29日 10:00:00", "slashes": "2024/6/29 10:00",
        "month_first": "06/29/2024 10:00:00", "marked_t": "29.06.2024T10:00:00.000",
    }  # fmt: skip
    frame = spark.createDataFrame([tuple(forms.values())], list(forms))
    leaves = leaves_of(frame.schema, [row.asDict() for row in frame.collect()])
    readings = {leaf.key: read_as_time(leaf) for leaf in leaves}
    assert all(readings.values())
    micros = [
        F.expr(f"unix_micros(cast({reading.expression} AS timestamp))").alias(name)
        for name, reading in readings.items()
        if reading
    ]
    read = frame.select(*micros).first()
    assert read is not None
    assert read.asDict() == dict.fromkeys(forms, seconds * 10**6)


def test_a_column_that_came_later_is_seen(spark: SparkSession, tmp_path: Path) -> None:
    place = str(tmp_path / "log")
    start = {"id": "a", "user_id": "u", "ts": "2024-05-01 10:00:00", "event": "Visit Page"}
    old = pa.Table.from_pylist([{**start, "id": f"a{n}"} for n in range(600)])
    write_deltalake(place, old)
    new = pa.Table.from_pylist([
        {**start, "id": f"b{n}", "event": "Order Placed", "revenue": 2.5, "sku": "x"}
        for n in range(30)
    ])  # fmt: skip
    write_deltalake(place, new, mode="append", schema_mode="merge")
    written = write_config(events=place, texts=None, items=None, output=tmp_path / "m.yaml",
                           spark=spark, console=QUIET)  # fmt: skip
    events = load_settings([written.path]).sources.events[0]
    assert events.format == "delta"
    assert (events.columns["value"], events.columns["item_id"]) == ("revenue", "sku")
    assert "30 events; means purchase; their Order Placed" in written.read_text()


def test_a_table_that_was_filled_at_once_and_ids_that_repeat_are_told(
    spark: SparkSession, tmp_path: Path
) -> None:
    days = [dt.date(2024, 4, 1) + dt.timedelta(days=n) for n in range(40)]
    lines = ["order_id,customer_id,created_at,sku,qty,unit_price,loaded_at"]
    lines += [
        f"o{number // 2},c{number % 9},{day} 09:00:00,s{line},2,1.50,2024-09-01 03:00:00"
        for number, day in enumerate(days)
        for line in range(3)
    ]
    (tmp_path / "lines.csv").write_text("\n".join(lines))
    written = write_config(events=str(tmp_path / "lines.csv"), texts=None, items=None,
                           output=tmp_path / "m.yaml", spark=spark, console=QUIET)  # fmt: skip
    columns = load_settings([written.path]).sources.events[0].columns
    assert columns["event_type"] == "'purchase'"
    assert "qty" in columns["value"] and "unit_price" in columns["value"]
    assert columns["event_id"].startswith("md5(") and "arrived_at" not in columns
    assert "not loaded_at, as the rows of 40 days arrived on 1: loaded at once" in (
        written.read_text()
    )
