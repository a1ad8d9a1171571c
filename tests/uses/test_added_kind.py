"""A kind of alert is added as CONTRIBUTING says, by a package of its own."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from behavior_spark.config import Alerts
from behavior_spark.extensions import ALERT_KINDS
from behavior_spark.uses.alerts.assembly import alerts_of
from tests.added_package import blocks_under, install
from tests.uses.planted_logs import AS_OF, Log
from tests.uses.test_alert_kinds import inputs_of


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [kind] = blocks_under("Add a kind of alert: 1 file")
    points = {"behavior_spark.alert_kinds": {"many_cancels": "added_alerts.many_cancels"}}
    install(tmp_path, "added_alerts", {"many_cancels": kind}, points, monkeypatch)


def test_a_kind_of_another_package_has_its_alerts_and_may_be_left_out_by_name(
    spark: SparkSession, added: None
) -> None:
    log = Log()
    lately = dt.datetime.combine(AS_OF, dt.time(), dt.UTC) - dt.timedelta(hours=9)
    for user, cancels in {"o'brien": 7, "five": 5, "four": 4}.items():
        for number in range(cancels):
            at = lately - dt.timedelta(minutes=number)
            log.add_event(user, at, event_type="cancel")
            log.add_event(user, at - dt.timedelta(days=20), event_type="cancel")
    seen = ALERT_KINDS.load("many_cancels").candidates(inputs_of(spark, log))
    rows = {row["subject"]: row for row in alerts_of("many_cancels", seen, seen.frame).collect()}
    assert rows.keys() == {"o'brien", "five"}
    assert rows["o'brien"]["evidence"] == "7 cancellations, where 5 are the limit."
    assert rows["o'brien"]["figures"] == {"cancels": 7.0, "limit": 5.0}
    inputs_of(spark, log).events.createOrReplaceTempView("events")
    checked = spark.sql(rows["o'brien"]["check_sql"].replace(", item_id", "")).count()
    assert checked == 14  # the old ones too: what one looks at to judge
    assert Alerts(leave_out=["many_cancels"]).leave_out == ["many_cancels"]
