"""The demo's page: its figures are those of the tables, and its SQL says the same."""

from __future__ import annotations

import re
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession
from pyspark.sql import functions as F

from behavior_spark.io.catalog import register_views
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines.demonstration import DemoResult
from behavior_spark.schemas import EVENTS, QUARANTINE, TEXTS, USER_FEATURES, USER_PROPENSITY
from tests.report.pages import PageReader

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def page(demo_night: DemoResult) -> PageReader:
    content = demo_night.steps["report"].html()
    assert content is not None
    return PageReader(content)


@pytest.fixture(scope="module")
def warehouse(spark: SparkSession, demo_night: DemoResult) -> Warehouse:
    return Warehouse(spark, demo_night.settings.warehouse)


@pytest.fixture(scope="module")
def answers(warehouse: Warehouse, page: PageReader) -> dict[str, list[Row]]:
    """The rows of every query that the page shows."""
    register_views(warehouse)
    return {name: warehouse.spark.sql(query).collect() for name, query in page.queries.items()}


def whole(cell: str) -> int:
    return int(cell.replace(",", ""))


def percent(cell: str) -> float:
    return float(cell.removesuffix(" %")) / 100


def named(page: PageReader, beginning: str) -> list[list[str]]:
    """The rows of the table whose caption begins so, without its head."""
    [rows] = [rows for caption, rows in page.tables.items() if caption.startswith(beginning)]
    return rows[1:]


def answer(answers: dict[str, list[Row]], beginning: str) -> list[Row]:
    """The answer to the query whose name begins so."""
    [rows] = [rows for name, rows in answers.items() if name.startswith(beginning)]
    return rows


def test_rows_and_refusals_are_those_of_the_tables(
    demo_night: DemoResult, warehouse: Warehouse, page: PageReader, answers: dict[str, list[Row]]
) -> None:
    as_of = F.lit(demo_night.layout.as_of)
    shown = {row[0]: [whole(cell) for cell in row[1:]] for row in named(page, "Rows by table")}
    for contract in (EVENTS, TEXTS):
        stored = warehouse.read(contract).where(F.col("arrived_day") < as_of).count()
        assert shown[contract.name][1] == stored
        assert shown[contract.name][0] == sum(shown[contract.name][1:4])
    refused = warehouse.read(QUARANTINE).where(F.col("as_of") == as_of)
    [total] = refused.agg(F.sum("refused_rows")).collect()[0]
    reasons = named(page, "Refused rows by table")
    assert sum(whole(row[-1]) for row in reasons) == total == sum(row[3] for row in shown.values())
    queried = answer(answers, "rows: Refused rows")
    assert {(r["source"], r["reason"], f"{r['rows']:,}") for r in queried} == {
        tuple(row[1:]) for row in reasons
    }
    by_day = {row[0]: row[1] for row in named(page, "Rows kept by day")}
    assert by_day.items() <= {
        str(r["arrived_day"]): f"{r['rows']:,}" for r in answer(answers, "rows: Rows kept")
    }.items()  # fmt: skip


def test_predictions_are_those_of_the_tables(
    demo_night: DemoResult, warehouse: Warehouse, page: PageReader, answers: dict[str, list[Row]]
) -> None:
    as_of = F.col("as_of") == F.lit(demo_night.layout.as_of)
    bots = warehouse.read(USER_FEATURES).where(as_of & F.col("is_bot")).select("user_id")
    people = warehouse.read(USER_PROPENSITY).where(as_of).join(bots, "user_id", "left_anti")
    sums = {
        row["target"]: row
        for row in people.groupBy("target")
        .agg(F.count("*").alias("users"), F.sum("probability").alias("expected"))
        .collect()
    }
    ranked = demo_night.steps["nightly"].details["targets"]
    reached = re.findall(
        r"Reach the first (\d+) and expect (\d+) to do it, give or take (\d+)", page.text
    )
    for number, target in enumerate(demo_night.settings.targets, 1):
        assert f"Each of {sums[target]['users']:,} users" in page.text
        deciles = answer(answers, f"target-{number}: Users and what")
        assert sum(row["users"] for row in deciles) == sums[target]["users"]
        assert sum(row["expected"] for row in deciles) == pytest.approx(sums[target]["expected"])
        assert f"users predicted {sums[target]['users']} expected to do it " in page.text
        if not ranked[target]["ranked"]:
            assert f"{target}: nobody is ranked" in page.text
            continue
        [first] = answer(answers, f"target-{number}: Reach the first")
        said = reached.pop(0)
        assert int(said[0]) == first["reach"]
        assert int(said[1]) == pytest.approx(first["expect"], abs=1.01)
        assert int(said[2]) == pytest.approx(first["give_or_take"], abs=1.01)


def test_what_happened_is_what_the_tables_say(
    demo_night: DemoResult, page: PageReader, answers: dict[str, list[Row]]
) -> None:
    said = re.findall(r"After this night: ([\d,]+) of ([\d,]+) users did it", page.text)
    assert len(said) == len(demo_night.settings.targets)
    for number, (hits, users) in enumerate(said, 1):
        deciles = answer(answers, f"target-{number}: What happened")
        assert sum(row["users"] for row in deciles) == whole(users)
        counted = sum(row["users"] * row["happened"] for row in deciles)
        assert counted == pytest.approx(whole(hits))


def test_reasons_people_and_texts_are_those_of_the_tables(
    demo_night: DemoResult, page: PageReader, answers: dict[str, list[Row]]
) -> None:
    counted = {
        (row["target"], row["feature"]): row["users"]
        for row in answer(answers, "why: How many users")
    }
    ranked = demo_night.steps["nightly"].details["targets"]
    assert {target for target, _ in counted} == {t for t in ranked if ranked[t]["ranked"]}
    for target in {target for target, _ in counted}:
        reasons = named(page, f"{target}: most frequent reasons")
        assert reasons
        assert all(counted[target, row[0]] == whole(row[2]) for row in reasons)
    segments = {row[0]: row for row in named(page, "Segments")}
    targets = list(demo_night.settings.targets)
    for row in answer(answers, "people: Segments"):
        if row["segment"] in segments:
            shown = segments[row["segment"]]
            assert whole(shown[1]) == row["users"]
            share = percent(shown[2 + targets.index(row["target"])])
            assert share == pytest.approx(row["predicted"], abs=0.0006)
    active = {str(row["period"]): row["users"] for row in answer(answers, "people: People active")}
    for day, returning, back, new, *_ in named(page, "People by state"):
        if "few" not in (returning, back, new):
            assert whole(returning) + whole(back) + whole(new) == active[day]
    for funnel, declared in demo_night.settings.features.funnels.items():
        furthest = answer(answers, f"people: Users by furthest step of {funnel}")
        shown_steps = named(page, f"Funnel {funnel}")
        assert [row[0] for row in shown_steps] == declared.steps
        for place, row in enumerate(shown_steps, 1):
            assert whole(row[1]) == sum(r["users"] for r in furthest if r["step"] >= place)
    heads: dict[str, int] = {}
    for row in answer(answers, "texts: Texts by label"):
        heads[row["head"]] = heads.get(row["head"], 0) + row["texts"]
    assert set(heads) == {"intent", "emotion", "spam"}
    for texts in heads.values():
        assert f"Of {texts:,} texts" in page.text


def test_topics_and_what_moved_since_training_are_those_of_the_tables(
    page: PageReader, answers: dict[str, list[Row]]
) -> None:
    [sample] = answer(answers, "topics: Texts that topics")
    assert f"{sample['texts']:,} texts of {sample['users']:,} users" in page.text
    topics = named(page, "Topics with their typical words")
    assert sum(whole(row[1]) for row in topics) <= sample["texts"]
    with_word = {row["word"]: row["texts"] for row in answer(answers, "topics: Texts with")}
    assert {row[0].split(", ")[0]: whole(row[3]) for row in topics} == with_word
    scripts = {row[0]: row for row in named(page, "Texts by script")}
    assert percent(scripts["Latin"][3]) < 0.05
    moved = {row[0]: row for row in named(page, "From training to")}
    [mean] = answer(answers, "trained: Mean of")
    features = [row for row in moved.values() if row[1] != "prediction"]
    assert float(features[0][5].replace(",", "")) == pytest.approx(mean["mean"], rel=0.01)
    for row in answer(answers, "trained: Mean prediction now"):
        if row["target"] in moved:
            shown = float(moved[row["target"]][5])
            assert shown == pytest.approx(row["mean"], rel=0.01)


def test_the_page_holds_no_user_id_and_no_text(
    warehouse: Warehouse, page: PageReader, answers: dict[str, list[Row]]
) -> None:
    words = set(re.findall(r"[\w-]+", page.text))
    users = {row[0] for row in warehouse.read(USER_FEATURES).select("user_id").collect()}
    assert users and not users & words
    texts = {row[0] for row in warehouse.read(TEXTS).select("text").distinct().collect()}
    long = [text for text in texts if len(text) > 25]
    assert long and not [text for text in long if text in page.text]
    # Who has the tables finds the user whom the page names by a key.
    [example] = answer(answers, "why: The user ")
    assert example["user_id"] in users


def test_a_view_that_the_demo_cannot_fill_says_why(page: PageReader) -> None:
    shown: list[Any] = [attributes["id"] for tag, attributes in page.tags if tag == "section"]
    filled = {"verdict", "rows", "target-1", "target-3", "trained", "why", "people", "texts"}
    assert filled | {"topics", "audiences", "cost"} <= {*shown}
    assert "there is no earlier night with predictions" in page.text
