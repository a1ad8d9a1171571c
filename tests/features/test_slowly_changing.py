"""Joins as of a day: against plain loops over versions with two clocks."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

import pytest
from hypothesis import given
from pyspark.sql import SparkSession

from behavior_spark.errors import ConfigError
from behavior_spark.features.slowly_changing import join_as_of
from tests.features.test_point_in_time import SEEDS, tries

START = dt.datetime(2024, 3, 1)
VERSIONS = "user_id string, valid_from timestamp, known_at timestamp, plan string, seats int"


def moment(dice: random.Random) -> dt.datetime:
    edge = dice.choice((dt.timedelta(), -dt.timedelta(microseconds=1), dt.timedelta(hours=7)))
    return START + dt.timedelta(days=dice.randrange(8)) + edge


def expected(versions: list[tuple[Any, ...]], user: str | None, day: dt.date) -> set[Any]:
    """What may stand beside a user: one value, or those of versions with the same times."""
    midnight = dt.datetime.combine(day, dt.time())
    seen = [v for v in versions if v[0] == user and user and v[1] and v[2]]
    seen = [v for v in seen if v[1] < midnight and v[2] < midnight]
    if not seen:
        return {(None, None)}
    last = max((v[1], v[2]) for v in seen)
    return {(v[3], v[4]) for v in seen if (v[1], v[2]) == last}


@tries(2)
@given(seed=SEEDS)
def test_the_latest_version_true_and_known_before_the_day_is_joined(
    spark: SparkSession, seed: int
) -> None:
    dice = random.Random(seed)
    users = [f"u{n}" for n in range(60)]
    versions = [
        (dice.choice([*users, None]), moment(dice), dice.choice((moment(dice), moment(dice), None)),
         dice.choice(("free", "pro", None)), dice.choice((1, 2, 3, None)))
        for _ in range(400)
    ]  # fmt: skip
    days = [(START + dt.timedelta(days=n)).date() for n in range(9)]
    asked = [(user, day, n) for n, user in enumerate([*users, "new", None]) for day in days]
    asked += asked[:5]  # a row that stands twice stays twice
    frame = spark.createDataFrame(asked, "user_id string, as_of date, n int")
    table = spark.createDataFrame(versions, VERSIONS)
    options: dict[str, Any] = {"on": ["user_id"], "columns": ["plan", "seats"]}
    joined = join_as_of(frame, table, known_at="known_at", **options)
    rows = joined.collect()
    assert sorted((r["n"], r["as_of"]) for r in rows) == sorted((n, day) for _, day, n in asked)
    for row in rows:
        possible = expected(versions, row["user_id"], row["as_of"])
        assert (row["plan"], row["seats"]) in possible, row
    dice.shuffle(versions)
    again = join_as_of(
        frame, spark.createDataFrame(versions, VERSIONS), known_at="known_at", **options
    )
    assert sorted(map(repr, again.collect())) == sorted(map(repr, rows))


def test_a_column_that_is_missing_or_there_already_is_named(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("u", START.date())], "user_id string, as_of date")
    table = spark.createDataFrame([], VERSIONS)
    with pytest.raises(ConfigError, match="the table has no column colour"):
        join_as_of(frame, table, on=["user_id"], columns=["colour"])
    with pytest.raises(ConfigError, match="has a column user_id already"):
        join_as_of(frame, table, on=["user_id"], columns=["user_id"])
