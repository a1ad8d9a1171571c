"""The service queue of the demo's night: what a service lead relies on every morning."""

from __future__ import annotations

import csv
import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from behavior_spark.config import Settings
from behavior_spark.demo.answers import ANSWERS
from behavior_spark.errors import BehaviorError, ConfigError, InputError
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines import service, service_queue
from behavior_spark.pipelines.demonstration import DemoResult
from behavior_spark.pipelines.uses.service import ServiceQueued
from behavior_spark.pipelines.uses.service_check import check_service_settings
from behavior_spark.pipelines.uses.service_export import QueueExported
from behavior_spark.runs.run import running
from behavior_spark.schemas import SERVICE_QUEUE, TEXTS
from tests.demo_shop import copy_of
from tests.stored_tables import same_rows, snapshot

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def warehouse(spark: SparkSession, demo_night: DemoResult) -> Warehouse:
    return Warehouse(spark, demo_night.settings.warehouse)


def test_the_night_queues_every_chat_of_its_days(
    demo_night: DemoResult, warehouse: Warehouse
) -> None:
    as_of = demo_night.layout.as_of
    made = demo_night.steps["nightly"].of(ServiceQueued)
    rows = {row["text_id"]: row for row in warehouse.read(SERVICE_QUEUE).collect()}
    came = warehouse.read(TEXTS).where(
        (F.col("kind") == "chat")
        & (F.col("arrived_day") >= F.lit(as_of - dt.timedelta(days=7)))
        & (F.col("arrived_day") < F.lit(as_of))
    )
    chats = {row["text_id"] for row in came.collect()}
    assert made.incoming == len(chats) and made.capped == 0 and set(rows) <= chats
    assert len(rows) == made.incoming - made.unwanted == made.counts["rows"] > 10
    answers = {name: set(needs.split(",")) for name, needs, _ in ANSWERS}
    queues = demo_night.settings.service.queues  # type: ignore[union-attr]
    for row in rows.values():
        assert (row["need"] is None) == (row["abstained_because"] is not None)
        if row["need"]:
            assert row["need_confidence"] >= row["least_confidence"]
            takers = [name for name, queue in queues.items() if row["need"] in queue.needs]
            assert row["queue"] == (takers or ["general"])[0]
        if row["reply_id"]:
            wanted = {row["need"]} if row["need"] else {row["likeliest_need"], row["second_need"]}
            assert wanted <= answers[row["reply_id"]] and row["reply_similarity"] >= 0.3
    assert any(row["similar_cases"] for row in rows.values())
    assert any(row["value"] for row in rows.values())


def test_the_queue_is_measured_against_what_was_meant_beside_keywords(
    demo_night: DemoResult,
) -> None:
    measured = demo_night.service
    assert measured is not None
    head, always, keywords = measured.rules
    made = demo_night.steps["nightly"].of(ServiceQueued)
    assert head.texts == always.texts == keywords.texts == made.counts["rows"]
    assert head.answered == made.counts["with_need"] < always.answered
    assert 0 < always.right < always.texts  # nothing is perfect here
    assert keywords.right < always.right
    assert measured.replies == made.counts["with_reply"] >= measured.fitting


def test_a_rerun_gives_the_same_queue(
    demo_night: DemoResult, spark: SparkSession, tmp_path: Path
) -> None:
    settings = copy_of(demo_night, tmp_path / "shop").settings
    warehouse = Warehouse(spark, settings.warehouse)
    before = snapshot(warehouse.read(SERVICE_QUEUE), tmp_path / "queue")
    again = service(
        settings, as_of=demo_night.layout.as_of, spark=spark, console=QUIET
    ).of(ServiceQueued)
    assert same_rows(warehouse.read(SERVICE_QUEUE), before)
    first = demo_night.steps["nightly"].of(ServiceQueued)
    assert (again.counts, again.threshold) == (first.counts, first.threshold)
    assert again.unused == {"not_approved": 1}


def test_an_export_has_the_texts_masked_and_approved_answers_word_by_word(
    demo_night: DemoResult, warehouse: Warehouse, spark: SparkSession, tmp_path: Path
) -> None:
    settings, path = demo_night.settings, tmp_path / "queue.csv"
    place: Any = {"as_of": demo_night.layout.as_of, "spark": spark, "console": QUIET}
    result = service_queue(settings, output=path, **place)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result.of(QueueExported).rows == warehouse.read(SERVICE_QUEUE).count()
    order = [(row["queue"], int(row["place"])) for row in rows]
    assert order == sorted(order)
    approved = {name: text for name, _, text in ANSWERS}
    assert all(row["reply"] == approved.get(row["reply_id"], "") for row in rows)
    assert all(row["text"] and "@example" not in row["text"] for row in rows)
    with pytest.raises(InputError, match=r"queue nobody has no text[\s\S]*queues of this night"):
        service_queue(settings, output=path, queue="nobody", **place)


def changed(settings: Settings, **changes: object) -> Settings:
    tree = settings.model_dump(by_alias=True)
    tree["service"] |= changes
    return Settings.model_validate(tree)


def test_what_does_not_fit_is_found_before_the_night(
    demo_night: DemoResult, spark: SparkSession
) -> None:
    settings, as_of = demo_night.settings, demo_night.layout.as_of
    answers = settings.service.answers.model_dump()  # type: ignore[union-attr]
    for changes, message in (
        ({"texts": "kinds = 'chat'"}, "service.texts: no column kinds"),
        ({"queues": {"vip": {"where": "valeu > 3"}}}, "service.queues.vip.where: no column valeu"),
        ({"value": "spent"}, "service.value: no column spent in user_features"),
        ({"languages": ["klingon"]}, "service.languages: no language 'klingon'"),
        ({"answers": answers | {"columns": {"need": "x", "answer": "body"}}},
         "service.answers.columns.need: no column x"),
    ):  # fmt: skip
        with pytest.raises(BehaviorError) as error:
            checked(changed(settings, **changes), as_of, spark)
        assert message in str(error.value)
    checked(settings, as_of, spark)
    with pytest.raises(ConfigError, match="no section service"):
        service(settings.model_copy(update={"service": None}))


def checked(settings: Settings, as_of: dt.date, spark: SparkSession) -> None:
    with running("x", settings, as_of=as_of, spark=spark, console=QUIET, record=False) as run:
        check_service_settings(run)
