"""Attributes of users: categories by their values, as they were known at each as_of."""

from __future__ import annotations

import datetime as dt

import pytest
from pyspark.sql import SparkSession

from behavior_spark.config import Attributes, FeatureSettings, Target
from behavior_spark.errors import ConfigError
from behavior_spark.features.inputs import Inputs
from behavior_spark.io.sources import map_attributes
from behavior_spark.schemas import EVENTS
from tests.features.frames import as_table, feature_set, table

DAYS = [dt.date(2024, 2, 1), dt.date(2024, 3, 1)]
SOURCE = Attributes(
    path="none",
    columns={"user_id": "who", "valid_from": "since", "plan": "plan", "country": "country",
             "seats": "seats"},
    categories={"plan": ["free", "pro"], "country": ["DE", "Österreich", "中国", "日本"]},
)  # fmt: skip


def test_names_of_categories_are_told_apart_in_any_script() -> None:
    names = SOURCE.feature_names
    assert names[:5] == ["plan_is_free", "plan_is_pro", "plan_is_other", "country_is_de",
                         "country_is_sterreich"]  # fmt: skip
    assert names[-2:] == ["country_is_other", "seats"]
    assert len(set(names)) == len(names) == 9


def test_a_category_is_one_of_its_values_another_or_not_known_and_the_future_changes_nothing(
    spark: SparkSession,
) -> None:
    raw = spark.createDataFrame(
        [
            ("ann", "2024-01-01", "free", "DE", 1), ("ann", "2024-02-10", "pro", "DE", 2),
            ("ann", "2024-04-01", "gold", "FR", 9), ("bob", "2024-01-05", " gold ", "中国", 3),
            ("cat", "2024-02-20", None, "日本", 4),
        ],
        "who string, since string, plan string, country string, seats int",
    )  # fmt: skip
    mapped = map_attributes(raw, SOURCE, label="sources.attributes.account").drop("_not_finite")
    mapped = mapped.selectExpr(
        "user_id", "cast(valid_from AS timestamp) AS valid_from",
        "cast(known_at AS timestamp) AS known_at", *SOURCE.feature_names,
    )  # fmt: skip
    start = dt.datetime(2024, 1, 2, tzinfo=dt.UTC)
    events = [
        {"event_id": user, "user_id": user, "event_time": start, "arrived_at": start,
         "event_type": "view"}
        for user in ("ann", "bob", "cat")
    ]  # fmt: skip
    inputs = Inputs(events=table(spark, EVENTS, events), attributes={"account": mapped})
    targets = {"t": Target(event="true")}
    features = feature_set(inputs, FeatureSettings(event_types=["view"]), targets)
    rows = as_table(features.build(inputs, DAYS))

    def seen(user: str, day: dt.date, what: str) -> dict[str, float | None]:
        start = f"attribute_account_{what}_is_"
        row = rows[day, user]
        return {n.removeprefix(start): v for n, v in row.items() if n.startswith(start)}

    first, second = DAYS
    assert seen("ann", first, "plan") == {"free": 1.0, "pro": 0.0, "other": 0.0}
    assert seen("ann", second, "plan") == {"free": 0.0, "pro": 1.0, "other": 0.0}
    assert seen("bob", second, "plan") == {"free": 0.0, "pro": 0.0, "other": 1.0}
    assert set(seen("cat", first, "plan").values()) == {None}
    assert set(seen("cat", second, "plan").values()) == {None}
    countries = [seen(user, second, "country") for user in ("ann", "bob", "cat")]
    assert [sum(value or 0 for value in country.values()) for country in countries] == [1, 1, 1]
    assert len({tuple(country.values()) for country in countries}) == 3
    assert all(feature.numeric for feature in features.features if "_is_" in feature.name)


@pytest.mark.parametrize(
    ("categories", "said"),
    [
        ({"tariff": ["a"]}, "columns has no such attribute"),
        ({"user_id": ["a"]}, "columns has no such attribute"),
        ({"plan": []}, "name each value once, and at least one"),
        ({"plan": ["a", "a"]}, "name each value once, and at least one"),
        ({"plan": ["a", "other"]}, "leave it out"),
    ],
)
def test_categories_that_cannot_be_are_refused(categories: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Attributes(path="none", columns=SOURCE.columns, categories=categories)


def test_a_text_that_is_no_category_says_how_to_make_it_one(spark: SparkSession) -> None:
    plain = Attributes(path="none", columns=SOURCE.columns)
    raw = spark.createDataFrame([], "who string, since string, plan string, country string, "
                                "seats int")  # fmt: skip
    with pytest.raises(ConfigError, match=r"plan must be a number.*category(.|\n)*categories: "):
        map_attributes(raw, plain, label="sources.attributes.account")
