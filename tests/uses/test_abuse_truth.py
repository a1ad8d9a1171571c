"""What the demo tells of its alerts about texts: counted against the truth, beside words."""

from __future__ import annotations

import datetime as dt

import pytest
from pyspark.sql import SparkSession

from behavior_spark.config import Alerts, WarehouseSettings
from behavior_spark.demo.generate import PLANTED, plan_layout
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines.uses.abuse_truth import AbuseMeasured, AbuseRule, measure_abuse
from behavior_spark.schemas import RISK_ALERTS, TEXTS


@pytest.fixture(scope="module")
def found(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> AbuseMeasured:
    """``spam`` is alerted and writes suspect words twice, ``sly`` is alerted and uses none."""
    folder = tmp_path_factory.mktemp("truth")
    layout = plan_layout(str(folder / "data"), days=80)
    house = Warehouse(spark, WarehouseSettings(path=str(folder / "tables")))
    night = layout.as_of
    alerts = [
        {"as_of": night, "kind": kind, "subject": user, "alert_id": f"{kind} {user}",
         "subject_kind": "user", "severity": "low", "first_seen": night, "last_seen": night}
        for user, kind in (("spam", "text_abuse"), ("sly", "text_abuse"), ("good", "text_abuse"),
                           ("missed", "event_rate"))
    ]  # fmt: skip
    house.append(house.frame(RISK_ALERTS, alerts), RISK_ALERTS)
    said = [
        ("spam", "You WON bitcoin", 1), ("spam", "free pills", 3), ("sly", "come and see", 2),
        ("missed", "congratulations", 2), ("good", "I won't buy it", 1), ("good", "wonderful", 1),
        ("old", "free casino", 40), ("old", "free casino", 41),
    ]  # fmt: skip
    texts = []
    for number, (user, text, ago) in enumerate(said):
        at = dt.datetime.combine(night, dt.time(9), dt.UTC) - dt.timedelta(days=ago)
        texts.append({"text_id": f"t{number}", "user_id": user, "text_time": at, "arrived_at": at,
                      "arrived_day": at.date(), "text": text, "text_hash": f"h{number}",
                      "kind": "chat"})  # fmt: skip
    house.append(house.frame(TEXTS, texts), TEXTS)
    truth = [("spam", "spam", ""), ("sly", "spam", ""), ("missed", "spam", ""),
             ("thief", "takeover", "")]  # fmt: skip
    spark.createDataFrame(truth, PLANTED).write.parquet(layout.planted)
    return measure_abuse(house, layout, Alerts())


def test_alerts_and_suspect_words_are_counted_against_who_wrote_spam(found: AbuseMeasured) -> None:
    assert found == AbuseMeasured(
        3,
        [
            AbuseRule("text_abuse", 3, 2),
            AbuseRule("naive: two texts with a suspect word", 1, 1),
            AbuseRule("naive: one text with a suspect word", 2, 2),
        ],
    )
    assert len(found.blocks()) == 2
