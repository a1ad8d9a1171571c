"""The written logs. One small shop is enough: the rows are tested without Spark."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from behavior_spark.demo.generate import EVENTS, LABELS, TEXTS, generate_demo, plan_layout
from behavior_spark.demo.logs import UserLogs
from behavior_spark.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

USERS, DAYS, START, SEED = 24, 40, dt.date(2024, 3, 1), 11


def collect_sorted(table: DataFrame) -> list[str]:
    return sorted(str(tuple(row)) for row in table.collect())


def test_tables_hold_the_users_rows_however_they_were_partitioned(
    spark: SparkSession, tmp_path: Path
) -> None:
    size = {"users": USERS, "days": DAYS, "seed": SEED}
    heard: list[str] = []
    one = generate_demo(
        spark, f"{tmp_path}/a", start=START, partitions=1, progress=heard.append, **size
    )
    five = generate_demo(spark, f"{tmp_path}/b", start=START, partitions=5, **size)
    events, texts, labels = (
        [spark.read.parquet(layout.events) for layout in (one, five)],
        [spark.read.format("delta").load(layout.texts) for layout in (one, five)],
        [spark.read.parquet(layout.labels) for layout in (one, five)],
    )
    for pair in (events, texts, labels):
        assert collect_sorted(pair[0]) == collect_sorted(pair[1])
    users = [UserLogs(SEED, index, USERS, START, DAYS) for index in range(USERS)]
    assert events[0].count() == sum(len(user.list_events()) for user in users)
    assert texts[0].count() == sum(len(user.list_texts()) for user in users)
    assert labels[0].count() == sum(len(user.list_labels()) for user in users)
    assert set(events[0].columns) == set(EVENTS.names)
    assert (texts[0].columns, labels[0].columns) == (TEXTS.names, LABELS.names)
    assert spark.read.csv(one.catalogue, header=True).count() == 120
    assert len(heard) == 4


def test_the_layout_leaves_thirty_days_of_outcomes() -> None:
    layout = plan_layout("/data/shop/", days=150, start=dt.date(2024, 1, 1))
    assert layout.events == "/data/shop/events"
    assert layout.end - layout.as_of == dt.timedelta(days=30)


@pytest.mark.parametrize("wrong", [{"users": 0}, {"days": 10}, {"seed": -1}])
def test_a_shop_that_cannot_be_made_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match="ask for users"):
        generate_demo(None, "/nowhere", **wrong)  # type: ignore[arg-type]
