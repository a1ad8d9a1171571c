"""Sessions, links, attributes, funnels and machines through the commands, night by night."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from behavior_spark.cli.main import run
from behavior_spark.config import Settings, validate_settings
from behavior_spark.errors import ConfigError, InputError
from behavior_spark.features import feature_set
from behavior_spark.features.feature_set import FeatureSet
from behavior_spark.features.inputs import Inputs
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines import commands, report_commands
from behavior_spark.pipelines.users.funnels import FunnelsCounted
from behavior_spark.pipelines.users.leakage import LeakageChecked
from behavior_spark.schemas import EVENTS, SESSIONS, USER_FEATURES, Contract

QUIET = Console(quiet=True)
FIRST, SECOND, LAST = dt.date(2024, 2, 10), dt.date(2024, 2, 12), dt.date(2024, 2, 14)


def settings_in(folder: Path, warehouse: str, **changes: Any) -> Settings:
    def source(name: str, **columns: str) -> dict[str, Any]:
        return {"path": str(folder / name), "format": "json", "columns": columns}

    tree: dict[str, Any] = {
        "warehouse": str(folder / warehouse),
        "sources": {
            "events": source(
                "events", event_id="id", user_id="user", event_time="time", event_type="type",
                anonymous_id="cookie", arrived_at="received",
            ),
            "identities": source("links", anonymous_id="cookie", user_id="user", linked_at="time"),
            "attributes": {
                "account": source("accounts", user_id="user", valid_from="since",
                                  is_pro="plan = 'pro'", seats="seats"),
            },
        },
        "features": {
            "event_types": ["view", "purchase"],
            "windows_days": [7],
            "funnels": {"buy": {"steps": ["view", "purchase"]}},
        },
        "targets": {"purchase_30d": {"event": "event_type = 'purchase'"}},
    }  # fmt: skip
    return validate_settings({**tree, **changes})


def write(folder: Path, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True)
    (folder / "rows.json").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")


def event(key: str, time: str, **more: Any) -> dict[str, Any]:
    row = {"id": key, "user": "ann", "time": f"2024-02-{time}", "type": "view", "cookie": None}
    return row | {"received": f"2024-02-{time}"} | more


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    nobody = {"user": None, "cookie": "c1"}
    timer = [
        event(f"b{n}", f"{9 + n // 144:02}T{n % 144 // 6:02}:{n % 6}0:05", user="timer")
        for n in range(300)
    ]
    write(
        folder / "events",
        [
            event("a1", "09T10:00:00"),
            event("a2", "09T10:50:00", type="purchase"),
            event("a3", "09T10:25:00", received="2024-02-11T09:00:00"),
            event("v1", "08T12:00:00", **nobody),
            event("v2", "11T12:00:00", type="purchase", **nobody),
            event("v3", "13T12:00:00", **nobody),
            *timer,
        ],
    )
    write(folder / "links", [{"cookie": "c1", "user": "bob", "time": "2024-02-11T13:00:00"}])
    write(
        folder / "accounts",
        [
            {"user": "ann", "since": "2024-01-01T00:00:00", "plan": "free", "seats": 2},
            {"user": "ann", "since": "2024-02-12T00:00:00", "plan": "pro", "seats": 5},
        ],
    )
    return folder


def night(settings: Settings, as_of: dt.date, spark: SparkSession) -> list[str]:
    """Ingest and build; what the build noted."""
    commands.ingest(settings, as_of=as_of, spark=spark, console=QUIET)
    return commands.build_features(settings, as_of=as_of, spark=spark, console=QUIET).notes


def content(spark: SparkSession, settings: Settings, table: Contract) -> list[str]:
    frame = Warehouse(spark, settings.warehouse).read(table)
    return sorted(map(repr, frame.where("true").collect()))


def features_at(spark: SparkSession, settings: Settings, as_of: dt.date) -> dict[str, Any]:
    frame = Warehouse(spark, settings.warehouse).read(USER_FEATURES)
    return {r["user_id"]: r for r in frame.where(F.col("as_of") == F.lit(as_of)).collect()}


@pytest.fixture(scope="module")
def nightly(spark: SparkSession, shop: Path) -> Settings:
    """The first and the last night; a copy of the first is the warehouse ``first``."""
    settings = settings_in(shop, "nightly")
    notes = night(settings, FIRST, spark)
    shutil.copytree(shop / "nightly", shop / "first")
    notes += night(settings, LAST, spark)
    # Links give earlier events their user, and yet no night looks at all of history again.
    assert not any("anew" in note for note in notes)
    return settings


def test_nights_one_by_one_and_at_once_give_the_same_and_each_day_sees_its_own(
    spark: SparkSession, shop: Path, nightly: Settings
) -> None:
    settings, at_once = nightly, settings_in(shop, "at_once")
    night(at_once, LAST, spark)
    for table in (EVENTS, SESSIONS):
        assert content(spark, settings, table) == content(spark, at_once, table)
    first, last = features_at(spark, settings, FIRST), features_at(spark, settings, LAST)
    assert last == features_at(spark, at_once, LAST)
    assert set(first) == {"ann", "timer"} and set(last) == {"ann", "bob", "timer"}
    assert (first["ann"]["session_count_all"], last["ann"]["session_count_all"]) == (2, 1)
    assert (first["ann"]["funnel_buy_step_7d"], last["ann"]["funnel_buy_step_7d"]) == (1, 2)
    assert last["bob"]["event_count_all"] == 3
    assert [row["ann"]["attribute_account_is_pro"] for row in (first, last)] == [0.0, 1.0]
    assert last["bob"]["attribute_account_seats"] is None
    flags = [(row["timer"]["is_bot"], row["timer"]["bot_reason"]) for row in (first, last)]
    assert flags == [(True, "regularity"), (True, "regularity")]
    assert not last["ann"]["is_bot"] and last["ann"]["bot_reason"] is None


def test_sessions_of_another_gap_or_day_are_refused_not_read(
    spark: SparkSession, shop: Path, nightly: Settings
) -> None:
    settings = settings_in(shop, "first")
    short = settings.features.model_copy(update={"session_gap_minutes": 5})
    other = settings.model_copy(update={"features": short})
    with pytest.raises(InputError, match="a gap of 30 minutes, not 5"):
        report_commands.check_leakage(other, as_of=FIRST, spark=spark, console=QUIET)
    commands.ingest(settings, as_of=LAST, spark=spark, console=QUIET)
    with pytest.raises(InputError, match=f"they reach to {FIRST}, wanted {LAST}"):
        report_commands.check_leakage(settings, as_of=LAST, spark=spark, console=QUIET)


def test_another_gap_builds_sessions_anew_and_the_gap_before_the_same_as_before(
    spark: SparkSession, nightly: Settings
) -> None:
    settings = nightly
    before = content(spark, settings, SESSIONS)
    short = settings.features.model_copy(update={"session_gap_minutes": 5})
    other = settings.model_copy(update={"features": short})
    result = commands.build_features(other, as_of=LAST, spark=spark, console=QUIET)
    assert any("built anew" in note for note in result.notes)
    counts = features_at(spark, settings, LAST)
    assert (counts["ann"]["session_count_all"], counts["timer"]["session_count_all"]) == (3, 300)
    commands.build_features(settings, as_of=LAST, spark=spark, console=QUIET)
    assert content(spark, settings, SESSIONS) == before


def test_funnel_counts_users_and_sessions_as_known_at_the_day(
    spark: SparkSession, nightly: Settings
) -> None:
    settings = nightly
    result = report_commands.funnel(settings, as_of=SECOND, spark=spark, console=QUIET)
    steps = {s.step: (s.users, s.of_first) for s in result.of(FunnelsCounted).steps}
    assert steps == {"view": (3, 1.0), "purchase": (1, 1 / 3)}
    assert "| buy | purchase | 1 | 33.3% |" in result.page()
    bare = settings.model_copy(
        update={"features": settings.features.model_copy(update={"funnels": {}})}
    )
    with pytest.raises(ConfigError, match="no funnel is configured"):
        report_commands.funnel(bare, spark=spark, console=QUIET)


def test_check_leakage_passes_the_nightly_features_and_reports_what_it_could_not_check(
    spark: SparkSession, nightly: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    plans = Mock(wraps=feature_set.make_plan)
    monkeypatch.setattr(feature_set, "make_plan", plans)
    settings = nightly
    result = report_commands.check_leakage(settings, as_of=SECOND, spark=spark, console=QUIET)
    assert plans.call_count == 1  # though features are built twice
    found = result.of(LeakageChecked).report
    assert found.leaks == {} and found.features > 20
    assert "exactly the same" in result.page()
    assert any("too little history" in note for note in result.notes)
    json.dumps(result.as_dict(), default=str)


def test_check_leakage_ends_with_1_and_names_a_feature_that_looks_ahead(
    spark: SparkSession,
    shop: Path,
    nightly: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    build = FeatureSet.build

    def looking_ahead(features: FeatureSet, inputs: Inputs, days: Sequence[dt.date]) -> DataFrame:
        ever = inputs.events.groupBy("user_id").agg(F.count("event_id").alias("events_ever"))
        return build(features, inputs, days).join(ever, "user_id", "left")

    monkeypatch.setattr(FeatureSet, "build", looking_ahead)
    config = shop / "shop.yaml"
    tree = nightly.model_dump(by_alias=True, mode="json", exclude_unset=True)
    config.write_text(json.dumps(tree), encoding="utf-8")
    assert run(["check-leakage", "--config", str(config), "--as-of", str(SECOND)]) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "events_ever" in said and "change with what became known later" in said


def test_a_wrong_attribute_is_named_before_any_work(
    spark: SparkSession, shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = settings_in(shop, "other").model_dump(by_alias=True, mode="json")
    account = tree["sources"]["attributes"]["account"]
    account["columns"]["plan"] = "plan"
    with pytest.raises(
        ConfigError, match=r"account\.columns\.plan must be a number, a condition or a category"
    ):
        commands.check(validate_settings(tree), spark=spark, console=QUIET)
    del account["columns"]["valid_from"]
    with pytest.raises(ConfigError, match="valid_from is missing"):
        validate_settings(tree)
    with pytest.raises(InputError, match="sessions does not exist"):
        report_commands.funnel(settings_in(shop, "nowhere"), spark=spark, console=QUIET)
    assert run(["funnel", "--help"]) == 0 and run(["check-leakage", "--help"]) == 0
    assert "Exit code 1 if something leaks" in " ".join(capsys.readouterr().out.split())
