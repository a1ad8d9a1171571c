"""Alerts of a shop with planted incidents: what a security team relies on every morning."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from behavior_spark.config import Settings, load_settings
from behavior_spark.demo.generate import DemoLayout, generate_demo
from behavior_spark.errors import ConfigError
from behavior_spark.io.catalog import register_views
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines import commands
from behavior_spark.pipelines.uses.alert_truth import AlertsMeasured, measure_alerts
from behavior_spark.pipelines.uses.alerts import Alerted
from behavior_spark.schemas import RISK_ALERTS, TEXTS
from tests.notebooks.running import run
from tests.stored_tables import same_rows, snapshot

QUIET = Console(quiet=True)
pytestmark = pytest.mark.real  # a night without models: a minute, more beside other work


@dataclass(frozen=True)
class Watched:
    """A shop whose night was watched."""

    layout: DemoLayout
    settings: Settings
    warehouse: Warehouse
    first: Alerted
    tonight: DataFrame


@pytest.fixture(scope="module")
def watched(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Watched:
    folder = tmp_path_factory.mktemp("watched")
    layout = generate_demo(spark, str(folder / "data"), users=150, days=80, seed=3, incidents=True)
    settings = load_settings(
        ["demo.yaml"],
        overrides=["text=null", "service=null"],
        environment={"DEMO_ROOT": str(folder)},
    )
    place: commands.Place = {"spark": spark, "console": QUIET, "as_of": layout.as_of}
    commands.ingest(settings, **place)
    commands.build_features(settings, **place)
    first = commands.alerts(settings, **place).of(Alerted)
    warehouse = Warehouse(spark, settings.warehouse)
    tonight = warehouse.read(RISK_ALERTS).where(F.col("as_of") == F.lit(layout.as_of))
    return Watched(layout, settings, warehouse, first, snapshot(tonight, folder / "tonight"))


@pytest.fixture(scope="module")
def measured(watched: Watched) -> AlertsMeasured:
    return measure_alerts(watched.warehouse, watched.layout, days=7)


def test_alerts_find_more_of_what_was_planted_than_the_naive_rule(measured: AlertsMeasured) -> None:
    rules = {rule.rule: rule for rule in measured.rules}
    mine = rules["all alerts"]
    naive = next(rule for name, rule in rules.items() if name.startswith("naive"))
    assert mine.users == naive.users
    assert mine.right > naive.right
    assert sum(mine.found.values()) < sum(measured.planted.values())  # nothing is perfect here


def test_every_alert_can_be_checked_by_its_figures_and_its_query(watched: Watched) -> None:
    register_views(watched.warehouse)
    rows = watched.tonight.collect()
    by_kind = {row["kind"]: row for row in rows}
    assert {"event_rate", "account_takeover", "similar_texts"} <= set(by_kind)
    for row in rows:
        assert row["times_limit"] >= 1 and row["figures"] and row["evidence"].endswith(".")
        assert row["score"] == pytest.approx(1 - 0.5 / row["times_limit"])
        expected = "high" if row["times_limit"] >= 4 else "medium"
        assert row["severity"] == (expected if row["times_limit"] >= 2 else "low")
    for row in by_kind.values():
        assert watched.warehouse.spark.sql(row["check_sql"]).count() > 0
    rate = by_kind["event_rate"]
    shown = watched.warehouse.spark.sql(rate["check_sql"]).first()
    assert shown and shown["events"] >= rate["figures"]["events"]


def test_no_text_and_no_user_id_stands_in_the_evidence(watched: Watched) -> None:
    users = {row["subject"] for row in watched.tonight.collect() if row["subject_kind"] == "user"}
    texts = [r["text"] for r in watched.warehouse.read(TEXTS).select("text").distinct().collect()]
    said = " ".join(r["evidence"] + r["check_sql"] for r in watched.tonight.collect())
    assert not [text for text in texts if len(text) > 30 and text in said]
    sentences = " ".join(row["evidence"] for row in watched.tonight.collect())
    assert not [user for user in users if user in sentences]


def test_what_cannot_be_said_is_counted_and_said(watched: Watched) -> None:
    quiet = watched.first.quiet
    assert "text_abuse" in quiet and "refused_rows" in quiet and "visitor_links" in quiet
    silent = watched.first.silent["account_takeover"]
    assert list(silent) == ["users with fewer than 5 active days of own past"]
    assert 0 < silent["users with fewer than 5 active days of own past"] < 150


def test_the_notebook_for_security_shows_the_alerts_and_what_they_rest_on(
    watched: Watched, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEMO_ROOT", str(Path(watched.layout.root).parent))
    shown = run("08_security.py", spark)
    tonight = watched.tonight.collect()
    counts = {
        r["kind"]: r["alerts"] for r in shown.with_columns("kind", "alerts", "high").collect()
    }
    assert sum(counts.values()) == len(tonight)
    drawn = shown.pictures["Alerts by kind"].table.rows
    assert {row[0]: int(row[1]) for row in drawn} == counts
    seen = shown.with_columns("alert", "evidence", "times_limit").collect()
    assert len(seen) == min(20, len(tonight)) and all(row["evidence"] for row in seen)
    busy = {r["users"]: r for r in shown.with_columns("users", "most_events_a_day").collect()}
    assert busy["with an alert"]["how_many"] < busy["all others"]["how_many"]
    assert shown.with_columns("alert_id", "verdict").count() == 1


def test_a_rerun_and_a_night_after_it_leave_a_night_as_it_was(
    watched: Watched, spark: SparkSession, tmp_path: Path
) -> None:
    as_of, following = watched.layout.as_of, watched.layout.as_of + dt.timedelta(days=1)
    stored = watched.warehouse.read(RISK_ALERTS)
    by_subject = {(r["kind"], r["subject"], r["about"]): r for r in watched.tonight.collect()}
    burst = next(row for key, row in by_subject.items() if key[0] == "event_rate")
    stolen = next(row for key, row in by_subject.items() if key[0] == "account_takeover")
    verdicts = tmp_path / "verdicts.csv"
    noon = f"{as_of} 12:00:00"
    verdicts.write_text(
        "alert_id,verdict,by,at\n"
        f"{burst['alert_id']},Confirmed,ann,{noon}\n"
        f"{stolen['alert_id']},dismissed,bob,{noon}\n"
        f"{burst['alert_id']},dismissed,eve,{following + dt.timedelta(days=9)} 12:00:00\n"
        f"{stolen['alert_id']},perhaps,eve,{noon}\n"
    )
    alerts = watched.settings.alerts
    assert alerts is not None
    tree = watched.settings.model_dump(by_alias=True)
    tree["alerts"]["feedback"] = {"path": str(verdicts), "format": "csv"}
    tree["alerts"]["at_most"] = {"high": 50, "medium": 1, "low": 1}
    capped = Settings.model_validate(tree)
    place: commands.Place = {"spark": spark, "console": QUIET}
    next_night = commands.alerts(capped, as_of=following, **place).of(Alerted)
    rows = {
        (r["kind"], r["subject"], r["about"]): r
        for r in stored.where(F.col("as_of") == F.lit(following)).collect()
    }
    # The same alert keeps its id, and knows since when.
    again = rows[("event_rate", burst["subject"], burst["about"])]
    assert again["alert_id"] == burst["alert_id"]
    assert (again["first_seen"], again["last_seen"], again["nights"]) == (as_of, following, 2)
    # Confirmed: one step higher. Dismissed: not shown. A verdict of later counts not yet.
    steps = ["low", "medium", "high", "high"]
    plain = (
        "high" if again["times_limit"] >= 4 else "medium" if again["times_limit"] >= 2 else "low"
    )
    assert again["severity"] == steps[steps.index(plain) + 1] and again["status"] == "confirmed"
    assert ("account_takeover", stolen["subject"], stolen["about"]) not in rows
    assert next_night.dismissed == 1
    # The caps hold, and what they leave out is counted.
    severities = [row["severity"] for row in rows.values()]
    assert severities.count("low") <= 1 and severities.count("medium") <= 1
    assert next_night.left_out["low"] + next_night.left_out["medium"] > 0
    judged = {(j.kind, j.confirmed, j.dismissed) for j in next_night.judged}
    assert judged == {("event_rate", 1, 0), ("account_takeover", 0, 1)}
    # And the first night, made again after all this, is what it was.
    commands.alerts(capped.model_copy(update={"alerts": alerts}), as_of=as_of, **place)
    assert same_rows(watched.tonight, stored.where(F.col("as_of") == F.lit(as_of)))


def test_a_config_without_alerts_is_refused_with_what_to_add(watched: Watched) -> None:
    without = watched.settings.model_copy(update={"alerts": None})
    with pytest.raises(ConfigError, match=r"no section alerts"):
        commands.alerts(without)
