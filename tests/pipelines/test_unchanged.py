"""Who has changed a table since a night began: near its start, the record of their runs tells."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from behavior_spark.config import WarehouseSettings
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines.unchanged import _CHANGING, CLOCKS, changed_since
from behavior_spark.runs.past import PastNight, past_runs
from behavior_spark.schemas import ITEMS, RUNS

AS_OF = dt.date(2024, 3, 1)
BACKWARDS = -60.0  # seconds from the night's start to the commit: the night began long before it
RUN = (
    "run_id string, command string, as_of date, started_at timestamp, seconds double, status string"
)


@pytest.mark.parametrize(
    ("since_commit", "ran_until", "changed"),
    [
        (0.5, 0.4, None),  # seconds after the commit: the other ended before the night began
        (0.5, 0.6, "items"),  # it was still running
        (0.5, None, "items"),  # nothing is recorded of it
        (BACKWARDS, -70.0, "items"),  # its clock says before, and the store's long after
        (CLOCKS.total_seconds() + 1, None, None),  # well before the night: whoever it was
    ],
)
def test_a_command_that_ended_just_before_a_night_did_not_change_it(
    spark: SparkSession,
    tmp_path: Path,
    since_commit: float,
    ran_until: float | None,
    changed: str | None,
) -> None:
    settings = WarehouseSettings(path=str(tmp_path))
    other = Warehouse(spark, settings, writer="other")
    item = spark.sql("SELECT 'a' AS item_id, TIMESTAMP'1970-01-01' AS valid_from")
    other.append(item, ITEMS)
    committed = other.latest(ITEMS, most=1)[0].at
    assert committed is not None
    began = committed + dt.timedelta(seconds=since_commit)
    runs = [("night", "nightly", AS_OF, began, 60.0, "done")]
    if ran_until is not None:
        started = committed + dt.timedelta(seconds=ran_until - 100)
        runs.append(("other", "score-texts", AS_OF, started, 100.0, "done"))
    night = Warehouse(spark, settings, writer="night")
    night.append(spark.createDataFrame(runs, RUN), RUNS)

    before = past_runs(night, AS_OF).same_night

    assert before == PastNight("night", began, None)
    assert changed_since(night, before) == changed


@pytest.mark.parametrize("condition", [
    "day >= CURRENT_DATE - INTERVAL 30 DAYS", "at < NOW()", "Rand() < 0.5", "UUID() <> ''",
    "day < curdate()", "at < localtimestamp", "day = DATE'today'", "at > timestamp 'Now'",
    "at > unix_timestamp( )", "random() < 0.5",
])  # fmt: skip
def test_a_condition_whose_value_changes_by_itself_is_seen(condition: str) -> None:
    assert _CHANGING.search(condition)


@pytest.mark.parametrize("condition", [
    "event_type = 'view'", "unix_timestamp(at) > 5", "brand = 'x'", "event_type = 'known'",
    "event_type = 'today only'",
])  # fmt: skip
def test_a_condition_of_the_rows_alone_is_not(condition: str) -> None:
    assert not _CHANGING.search(condition)
