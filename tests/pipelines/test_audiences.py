"""Audiences of the demo's night: what a marketer relies on."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from behavior_spark.cli.showing import next_queries
from behavior_spark.config import Settings
from behavior_spark.errors import ConfigError, InputError
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines import audience, audiences
from behavior_spark.pipelines.demonstration import DemoResult
from behavior_spark.pipelines.uses.audience_check import check_audience_conditions
from behavior_spark.pipelines.uses.audience_export import Exported
from behavior_spark.pipelines.uses.audience_results import AudiencesMeasured
from behavior_spark.pipelines.uses.audiences import AudiencesChosen
from behavior_spark.runs.run import running
from behavior_spark.schemas import (
    AUDIENCE_MEMBERS,
    AUDIENCE_RESULTS,
    AUDIENCES,
    EVENTS,
    ITEMS,
    USER_FEATURES,
    USER_PROPENSITY,
)
from tests.demo_shop import copy_of
from tests.stored_tables import same_rows, snapshot

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def warehouse(spark: SparkSession, demo_night: DemoResult) -> Warehouse:
    return Warehouse(spark, demo_night.settings.warehouse)


def changed(settings: Settings, name: str, **changes: object) -> Settings:
    """Settings with one audience, changed."""
    audience = settings.audiences[name].model_copy(update=changes)
    return settings.model_copy(update={"audiences": {name: audience}})


def test_users_are_members_or_left_out_and_the_night_says_so(
    demo_night: DemoResult, warehouse: Warehouse
) -> None:
    as_of = demo_night.layout.as_of
    chosen = demo_night.steps["nightly"].of(AudiencesChosen)
    stored = {row["audience"]: row.asDict() for row in warehouse.read(AUDIENCES).collect()}
    assert stored.keys() == demo_night.settings.audiences.keys()
    assert [row["audience"] for row in chosen.rows] == list(demo_night.settings.audiences)
    members = warehouse.read(AUDIENCE_MEMBERS)
    predictions = warehouse.read(USER_PROPENSITY).where(F.col("as_of") == F.lit(as_of))
    for name, row in stored.items():
        of_target = predictions.where(F.col("target") == row["target"])
        own = members.where(F.col("audience") == name)
        if of_target.where("decile IS NOT NULL").isEmpty():
            assert row["status"] == "refused" and row["remark"] and own.isEmpty()
            continue
        left_out = sum(v for column, v in row.items() if column.startswith("left_out_"))
        assert row["status"] == "ready" and row["balanced"]
        assert row["users"] == of_target.count() == row["members"] + left_out
        arms = {r["arm"]: r["count"] for r in own.groupBy("arm").count().collect()}
        assert arms == {"reached": row["reached"], "holdout": row["holdout"]}
        assert own.select("user_id").distinct().count() == row["members"]
        told = ["user_id", "probability", "reasons"]
        left = own.select(*told).exceptAll(of_target.select(*told))
        assert left.isEmpty(), "probability and reasons are those of the night"
        assert row["expected_low"] <= row["expected"] <= row["expected_high"]
        # Who has just bought is excluded, and would have been likely to buy again.
        excludes = demo_night.settings.audiences[name].exclude
        assert excludes or row["expected"] > row["expected_at_random"]
    assert stored["buyers"]["status"] == "ready"
    assert stored["buyers"]["reached"] <= 75 and stored["buyers"]["left_out_excluded"] > 0
    assert stored["buyers"]["left_out_bot"] > 0


def test_nobody_is_in_whom_the_condition_excludes(
    demo_night: DemoResult, warehouse: Warehouse
) -> None:
    buyers = warehouse.read(AUDIENCE_MEMBERS).where("audience = 'buyers'")
    features = warehouse.read(USER_FEATURES).where(
        F.col("as_of") == F.lit(demo_night.layout.as_of)
    )
    recent = features.where("purchase_count_7d > 0 OR is_bot").select("user_id")
    assert not recent.isEmpty()
    assert buyers.join(recent, "user_id").isEmpty()


def test_members_know_why_what_to_say_and_what_to_offer(
    demo_night: DemoResult, warehouse: Warehouse
) -> None:
    as_of = F.lit(demo_night.layout.as_of).cast("timestamp")
    rows = warehouse.read(AUDIENCE_MEMBERS).collect()
    assert all(row["reasons"] for row in rows)
    assert sum(row["intent"] is not None for row in rows) > len(rows) / 2
    known = warehouse.read(ITEMS).where(F.col("valid_from") < as_of)
    titles = {row["item_id"]: (row["title"], row["category"]) for row in known.collect()}
    bought = warehouse.read(EVENTS).where(
        (F.col("event_type") == "purchase") & (F.col("arrived_at") < as_of)
    )
    had = {(r["user_id"], r["item_id"]) for r in bought.select("user_id", "item_id").collect()}
    for row in rows:
        ids = [item["item_id"] for item in row["items"]]
        assert len(ids) == len(set(ids)) <= 5
        assert not {(row["user_id"], item) for item in ids} & had
        assert all(titles[item["item_id"]][0] == item["title"] for item in row["items"])
        because = [item["because_of"] for item in row["items"]]
        assert row["item_sources"] == ["together" if item else "popular" for item in because]
        if row["audience"] == "kitchen":
            assert {titles[item][1] for item in ids} <= {"kitchen"}
    assert sum(len(row["items"]) == 5 for row in rows) > 0.8 * len(rows)
    figures = demo_night.steps["nightly"].of(AudiencesChosen).figures
    counted = {how: figures[f"audience_buyers_items_{how}"] for how in ("together", "popular")}
    sources = [s for row in rows if row["audience"] == "buyers" for s in row["item_sources"]]
    assert counted == {how: sources.count(how) for how in counted}
    assert figures["audience_buyers_members_next_items"] == 0, "no section sequence"


def test_a_rerun_of_a_night_gives_the_same_members(
    demo_night: DemoResult, spark: SparkSession, tmp_path: Path
) -> None:
    as_of, settings = demo_night.layout.as_of, copy_of(demo_night, tmp_path / "shop").settings
    warehouse = Warehouse(spark, settings.warehouse)
    before = snapshot(warehouse.read(AUDIENCE_MEMBERS), tmp_path / "members")
    result = audiences(settings, as_of=as_of, spark=spark, console=QUIET)
    assert same_rows(warehouse.read(AUDIENCE_MEMBERS), before)
    again = [dict(row) for row in result.of(AudiencesChosen).rows]
    first = [dict(row) for row in demo_night.steps["nightly"].of(AudiencesChosen).rows]
    for one, other in zip(again, first, strict=True):
        assert {k: pytest.approx(v) if isinstance(v, float) else v for k, v in one.items()} == other


def test_after_the_horizon_both_arms_are_measured_by_what_happened(
    demo_night: DemoResult, warehouse: Warehouse
) -> None:
    measured = demo_night.steps["audiences"].of(AudiencesMeasured).rows
    stored = {row["audience"]: row for row in warehouse.read(AUDIENCE_RESULTS).collect()}
    ready = {
        row["audience"]
        for row in demo_night.steps["nightly"].of(AudiencesChosen).rows
        if row["status"] == "ready"
    }
    assert {row["audience"] for row in measured} == set(stored) == ready >= {"buyers"}
    as_of, end = demo_night.layout.as_of, demo_night.layout.end
    bought = (
        warehouse.read(EVENTS)
        .where((F.col("event_type") == "purchase") & (F.col("arrived_at") < F.lit(end)))
        .where((F.col("event_time") >= F.lit(as_of))
               & (F.col("event_time") < F.lit(as_of + dt.timedelta(days=30))))
        .select("user_id").distinct()
    )  # fmt: skip
    for arm, total in (("reached", "reached"), ("holdout", "holdout")):
        members = warehouse.read(AUDIENCE_MEMBERS).where(
            (F.col("audience") == "buyers") & (F.col("arm") == arm)
        )
        assert members.count() == stored["buyers"][total]
        hits = members.join(bought, "user_id", "left_semi").count()
        assert hits == stored["buyers"][f"{arm}_conversions"] > 0
    for row in stored.values():
        assert row["measured_on"] == end and row["valid_until"] <= end
        # Nobody was really reached: the shop knows of no effect.
        assert row["verdict"] == "cannot tell"
        assert row["difference_low"] < 0 < row["difference_high"]
        assert row["lift_low"] < 1 and 0 < row["detectable"] < 1


def test_who_was_in_is_left_out_for_a_while_and_arms_stay(
    demo_night: DemoResult, spark: SparkSession, tmp_path: Path
) -> None:
    settings = copy_of(demo_night, tmp_path / "shop").settings
    warehouse = Warehouse(spark, settings.warehouse)
    # The next night sees the members of this one. Its predictions are this night's, moved by a day.
    as_of = demo_night.layout.as_of
    following = as_of + dt.timedelta(days=1)
    for contract in (USER_PROPENSITY, USER_FEATURES):
        frame = warehouse.read(contract).where(F.col("as_of") == F.lit(as_of))
        moved = frame.withColumn("as_of", F.lit(following))
        if contract is USER_FEATURES:
            contract = USER_FEATURES.with_columns(
                [f for f in frame.schema.fields if f.name not in USER_FEATURES.names]
            )
        warehouse.replace(moved, contract, where=f"as_of = DATE'{following}'")
    first = demo_night.steps["nightly"].of(AudiencesChosen).rows
    before = next(row for row in first if row["audience"] == "buyers")
    place = {"as_of": following, "spark": spark, "console": QUIET}
    [capped] = audiences(changed(settings, "buyers"), **place).of(
        AudiencesChosen
    ).rows  # fmt: skip
    assert capped["left_out_capped"] == before["members"]
    nights = warehouse.read(AUDIENCE_MEMBERS).where("audience = 'buyers'")
    assert nights.groupBy("user_id").count().where("count > 1").isEmpty()
    # Without a cap they are in again, each in his arm.
    [again] = audiences(
        changed(settings, "buyers", every_days=None), **place
    ).of(AudiencesChosen).rows  # fmt: skip
    assert again["left_out_capped"] == 0 and again["members"] == before["members"]
    arms = nights.groupBy("user_id").agg(F.count_distinct("arm").alias("arms"),
                                         F.count(F.lit(1)).alias("nights"))  # fmt: skip
    assert arms.where("nights = 2 AND arms = 1").count() == before["members"]


def test_an_export_has_the_members_to_reach_in_their_order(
    demo_night: DemoResult, warehouse: Warehouse, spark: SparkSession, tmp_path: Path
) -> None:
    settings, as_of = demo_night.settings, demo_night.layout.as_of
    path = tmp_path / "buyers.csv"
    result = audience(
        settings, "buyers", output=path, as_of=as_of, spark=spark, console=QUIET
    )
    reached = warehouse.read(AUDIENCE_MEMBERS).where("audience = 'buyers' AND arm = 'reached'")
    expected = [row["user_id"] for row in reached.orderBy("rank").collect()]
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["user_id"] for row in rows] == expected
    assert result.of(Exported).rows == len(expected) > 0
    assert {row["arm"] for row in rows} == {"reached"} and rows[0]["item_title_1"]
    with pytest.raises(InputError, match=r"no members of 2001-01-01\n.*members of"):
        audience(settings, "buyers", output=path, as_of=dt.date(2001, 1, 1), spark=spark,
                 console=QUIET)  # fmt: skip
    with pytest.raises(InputError, match="buyers, kitchen"):
        audience(settings, "kitchn", output=path, as_of=as_of, spark=spark, console=QUIET)
    assert any("audience buyers" in line for line in next_queries(settings, [], "2024-05-01"))


def test_a_condition_that_does_not_fit_is_found_before_the_night(
    demo_night: DemoResult, spark: SparkSession
) -> None:
    settings, as_of = demo_night.settings, demo_night.layout.as_of
    for changes, message in (
        ({"exclude": "purchase_cuont_7d > 0"}, "did you mean purchase_count_7d"),
        ({"exclude": "purchase_count_7d"}, "audiences.buyers.exclude must be a condition"),
        ({"items_where": "colour = 'red'"}, "audiences.buyers.items_where: no column colour"),
    ):
        wrong = changed(settings, "buyers", **changes)
        with pytest.raises(ConfigError) as error:
            checked(wrong, as_of, spark)
        assert message in str(error.value)
    checked(settings, as_of, spark)


def checked(settings: Settings, as_of: dt.date, spark: SparkSession) -> None:
    with running("x", settings, as_of=as_of, spark=spark, console=QUIET, record=False) as run:
        check_audience_conditions(run)
