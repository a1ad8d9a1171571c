"""The night on a small generated shop: what a user relies on every morning."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import Mock

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from behavior_spark.config import Settings
from behavior_spark.demo.logs import BOT, UserLogs
from behavior_spark.features import feature_set
from behavior_spark.features.point_in_time import of_users
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines import commands, report_commands
from behavior_spark.pipelines.demonstration import DemoResult
from behavior_spark.pipelines.reports.outcomes import Reported
from behavior_spark.pipelines.text_models.finetuning import Finetuned
from behavior_spark.pipelines.unchanged import Compared, compare_stage
from behavior_spark.runs.result import Result
from behavior_spark.runs.run import running
from behavior_spark.schemas import (
    EVENTS,
    QUARANTINE,
    RUNS,
    TEXT_EMBEDDINGS,
    TEXTS,
    USER_FEATURES,
    USER_PROPENSITY,
)
from tests.demo_shop import copy_of
from tests.pipelines.told import kinds_that_are_true
from tests.stored_tables import same_rows, snapshot

QUIET = Console(quiet=True)
# Jobs of a night with one new day, in a session without adaptive execution, which would run a job
# for each shuffle: reads, writes, Delta's own looks at its tables, and broadcasts. 117 were
# counted.
MOST_JOBS = 120
# Of a night that was done before: the state of its sources, and the commits of each table. 28 to 31
# were counted: Delta reads the logs of some tables, and which ones depends on what was read before.
MOST_JOBS_OF_NOTHING = 40


@pytest.fixture(scope="module")
def warehouse(spark: SparkSession, demo_night: DemoResult) -> Warehouse:
    return Warehouse(spark, demo_night.settings.warehouse)


def test_every_row_that_came_in_is_accounted_for(
    demo_night: DemoResult, warehouse: Warehouse
) -> None:
    for step in ("nightly", "ingest"):
        assert {s.table_name for s in demo_night.steps[step].sources} == {
            "events", "texts", "items"
        }  # fmt: skip
        for source in demo_night.steps[step].sources:
            assert source.rows_in == source.rows_out + source.duplicates + source.refused
    night = {s.table_name: s for s in demo_night.steps["nightly"].sources}
    assert night["events"].duplicates > 0
    assert night["events"].refused > 0
    assert night["events"].without_user > 0
    stored = warehouse.read(EVENTS).where(F.col("arrived_day") < F.lit(demo_night.layout.as_of))
    assert stored.count() == night["events"].rows_out
    refused = warehouse.read(QUARANTINE).where(F.col("as_of") == F.lit(demo_night.layout.as_of))
    by_table = refused.groupBy("table_name").agg(F.sum("refused_rows").alias("n")).collect()
    counted = {row["table_name"]: row["n"] for row in by_table}
    assert counted.get("events") == night["events"].refused
    assert counted.get("texts") == night["texts"].refused


def test_every_user_seen_before_gets_a_row_for_each_target(
    demo_night: DemoResult, warehouse: Warehouse
) -> None:
    as_of = F.lit(demo_night.layout.as_of)
    seen = (
        warehouse.read(EVENTS)
        .where(F.col("user_id").isNotNull() & (F.col("arrived_at") < as_of.cast("timestamp")))
        .select("user_id")
        .distinct()
    )
    predicted = warehouse.read(USER_PROPENSITY).where(F.col("as_of") == as_of)
    for target in demo_night.settings.targets:
        users = predicted.where(F.col("target") == target).select("user_id")
        assert users.count() == users.distinct().count()
        assert same_rows(users, seen)


def test_predictions_are_probabilities_with_deciles_and_reasons_where_a_model_ranks(
    demo_night: DemoResult, warehouse: Warehouse
) -> None:
    nightly = demo_night.steps["nightly"]
    rows = warehouse.read(USER_PROPENSITY).collect()
    assert rows
    targets = nightly.details["targets"]
    assert targets["purchase_30d"]["ranked"]
    for row in rows:
        assert 0.0 <= row["probability"] <= 1.0
        assert row["valid_until"] == demo_night.layout.as_of + dt.timedelta(days=30)
        answer = targets[row["target"]]["better_than"]["chance"]
        assert row["better_than_chance"] == answer
        assert targets[row["target"]]["ranked"] == (answer == "yes")
        if answer != "yes":
            assert row["decile"] is None and row["reasons"] is None
            continue
        assert 1 <= row["decile"] <= 10
        contributions = [reason["contribution"] for reason in row["reasons"]]
        assert contributions == sorted(contributions, key=abs, reverse=True)
        for direction in ("raises", "lowers"):
            said = [r for r in row["reasons"] if r["text"].endswith(f"({direction})")]
            assert len(said) <= demo_night.settings.training.reasons
            assert all((r["contribution"] > 0) == (direction == "raises") for r in said)
        assert len(contributions) >= 2
    for name, target in targets.items():
        if not target["ranked"]:
            assert len({row["probability"] for row in rows if row["target"] == name}) == 1
            assert any(note.startswith(f"{name}: nobody is ranked") for note in nightly.notes)
    purchase = [r for r in rows if r["target"] == "purchase_30d"]
    best = max(purchase, key=lambda r: r["score"])
    worst = min(purchase, key=lambda r: r["score"])
    assert best["decile"] == 1 and worst["decile"] == 10
    assert best["probability"] >= worst["probability"]


def test_sentences_of_reasons_are_true_of_the_raw_events(
    demo_night: DemoResult, warehouse: Warehouse
) -> None:
    """Of 60 predictions, by counting the log again in pandas."""
    night = demo_night.layout.as_of
    rows = warehouse.read(USER_PROPENSITY).where("reasons IS NOT NULL")
    rows = rows.orderBy(F.xxhash64("user_id"), "target").limit(60).select("user_id", "reasons")
    told = [(r["user_id"], why["text"]) for r in rows.collect() for why in r["reasons"]]
    known = warehouse.read(EVENTS).where(F.col("arrived_at") < F.lit(night).cast("timestamp"))
    events = of_users(known, key="event_id").where("superseded_at IS NULL").toPandas()
    by_user = dict(list(events.groupby("user_id")))
    checked = Counter(
        kind for user, text in told for kind in kinds_that_are_true(text, by_user[user], night)
    )
    assert checked["count"] >= 20 and checked["recency"] >= 20 and checked["items"] >= 5, checked


def test_the_model_was_checked_on_a_later_day_and_beats_chance(demo_night: DemoResult) -> None:
    figures = demo_night.steps["nightly"].figures
    assert 0.55 < figures["purchase_30d_roc_auc"] < 0.99
    outcomes = {o.target: o for o in demo_night.steps["report"].of(Reported).outcomes}
    assert outcomes["purchase_30d"].measured["AUC"].value > 0.55
    assert set(outcomes["purchase_30d"].baselines) == {"recency", "recency_frequency_value"}
    assert outcomes["purchase_30d"].trained_through <= demo_night.layout.as_of.isoformat()


def test_heads_learned_something_from_the_labels(demo_night: DemoResult) -> None:
    heads = demo_night.steps["finetune"].of(Finetuned).heads
    assert set(heads) == {"intent", "emotion", "spam"}
    assert heads["intent"]["accuracy"] > 0.5  # nine intents; the most frequent has 27 %


def test_no_personal_number_or_address_is_stored(
    demo_night: DemoResult, warehouse: Warehouse
) -> None:
    assert demo_night.steps["nightly"].figures["texts_masked"] > 0
    email = r"[\w.+-]+@[\w-]+\.\w+"
    card = r"\d{4}[ -]?\d{4}[ -]?\d{4}[ -]?\d{4}"
    for column, frame in (
        ("text", warehouse.read(TEXTS)), ("row", warehouse.read(QUARANTINE)),
    ):  # fmt: skip
        found = frame.where(F.col(column).rlike(email) | F.col(column).rlike(card))
        assert found.isEmpty()
    raw = warehouse.spark.read.format("delta").load(demo_night.layout.texts)
    assert not raw.where(F.col("body").rlike(email)).isEmpty()


def test_columns_are_documented_in_the_tables(warehouse: Warehouse) -> None:
    for contract in warehouse.existing():
        described = warehouse.spark.sql(f"DESCRIBE {warehouse.identifier(contract)}").collect()
        assert all(row["comment"] for row in described if not row["col_name"].startswith("#"))


def jobs_of(spark: SparkSession) -> int:
    """How many jobs the session has run."""
    return int(spark.sparkContext._jsc.sc().dagScheduler().numTotalJobs())


@dataclass(frozen=True)
class SecondNight:
    """The night after the demo's, with one new day, in a copy of its tables.

    Attributes:
        as_of: Its day.
        settings: Those of the copy.
        warehouse: The copy.
        fresh: Texts of the new day that were not scored before.
        predicted: Rows predicted by the night before, counted before this one.
        jobs: Jobs that it took.
        plans: How often features were planned.
        result: What it gave.
    """

    as_of: dt.date
    settings: Settings
    warehouse: Warehouse
    fresh: int
    predicted: int
    jobs: int
    plans: int
    result: Result


def without_audiences(night: DemoResult) -> Settings:
    """The demo's settings; what audiences and the service queue cost is theirs."""
    return night.settings.model_copy(update={"audiences": {}, "service": None})


@pytest.fixture(scope="module")
def second_night(
    spark: SparkSession, demo_night: DemoResult, tmp_path_factory: pytest.TempPathFactory
) -> SecondNight:
    first = demo_night.layout.as_of
    as_of = first + dt.timedelta(days=1)
    settings = without_audiences(copy_of(demo_night, tmp_path_factory.mktemp("second")))
    warehouse = Warehouse(spark, settings.warehouse)
    for contract in warehouse.existing():  # what Delta knows of tables is here, as after a night
        warehouse.read(contract).limit(1).collect()
    stored = warehouse.read(TEXT_EMBEDDINGS).select("text_hash").distinct()
    arrived = warehouse.read(TEXTS).where(F.col("arrived_day") == F.lit(first))
    fresh = arrived.select("text_hash").distinct().join(stored, "text_hash", "left_anti").count()
    predicted = warehouse.read(USER_PROPENSITY).where(F.col("as_of") == F.lit(first)).count()
    with pytest.MonkeyPatch.context() as patch:
        plans = Mock(wraps=feature_set.make_plan)
        patch.setattr(feature_set, "make_plan", plans)
        jobs = jobs_of(spark)
        result = commands.nightly(settings, as_of=as_of, spark=spark, console=QUIET)
        jobs = jobs_of(spark) - jobs
        plan_count = plans.call_count
    return SecondNight(as_of, settings, warehouse, fresh, predicted, jobs, plan_count, result)


def test_the_next_night_scores_only_its_new_texts_and_keeps_the_last_night(
    demo_night: DemoResult, second_night: SecondNight
) -> None:
    warehouse = second_night.warehouse
    assert second_night.jobs <= MOST_JOBS
    assert second_night.plans == 1  # features are listed and planned once, whoever reads them
    assert second_night.result.figures["texts_scored"] == second_night.fresh > 0
    # Its models are still valid: none was trained.
    assert second_night.result.models == demo_night.steps["nightly"].models
    first = F.col("as_of") == F.lit(demo_night.layout.as_of)
    assert warehouse.read(USER_PROPENSITY).where(first).count() == second_night.predicted
    assert warehouse.read(TEXT_EMBEDDINGS).groupBy("text_hash").count().where("count > 1").isEmpty()


def test_a_night_that_was_done_is_not_done_again_until_something_has_changed(
    spark: SparkSession, second_night: SecondNight
) -> None:
    settings, as_of = second_night.settings, second_night.as_of
    warehouse = second_night.warehouse

    def compared(settings: Settings = settings, *, again: bool = False) -> Compared:
        with running("t", settings, as_of=as_of, spark=spark, console=QUIET, record=False) as run:
            return compare_stage(run, again=again)

    def versions() -> dict[str, int | None]:
        return {c.name: warehouse.version(c) for c in warehouse.existing() if c is not RUNS}

    before, jobs = versions(), jobs_of(spark)
    result = commands.nightly(settings, as_of=as_of, spark=spark, console=QUIET)
    assert jobs_of(spark) - jobs <= MOST_JOBS_OF_NOTHING
    assert versions() == before
    assert result.details["unchanged_since"] == second_night.result.run_id
    row = warehouse.read(RUNS).where(F.col("run_id") == result.run_id).collect()[0]
    assert row["status"] == "unchanged" and not row["sources"]

    # A setting that changes nothing that is stored, and yet it could.
    seed = settings.training.model_copy(update={"seed": 5})
    changed = compared(settings.model_copy(update={"training": seed}))
    assert changed.before is None and "config" in str(changed.why)
    # What a condition takes from the clock is another tomorrow.
    clock = settings.model_copy(update={"population": "event_time < current_timestamp()"})
    assert compared(clock).given is None
    assert compared(again=True).before is None
    # A row removed by other means, such as for a user who wants to be forgotten.
    user = warehouse.read(USER_PROPENSITY).first()["user_id"]
    warehouse.delete(USER_PROPENSITY, column="user_id", values=[user])
    try:
        changed = compared()
        assert changed.before is None and "user_propensity" in str(changed.why)
    finally:
        warehouse.restore(USER_PROPENSITY, before["user_propensity"], days=None)


def test_earlier_days_are_built_in_one_job_and_the_night_stays_as_it_was(
    spark: SparkSession, demo_night: DemoResult, compiled: None, tmp_path: Path
) -> None:
    # By compiled plans, and the night by interpreted ones: they write the same rows.
    as_of = demo_night.layout.as_of
    settings = copy_of(demo_night, tmp_path / "shop").settings
    warehouse = Warehouse(spark, settings.warehouse)
    tonight = F.col("as_of") == F.lit(as_of)
    before = snapshot(warehouse.read(USER_FEATURES).where(tonight), tmp_path / "before")
    first = as_of - dt.timedelta(days=20)
    result = commands.build_features(
        settings, first=first, every=7, as_of=as_of, spark=spark, console=QUIET
    )
    days = [as_of - dt.timedelta(days=back) for back in (14, 7, 0)]
    rows = warehouse.read(USER_FEATURES).where(F.col("as_of") <= F.lit(as_of))
    counts = {r["as_of"]: r["count"] for r in rows.groupBy("as_of").count().collect()}
    assert sorted(counts) == days
    assert result.figures["rows"] == sum(counts.values())
    numbers = [c for c in before.columns if "_share_" not in c]  # heads may be too late for then
    now = warehouse.read(USER_FEATURES).where(tonight)
    assert same_rows(before.select(numbers), now.select(numbers))


def test_a_run_is_recorded_with_its_counts_models_and_no_secret(
    demo_night: DemoResult, warehouse: Warehouse
) -> None:
    run_id = demo_night.steps["nightly"].run_id
    row = warehouse.read(RUNS).where(F.col("run_id") == run_id).collect()[0]
    assert row["status"] == "done" and row["balanced"]
    assert row["as_of"] == demo_night.layout.as_of
    assert set(row["models"]) >= {"backbone", "purchase_30d"}
    assert row["stages"]["embed texts"] > 0


def test_sql_reads_the_tables_by_their_names(spark: SparkSession, demo_night: DemoResult) -> None:
    result = report_commands.sql(
        demo_night.settings,
        "SELECT target, count(*) AS users FROM user_propensity GROUP BY target ORDER BY target",
        spark=spark, console=QUIET,
    )  # fmt: skip
    assert [r["target"] for r in result.details["rows"]] == sorted(demo_night.settings.targets)
    twice = report_commands.sql(
        demo_night.settings, "SELECT 1 AS user_id, 2 AS user_id", spark=spark, console=QUIET
    )
    assert twice.details["columns"] == ["user_id", "user_id_2"]
    assert twice.details["rows"] == [{"user_id": 1, "user_id_2": 2}]


def test_delta_rs_and_duckdb_read_the_tables_without_spark(demo_night: DemoResult) -> None:
    import duckdb
    from deltalake import DeltaTable

    path = Path(str(demo_night.settings.warehouse.path)) / "user_propensity"
    propensity = DeltaTable(str(path)).to_pyarrow_dataset()
    connection = duckdb.connect()
    connection.register("user_propensity", propensity)
    rows = connection.sql("SELECT count(*), max(probability) FROM user_propensity").fetchall()
    assert rows[0][0] > 0 and 0 < rows[0][1] <= 1


def test_the_shops_one_machine_is_flagged_and_nobody_else(
    demo_night: DemoResult, warehouse: Warehouse
) -> None:
    layout = demo_night.layout
    machine = UserLogs(11, BOT, 150, layout.start, (layout.end - layout.start).days).user_id
    flagged = warehouse.read(USER_FEATURES).where("is_bot").collect()
    assert {row["user_id"] for row in flagged} == {machine}
    assert all("regularity" in row["bot_reason"] for row in flagged)
    predicted = warehouse.read(USER_PROPENSITY).where(F.col("user_id") == machine)
    predicted = predicted.where("target = 'purchase_30d'")
    assert not predicted.isEmpty() and predicted.where("decile IS NULL").isEmpty()
