"""Each notebook runs top to bottom on a small shop, and shows what it says it shows."""

from __future__ import annotations

import datetime as dt
import re
import runpy
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark import job
from behavior_spark.errors import BehaviorError
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.model.registry.store import CHAMPION, ModelStore
from behavior_spark.pipelines.demonstration import DemoResult
from behavior_spark.pipelines.reports.outcomes import Reported
from behavior_spark.pipelines.uses.service import ServiceQueued
from behavior_spark.schemas import (
    EVENTS,
    QUARANTINE,
    RUNS,
    SESSIONS,
    TEXT_EMBEDDINGS,
    TEXT_SCORES,
    TEXTS,
    USER_FEATURES,
    USER_PROFILE,
    USER_PROPENSITY,
    Contract,
)
from tests.demo_shop import copy_of
from tests.notebooks.running import NOTEBOOKS, run
from tests.stored_tables import same_rows, snapshot

ALL = sorted(path.name for path in NOTEBOOKS.glob("*.py"))
MARKER = "# Databricks notebook source"
CELL = "# COMMAND ----------"
NIGHTLY = (
    EVENTS, TEXTS, QUARANTINE, SESSIONS, TEXT_EMBEDDINGS, TEXT_SCORES, USER_FEATURES,
    USER_PROPENSITY, USER_PROFILE,
)  # fmt: skip
RUN_COLUMNS = {QUARANTINE.name: ("run_id",)}


@pytest.fixture
def demo_folder(demo_night: DemoResult, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = Path(demo_night.layout.root).parent
    monkeypatch.setenv("DEMO_ROOT", str(folder))
    return folder


def test_the_first_night_accounts_for_its_rows_and_a_rerun_changes_no_table(
    spark: SparkSession, demo_night: DemoResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = copy_of(demo_night, tmp_path / "shop")
    monkeypatch.setenv("DEMO_ROOT", str(tmp_path / "shop"))
    # That audiences, queue and alerts are the same again is told in tests of their own.
    uses = {"audiences": {}, "service": None, "alerts": None}
    settings = own.settings.model_copy(update=uses)
    monkeypatch.setattr(job, "demo_settings", lambda _: settings)
    warehouse = Warehouse(spark, own.settings.warehouse)

    def rows(contract: Contract) -> DataFrame:
        return warehouse.read(contract).drop(*RUN_COLUMNS.get(contract.name, ()))

    before = [snapshot(rows(contract), tmp_path / contract.name) for contract in NIGHTLY]
    runs = warehouse.read(RUNS).count()

    shown = run("01_first_night.py", spark)

    for contract, frame in zip(NIGHTLY, before, strict=True):
        assert same_rows(frame, rows(contract)), contract.name
    assert warehouse.read(RUNS).count() == runs + 1
    again = warehouse.read(RUNS).orderBy(F.desc("started_at")).first()
    assert again and again["figures"]["texts_scored"] == 0
    assert again["models"] == demo_night.steps["nightly"].models
    sources = shown.with_columns("rows_in", "rows_out", "duplicates", "refused", "adds_up")
    assert {r["table_name"]: r["adds_up"] for r in sources.collect()} == {
        "events": True, "texts": True, "items": True
    }  # fmt: skip
    refused = sources.agg(F.sum("refused")).first()
    reasons = shown.with_columns("reason", "refused_rows", "example").agg(F.sum("refused_rows"))
    assert refused and reasons.first() == refused and refused[0] > 0
    quality = shown.with_columns("target", "auc", "lift_at_10pct", "calibration_error", "model")
    assert {r["target"] for r in quality.collect()} == set(demo_night.settings.targets)
    assert quality.where("auc IS NULL OR model IS NULL").isEmpty()
    heads = shown.with_columns("head", "accuracy", "mean_f1")
    assert heads.where("accuracy IS NULL").isEmpty()
    assert not shown.with_columns("stage", "stage_seconds").where("stage = 'predict'").isEmpty()
    assert "predict" in {row[0] for row in shown.pictures["Seconds by stage"].table.rows}


def test_who_to_reach_lists_users_with_reasons_and_agrees_with_the_report(
    spark: SparkSession, demo_night: DemoResult, demo_folder: Path
) -> None:
    shown = run("02_who_to_reach.py", spark)

    users = shown.with_columns("user_id", "probability", "segment", "why", "and_why").collect()
    assert len(users) == 20
    chances = [row["probability"] for row in users]
    assert chances == sorted(chances, reverse=True) and 0 < chances[0] <= 1
    assert all(row["why"] for row in users)
    plan = shown.with_columns("decile", "expected", "expected_so_far").orderBy("decile").collect()
    assert plan[0]["decile"] == 1 and plan[-1]["expected_so_far"] == 1.0
    assert plan[0]["expected"] >= plan[-1]["expected"] > 0
    outcome = shown.with_columns("decile", "did_it", "predicted_share", "share_that_did")
    totals = outcome.agg(F.sum("users"), F.sum("did_it")).first()
    [reported] = [
        o for o in demo_night.steps["report"].of(Reported).outcomes if o.target == "purchase_30d"
    ]
    assert totals and tuple(totals) == (reported.users, reported.positives)
    segments = shown.with_columns("segment", "users", *demo_night.settings.targets).collect()
    assert sum(row["users"] for row in segments) == reported.users
    named = [sum(row[name] for name in demo_night.settings.targets) for row in segments]
    assert all(some <= row["users"] for some, row in zip(named, segments, strict=True))
    assert sum(named) > 0


def test_what_people_say_shows_intents_masked_examples_spam_and_the_bot(
    spark: SparkSession, demo_night: DemoResult, demo_folder: Path
) -> None:
    shown = run("03_what_people_say.py", spark)

    intents = shown.with_columns("intent", "chat", "review", "search")
    assert intents.count() > 5 and intents.count() == intents.na.drop().count()
    assert not shown.with_columns("emotion", "chat", "review", "search").isEmpty()
    assert shown.with_columns("week", "neutral").count() > 8
    assert shown.with_columns("week", "find_product").count() > 8
    # Texts that arrived later are stored, but few were read: a week of them would mislead.
    after = demo_night.layout.as_of + dt.timedelta(days=1)
    assert spark.table("understood_texts").where(F.col("text_time") >= F.lit(after)).isEmpty()
    examples = shown.with_columns("intent", "probability", "emotion", "text").collect()
    by_intent: dict[str, list[str]] = {}
    for row in examples:
        by_intent.setdefault(row["intent"], []).append(row["text"])
        assert not re.search(r"[\w.+-]+@[\w-]+\.\w+|\d{4}[ -]?\d{4}[ -]?\d{4}", row["text"])
    assert all(len(set(texts)) == len(texts) <= 3 for texts in by_intent.values())
    upset = shown.with_columns("user_id", "cancel_probability", "upset_texts", "last_text")
    assert upset.where("upset_texts < 1 OR cancel_probability IS NULL").isEmpty()
    suspects = shown.with_columns("looks_like", "spam_texts", "events_a_day").collect()
    bots = [row for row in suspects if "bot" in row["looks_like"]]
    assert len(bots) == 1 and bots[0]["events_a_day"] > 100 and bots[0]["purchases"] == 0


def test_service_shows_who_answers_what_and_why_some_have_no_answer(
    spark: SparkSession, demo_night: DemoResult, demo_folder: Path
) -> None:
    shown = run("07_service.py", spark)

    counts = demo_night.steps["nightly"].of(ServiceQueued).counts
    queues = shown.with_columns("queue", "texts", "very_urgent", "with_a_need").collect()
    assert sum(row["texts"] for row in queues) == counts["rows"] > 0
    assert sum(row["with_an_answer"] for row in queues) == counts["with_reply"]
    states = shown.with_columns("state", "mean_confidence").collect()
    assert {r["state"]: r["texts"] for r in states}.get("has a need", 0) == counts["with_need"]
    first = shown.with_columns("queue", "place", "because", "text").collect()
    assert all(row["place"] <= 3 and "@example" not in row["text"] for row in first)
    answers = shown.with_columns("answer_or_why_none", "mean_similarity").collect()
    assert sum(row["texts"] for row in answers) == counts["rows"]
    assert not shown.with_columns("past_text", "similarity").where("similarity < 0.6").count()


def champion_of(night: DemoResult) -> str | None:
    """Digest of the shop's text model."""
    return ModelStore(night.settings.models_path).alias(CHAMPION)


def test_your_own_log_is_mapped_checked_and_taken_in_row_by_row(
    spark: SparkSession, demo_night: DemoResult, demo_folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("OWN_LOG_ROOT", str(tmp_path))
    shown = run("04_your_own_log.py", spark)

    written = capsys.readouterr().out
    assert "event_time: ts" in written and "user_id: uid" in written and "targets:" in written
    [counts] = shown.with_columns("table_name", "rows_in", "rows_out", "refused").collect()
    assert counts["table_name"] == "events" and counts["rows_out"] > 1_000
    assert counts["rows_in"] == counts["rows_out"] + counts["duplicates"] + counts["refused"]
    refused = shown.with_columns("reason", "refused_rows", "example").agg(F.sum("refused_rows"))
    assert refused.collect()[0][0] == counts["refused"]
    drawn = shown.pictures["Events by week"].table.rows
    assert len({row[1] for row in drawn}) == 6 and len({row[0] for row in drawn}) > 8
    # Nothing of the shop has changed: the log has tables of its own.
    assert (tmp_path / "warehouse" / "events").is_dir()


def test_a_head_of_your_own_learns_from_few_labels_and_beats_chance_on_unseen_texts(
    spark: SparkSession, demo_night: DemoResult, demo_folder: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("OWN_INTENT_ROOT", str(tmp_path))
    champion = champion_of(demo_night)
    shown = run("05_train_your_own_intent.py", spark)

    labels = shown.with_columns("intent", "count").collect()
    assert len(labels) >= 4 and {row["count"] for row in labels} == {16}
    said = re.search(r"accuracy (\S+) \((\S+) to (\S+)\) on (\d+) texts.* chance is (\S+)\n",
                     capsys.readouterr().out)  # fmt: skip
    assert said is not None
    value, low, high, texts, chance = map(float, said.groups())
    assert 0 < chance < low < value < high <= 1 and value > 2 * chance and texts > 50
    f1 = shown.pictures["F1 by label, the weakest first"].table.rows
    assert {row[0] for row in f1} >= {row["intent"] for row in labels}
    used = shown.with_columns("text", "label", "probability").collect()
    assert len(used) == 4 and {row["label"] for row in used} <= {r["intent"] for r in labels} | {
        None
    }
    # The shop's own models are as they were.
    assert (tmp_path / "models").is_dir() and champion == champion_of(demo_night)


def test_audiences_have_reasons_items_a_file_and_what_they_brought(
    spark: SparkSession, demo_night: DemoResult, demo_folder: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    shown = run("06_audiences.py", spark)

    chosen = shown.with_columns("audience", "rule", "members", "reached", "holdout").collect()
    assert {row["audience"] for row in chosen} == set(demo_night.settings.audiences)
    ready = {row["audience"]: row for row in chosen if row["status"] == "ready"}
    assert all(row["members"] == row["reached"] + row["holdout"] for row in ready.values())
    members = shown.with_columns("rank", "user_id", "why", "show").collect()
    assert members and all(row["why"] or row["show"] for row in members)
    assert {row["audience"] for row in members} <= set(ready)
    heading, *lines = capsys.readouterr().out.strip().splitlines()
    assert "user_id" in heading and lines
    brought = shown.with_columns("verdict", "reached_conversions", "won").collect()
    assert brought and {row["audience"] for row in brought} <= set(ready)
    assert len(shown.pictures["Expected conversions of those reached"].table.rows) == 2 * len(ready)
    assert shown.pictures["Who did it, of a hundred"].table.rows


def test_the_tour_answers_every_question_by_a_query(
    spark: SparkSession, demo_night: DemoResult, demo_folder: Path
) -> None:
    shown = run("09_sql_tour.py", spark)

    described = shown.with_columns("col_name", "comment").collect()
    assert len(described) == len(USER_PROPENSITY.columns)
    segments = shown.with_columns("segment", "people", "expected").collect()
    drawn = shown.pictures["Expected to do purchase_30d, by segment"].table.rows
    assert [row[0] for row in drawn] == [row["segment"] for row in segments]
    assert not shown.with_columns("feature", "people", "raises").isEmpty()
    moved = shown.with_columns("as_of", "known_before", "mean_change").collect()
    assert moved[0]["people"] == sum(row["people"] for row in segments)
    assert not shown.with_columns("week", "label", "texts").isEmpty()
    assert not shown.with_columns("source", "reason", "refused_rows").isEmpty()
    assert "nightly" in {row["command"] for row in shown.with_columns("command", "took").collect()}


def test_a_notebook_finds_the_session_and_prints_where_databricks_is_not(
    spark: SparkSession, demo_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runpy.run_path(str(NOTEBOOKS / "02_who_to_reach.py"))
    printed = capsys.readouterr().out
    assert "share_that_did" in printed and "better than recency alone?" in printed
    assert SparkSession.getActiveSession() is spark


def test_a_notebook_without_tables_says_which_command_makes_them(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEMO_ROOT", str(tmp_path))
    for name in ALL:
        with pytest.raises(BehaviorError, match="behavior-spark demo"):
            run(name, spark)


@pytest.mark.parametrize("name", ALL)
def test_a_notebook_is_in_databricks_source_format(name: str) -> None:
    lines = (NOTEBOOKS / name).read_text().splitlines()
    assert lines[0] == MARKER
    assert lines[1] == "# MAGIC %md" and lines[2].startswith("# MAGIC # ")
    assert lines.count(CELL) >= 5
    cells = "\n".join(lines).split(CELL)
    for cell in cells[1:]:
        magic = [line.startswith("# MAGIC") for line in cell.strip().splitlines()]
        assert magic and (all(magic) or not any(magic)), cell  # Markdown or code, not both


@pytest.mark.parametrize("name", ALL)
def test_a_notebook_brings_no_table_to_the_driver_and_works_under_spark_connect(name: str) -> None:
    source = (NOTEBOOKS / name).read_text()
    for call in ("collect", "toPandas", "toLocalIterator", "cache", "persist", "foreach"):
        assert f".{call}(" not in source, call
    for inside in ("sparkContext", "_jvm", "_jdf", ".rdd", "DeltaTable"):
        assert inside not in source, inside
    # first() and take() only on an aggregate, which has one row.
    for query in re.findall(r"[^\n]*\.first\(\)", source):
        assert query.startswith(")") or "agg(" in query or "max(" in query, query
    assert "spark.stop" not in source
