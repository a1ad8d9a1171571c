"""Sums of values are exact: a double sum of 0.1 three times is not, and depends on the order."""

import datetime as dt
from decimal import Decimal

import pytest
from pyspark.sql import SparkSession

from behavior_spark.config import FeatureSettings
from behavior_spark.features.inputs import Inputs
from behavior_spark.schemas import EVENTS
from tests.features.frames import as_table, build_features, table

DAY = dt.date(2024, 3, 1)
CASES = {
    "tenths": ["0.1"] * 3,
    "least": ["0.0001"] * 7 + ["-0.0003"],
    "cancelled": ["99999999.9999", "0.0001", "-100000000"],
    "far apart": ["400000000000", "0.0001", "-0.1234", "400000000000"],
}


@pytest.fixture(scope="module")
def found(spark: SparkSession):
    events = []
    for user, values in CASES.items():
        for number, value in enumerate(values):
            time = dt.datetime(2024, 2, 1 + number, 12, tzinfo=dt.UTC)
            events.append(
                {"event_id": f"{user}{number}", "user_id": user, "event_time": time,
                 "event_type": "buy", "item_id": f"i{number}", "value": Decimal(value),
                 "arrived_at": time}
            )  # fmt: skip
    settings = FeatureSettings(event_types=["buy"], windows_days=[30], groups=["activity"])
    frame = build_features(
        Inputs(table(spark, EVENTS, events)), [DAY], settings=settings, targets={}
    )
    return as_table(frame)


@pytest.mark.parametrize("user", CASES)
def test_a_sum_of_values_is_the_sum_of_the_decimals(found, user):
    expected = float(sum(map(Decimal, CASES[user])))
    row = found[DAY, user]
    assert row["buy_value_30d"] == row["value_all"] == row["buy_value_all"] == expected
