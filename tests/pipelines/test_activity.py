"""Tiles kept from night to night: whatever the order of events, as if built all at once."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from behavior_spark.config import FeatureSettings, Settings
from behavior_spark.features.feature_set import FeatureSet
from behavior_spark.features.inputs import Inputs, Offer
from behavior_spark.features.tiles.activity import Activity
from behavior_spark.features.tiles.windows import build_activity
from behavior_spark.io.day_range import DayRange
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines.users import activity as stored
from behavior_spark.runs.run import Run, running
from behavior_spark.schemas import ACTIVITY_DAYS, EVENTS, ITEMS, USER_STATE
from tests.features.frames import Table, as_table, assert_same, table
from tests.features.random_logs import (
    GAP_MINUTES,
    POPULATION_SQL,
    SETTINGS,
    TARGETS_SQL,
    WINDOWS,
    random_log,
)
from tests.features.reference import Log, midnight, reference_features
from tests.stored_tables import same_rows

NIGHTS = [dt.date(2024, 2, 26), dt.date(2024, 3, 1), dt.date(2024, 3, 9)]
MORE_NIGHTS = [*NIGHTS[:2], dt.date(2024, 3, 2), dt.date(2024, 3, 9), dt.date(2024, 3, 20)]
OWN = {"groups": ["activity", "targets"]}
WITH_TASTE = {"groups": [*OWN["groups"], "taste"], "taste": {}}


def settings_at(folder: Path, **features: Any) -> Settings:
    chosen = {
        "event_types": list(SETTINGS.event_types),
        "windows_days": list(WINDOWS),
        "session_gap_minutes": GAP_MINUTES,
        **OWN,
        **features,
    }
    nowhere = {"path": "nowhere", "columns": {}}
    targets = {
        name: {"event": event, "item": item, "horizon_days": days}
        for name, (event, item, days) in TARGETS_SQL.items()
    }
    return Settings.model_validate(
        {
            "warehouse": str(folder),
            "sources": {"events": nowhere, "items": nowhere},
            "features": chosen,
            "targets": targets,
            "population": POPULATION_SQL,
        }
    )


def run_at(spark: SparkSession, settings: Settings, night: dt.date) -> Run:
    warehouse = Warehouse(spark, settings.warehouse)
    return Run("build-features", settings, night, spark, warehouse, Console(quiet=True))


def night_at(
    spark: SparkSession, settings: Settings, night: dt.date
) -> AbstractContextManager[Run]:
    """A run as a command opens it."""
    return running(
        "build-features", settings, as_of=night, spark=spark, console=Console(quiet=True)
    )


def feature_set(run: Run) -> FeatureSet:
    """The features of events alone."""
    return FeatureSet.of(run.settings, Offer())


def update_activity(run: Run) -> None:
    stored.update_activity(run, feature_set(run))


def stored_activity(run: Run, days: Sequence[dt.date]) -> Activity | None:
    return stored.stored_activity(run, feature_set(run), days)


def ingest(run: Run, log: Log, since: dt.date | None) -> None:
    """What arrived in [since, night) as ingestion writes it; items are read whole."""
    start = midnight(since or dt.date(2000, 1, 1))
    rows = [r for r in log.events if start <= r["arrived_at"] < midnight(run.as_of)]
    days = DayRange("arrived_day", since=since, before=run.as_of)
    run.warehouse.replace(table(run.spark, EVENTS, rows), EVENTS, where=days)
    known = [item for item in log.items if item["valid_from"] < midnight(run.as_of)]
    run.warehouse.replace(table(run.spark, ITEMS, known), ITEMS, where="true")


def features_at(run: Run, days: Sequence[dt.date]) -> Table:
    activity = stored_activity(run, days)
    assert activity is not None
    inputs = Inputs(run.warehouse.read(EVENTS), items=run.warehouse.read(ITEMS), activity=activity)
    return as_table(feature_set(run).build(inputs, days))


def expected_at(log: Log, days: Sequence[dt.date], like: Table) -> Table:
    columns = set(next(iter(like.values())))
    return {
        (day, user): {name: value for name, value in row.items() if name in columns}
        for day in days
        for user, row in reference_features(log, day, replace(SETTINGS, taste=True)).items()
    }


def tiles_of(run: Run) -> DataFrame:
    return run.warehouse.read(ACTIVITY_DAYS)


def check_nights(
    spark: SparkSession, folder: Path, seed: int, *, cases: int, nights: Sequence[dt.date]
) -> None:
    """Night after night, then features of the last one and of all; then all built at once."""
    log = random_log(seed, cases=cases)
    settings = settings_at(folder / "nights", **WITH_TASTE)
    before = None
    for night in nights:
        with night_at(spark, settings, night) as run:
            ingest(run, log, before)
            update_activity(run)
        assert run.notes == []
        before = night
    found = features_at(run, [night])
    assert_same(found, expected_at(log, [night], found), log)
    assert run.warehouse.read(USER_STATE).select("known_day").distinct().count() > 1
    last = run_at(spark, settings, nights[-1])
    found = features_at(last, nights)
    assert_same(found, expected_at(log, nights, found), log)

    whole = run_at(spark, settings_at(folder / "whole", **WITH_TASTE), nights[-1])
    ingest(whole, log, None)
    update_activity(whole)
    key = [F.col(name) for name in ACTIVITY_DAYS.names]
    night_by_night, at_once = tiles_of(last).select(key), tiles_of(whole).select(key)
    assert same_rows(night_by_night, at_once)
    assert not at_once.where("known_day > first_known_day").isEmpty()
    assert not at_once.where("events = 0").isEmpty()


def test_night_by_night_equals_all_at_once_and_the_plain_reference(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "STATE_EVERY_DAYS", 2)
    check_nights(spark, tmp_path, 20240229, cases=800, nights=MORE_NIGHTS)


@pytest.fixture(scope="module")
def built(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Log]:
    """Two nights of a small log."""
    log = random_log(5, cases=30)
    settings = settings_at(tmp_path_factory.mktemp("built"))
    before = None
    for night in NIGHTS[:2]:
        with night_at(spark, settings, night) as run:
            ingest(run, log, before)
            update_activity(run)
        before = night
    return run, log


def viewing(run: Run) -> Settings:
    """The same job with views alone."""
    features = FeatureSettings(event_types=["view"], windows_days=[7], **OWN)
    return run.settings.model_copy(update={"features": features})


def test_a_repeated_night_without_new_events_builds_nothing(built: tuple[Run, Log]) -> None:
    run, _ = built
    version = run.warehouse.version(ACTIVITY_DAYS)
    update_activity(run_at(run.spark, run.settings, run.as_of))
    assert run.warehouse.version(ACTIVITY_DAYS) == version


def test_a_night_ingested_again_is_built_again_and_gives_the_same(built: tuple[Run, Log]) -> None:
    run, log = built
    rows = {tuple(row) for row in tiles_of(run).collect()}
    with night_at(run.spark, run.settings, run.as_of) as again:
        ingest(again, log, NIGHTS[0])
        update_activity(again)
    last = run.warehouse.history(ACTIVITY_DAYS)[0]
    assert last.days == DayRange("known_day", since=NIGHTS[0])
    assert {tuple(row) for row in tiles_of(run).collect()} == rows


def test_other_event_types_build_all_history_anew_and_a_killed_runs_tiles_are_not_taken(
    built: tuple[Run, Log],
) -> None:
    run, _ = built
    rows, other = {tuple(row) for row in tiles_of(run).collect()}, viewing(run)
    assert stored_activity(run_at(run.spark, other, run.as_of), [run.as_of]) is None
    with pytest.raises(KeyboardInterrupt), night_at(run.spark, other, run.as_of) as killed:
        update_activity(killed)
        raise KeyboardInterrupt
    assert any("anew" in note for note in killed.notes)
    kinds = {row["behaviour"] for row in tiles_of(run).select("behaviour").distinct().collect()}
    assert "view" in kinds and "click" not in kinds
    assert stored_activity(run_at(run.spark, run.settings, run.as_of), [run.as_of]) is None
    with night_at(run.spark, run.settings, run.as_of) as back:
        update_activity(back)
    assert any("anew" in note for note in back.notes)
    assert {tuple(row) for row in tiles_of(run).collect()} == rows


def event(key: str, user: str, happened: str, arrived: str, **more: Any) -> dict[str, Any]:
    at, known = (
        dt.datetime.fromisoformat(f"2024-{day}T09:00:00+00:00") for day in (happened, arrived)
    )
    row = {"event_id": key, "user_id": user, "event_time": at, "event_type": "click",
           "item_id": "x", "arrived_at": known, "arrived_day": known.date()}  # fmt: skip
    return row | more


def write_night(run: Run, events: list[dict[str, Any]]) -> None:
    first = min(row["arrived_day"] for row in events)
    run.warehouse.append(
        table(run.spark, EVENTS, events), EVENTS, days=DayRange("arrived_day", first)
    )
    run.warehouse.create(ITEMS)


def test_a_correction_out_of_reach_does_not_take_its_neighbours_away(
    spark: SparkSession, tmp_path: Path
) -> None:
    settings = settings_at(tmp_path, correction_days=30)
    before = [
        event("a1", "u", "01-20", "01-20"),
        event("a2", "u", "01-20", "01-20"),
        event("b1", "v", "01-10", "03-30"),
    ]
    with night_at(spark, settings, dt.date(2024, 4, 9)) as run:
        write_night(run, before)
        update_activity(run)
    again = [
        event("a1", "u", "01-20", "04-09"),  # its earlier version is out of reach
        event("b1", "v", "01-10", "04-09", value=Decimal("2.0000")),
    ]
    with night_at(spark, settings, dt.date(2024, 4, 10)) as run:
        write_night(run, again)
        update_activity(run)
    seen = tiles_of(run).where("user_id = 'u' AND behaviour = 'click'").collect()
    assert sorted((r["known_day"].isoformat(), r["events"]) for r in seen) == [
        ("2024-01-20", 2), ("2024-04-09", 1)
    ]  # fmt: skip
    corrected = tiles_of(run).where("user_id = 'v' AND behaviour = 'click'").collect()
    assert max(corrected, key=lambda r: r["known_day"])["value"] == 2


def test_a_night_that_brings_no_tile_reads_tiles_all_the_same(
    built: tuple[Run, Log], tmp_path: Path
) -> None:
    before, _ = built
    shutil.copytree(str(before.settings.warehouse.path), tmp_path / "copy")
    settings, night = settings_at(tmp_path / "copy"), before.as_of + dt.timedelta(days=1)
    version = before.warehouse.version(ACTIVITY_DAYS)
    with night_at(before.spark, settings, night) as run:
        update_activity(run)
        assert stored_activity(run, [night]) is not None
    assert run.warehouse.version(ACTIVITY_DAYS) == version
    assert stored_activity(run_at(before.spark, settings, night), [night]) is None


def test_features_of_many_days_move_tiles_by_user_and_no_wide_rows(
    built: tuple[Run, Log], capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = built
    days = NIGHTS[:2]
    activity = stored_activity(run, days)
    assert activity is not None
    build_activity(activity, days, feature_set(run).plan).explain()
    plan = capsys.readouterr().out
    # What has a place among the days has been repeated for it, and hundreds of sums follow.
    assert "Union" in plan and "hashpartitioning(user_id" in plan
    assert "hashpartitioning(_place" not in plan


def test_tiles_read_are_those_since_the_snapshot(built: tuple[Run, Log]) -> None:
    run, _ = built
    activity = stored_activity(run, [run.as_of])
    assert isinstance(activity, Activity) and activity.state is not None
    earlier = stored_activity(run, [dt.date(2024, 1, 20)])
    assert earlier is not None and earlier.state is None
