"""Each notebook runs top to bottom on a small shop, and shows what it says it shows."""

from __future__ import annotations

import datetime as dt
import re
import runpy
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.errors import BehaviorError
from behavior_spark.io.warehouse import Warehouse
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
from tests.stored_tables import same_rows, snapshot

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
ALL = sorted(path.name for path in NOTEBOOKS.glob("*.py"))
MARKER = "# Databricks notebook source"
CELL = "# COMMAND ----------"
NIGHTLY = (
    EVENTS, TEXTS, QUARANTINE, SESSIONS, TEXT_EMBEDDINGS, TEXT_SCORES, USER_FEATURES,
    USER_PROPENSITY, USER_PROFILE,
)  # fmt: skip
RUN_COLUMNS = {QUARANTINE.name: ("run_id",)}


class Shown(list[DataFrame]):
    """What a notebook displayed, in order."""

    def with_columns(self, *names: str) -> DataFrame:
        """The one frame that has all of these columns, checked not to be empty."""
        found = [frame for frame in self if set(names) <= set(frame.columns)]
        assert len(found) == 1, [frame.columns for frame in self]
        assert not found[0].isEmpty(), names
        return found[0]


@pytest.fixture
def demo_folder(demo_night: DemoResult, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = Path(demo_night.layout.root).parent
    monkeypatch.setenv("DEMO_ROOT", str(folder))
    return folder


def run(name: str, spark: SparkSession) -> Shown:
    """Run a notebook as Databricks does: `spark` and `display` are there before it starts."""
    shown = Shown()
    runpy.run_path(str(NOTEBOOKS / name), {"spark": spark, "display": shown.append})
    return shown


def test_the_first_night_accounts_for_its_rows_and_a_rerun_changes_no_table(
    spark: SparkSession, demo_night: DemoResult, demo_folder: Path, tmp_path: Path
) -> None:
    warehouse = Warehouse(spark, demo_night.settings.warehouse)

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
