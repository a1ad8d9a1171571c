"""The helper for users' own features: blind ones pass, leaking ones are named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.errors import LeakageError
from behavior_spark.features.inputs import Inputs
from behavior_spark.features.point_in_time import as_seen, of_users
from behavior_spark.pipelines import assert_no_leakage
from tests.features.frames import feature_set, make_inputs
from tests.features.random_logs import DAYS, POPULATION_SQL, random_log
from tests.features.sessions.test_versions import full

DAY = DAYS[1]


@pytest.fixture(scope="module")
def inputs(spark: SparkSession) -> Inputs:
    return make_inputs(spark, random_log(77, cases=60))


def test_the_features_of_the_nightly_table_are_the_same_in_another_future(inputs: Inputs) -> None:
    stored = replace(inputs, sessions=full(inputs.events))
    features = feature_set(stored, population=POPULATION_SQL)
    assert_no_leakage(lambda tables: features.build(tables, [DAY]), stored, DAY)


def count_of(rows: Callable[[Inputs], DataFrame]) -> Callable[[Inputs], DataFrame]:
    """A user's own features: events and their value, of the rows that are taken."""

    def build(tables: Inputs) -> DataFrame:
        frame = rows(tables).where("user_id IS NOT NULL").withColumn("as_of", F.lit(DAY))
        return frame.groupBy("user_id", "as_of").agg(
            F.count(F.lit(1)).alias("seen"), F.lit(1).alias("constant")
        )

    return build


@pytest.mark.parametrize(
    ("rows", "leaks"),
    [
        (lambda t: as_seen(of_users(t.events, key="event_id"), [DAY], time="event_time"), None),
        (lambda t: t.events.where(f"event_time < '{DAY}'"), "seen"),
        (lambda t: t.events.where(f"arrived_at <= '{DAY}'"), "seen"),
        (
            lambda t: of_users(t.events, key="event_id").where(
                f"arrived_at < '{DAY}' AND superseded_at IS NULL"
            ),
            "seen",
        ),
    ],
    ids=["blind", "late rows", "the first microsecond", "later corrections"],
)
def test_a_feature_that_sees_later_rows_is_named(
    inputs: Inputs, rows: Callable[[Inputs], DataFrame], leaks: str | None
) -> None:
    if leaks is None:
        assert_no_leakage(count_of(rows), inputs, DAY)
        return
    with pytest.raises(LeakageError, match=f"found: .*{leaks}") as caught:
        assert_no_leakage(count_of(rows), inputs, DAY)
    assert "constant" not in str(caught.value)


def test_the_alteration_adds_a_future_where_the_log_has_none(inputs: Inputs) -> None:
    past = replace(inputs, events=inputs.events.where(f"arrived_at < '{DAY}'"))
    with pytest.raises(LeakageError):
        assert_no_leakage(count_of(lambda t: t.events), past, DAY)
