"""Kinds of alerts on random logs with planted cases: what they find, and what they do not."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.config import Alerts
from behavior_spark.schemas import RISK_ALERTS
from behavior_spark.uses.alerts.assembly import alerts_of
from behavior_spark.uses.alerts.kind import AlertInputs
from behavior_spark.uses.alerts.kinds import (
    account_takeover,
    event_rate,
    similar_texts,
)
from tests.uses.planted_logs import (
    AS_OF,
    BURSTS,
    CAMPAIGNS,
    SEEDS,
    TAKEOVERS,
    Burst,
    Campaign,
    Log,
    Takeover,
    random_log,
)

KINDS = {
    "account_takeover": account_takeover.KIND,
    "event_rate": event_rate.KIND,
    "similar_texts": similar_texts.KIND,
}
_TIME = pa.timestamp("us", tz="UTC")
_EVENTS = {"user_id": pa.string(), "event_time": _TIME, "event_type": pa.string(),
           "device": pa.string(), "place": pa.string(), "category": pa.string()}  # fmt: skip
_TEXTS = {"user_id": pa.string(), "text_time": _TIME, "text": pa.string(),
          "text_hash": pa.string()}  # fmt: skip


def frame_of(spark: SparkSession, rows: list[dict[str, Any]], types: dict[str, Any]) -> DataFrame:
    return spark.createDataFrame(pa.Table.from_pylist(rows, schema=pa.schema(types.items())))


def inputs_of(spark: SparkSession, log: Log, **section: Any) -> AlertInputs:
    alerts = Alerts(**section)
    texts = [t | {"text_hash": hashlib.sha256(t["text"].encode()).hexdigest()} for t in log.texts]

    def marked(frame: DataFrame, time: str) -> DataFrame:
        recent = F.datediff(F.lit(AS_OF), F.to_date(time)) <= alerts.days
        return frame.withColumns({"is_recent": recent, "is_past": ~recent})

    groups = [{"user_id": u, "peers": group, "is_bot": False} for u, group in log.users.items()]
    users = {"user_id": pa.string(), "peers": pa.string(), "is_bot": pa.bool_()}
    return AlertInputs(
        as_of=AS_OF,
        settings=alerts,
        events=marked(frame_of(spark, log.events, _EVENTS), "event_time"),
        mapped=frozenset({"device", "place", "category"}),
        earlier=spark.createDataFrame([], RISK_ALERTS.schema),
        texts=marked(frame_of(spark, texts, _TEXTS), "text_time"),
        users=frame_of(spark, groups, users),
    )


def alerts(kind: Any, name: str, inputs: AlertInputs) -> pd.DataFrame:
    seen = kind.candidates(inputs)
    return alerts_of(name, seen, seen.frame).toPandas()


@pytest.fixture(autouse=True)
def utc(spark: SparkSession) -> None:
    assert spark.conf.get("spark.sql.session.timeZone") == "UTC"


@dataclass(frozen=True)
class Planted:
    """A log, what was planted in it, and the alerts of each kind."""

    log: Log
    stolen: dict[str, Takeover]
    bursts: dict[str, Burst]
    campaigns: list[tuple[Campaign, list[str]]]
    alerts: dict[str, pd.DataFrame]

    def users(self, kind: str) -> set[str]:
        return set(self.alerts[kind]["subject"])


@pytest.fixture(scope="module")
def planted(spark: SparkSession) -> Planted:
    """Hypothesis draws the cases; one log holds them all, for Spark takes seconds for each log."""
    drawn: list[tuple[Any, ...]] = []

    @settings(max_examples=20, deadline=None, phases=[Phase.generate], derandomize=True,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(st.tuples(SEEDS, TAKEOVERS, BURSTS, CAMPAIGNS))
    def draw(cases: tuple[Any, ...]) -> None:
        drawn.append(cases)  # the first ones are the simplest there are

    draw()
    # The one with most to find, which hypothesis has not made small.
    seed, takeovers, bursts, campaigns = max(drawn, key=lambda cases: len(set(cases[2])))
    log, stolen, bursting, groups = random_log(
        seed, takeovers=takeovers, bursts=bursts, campaigns=campaigns
    )
    inputs = inputs_of(spark, log)
    found = {name: alerts(kind, name, inputs) for name, kind in KINDS.items()}
    return Planted(log, stolen, bursting, groups, found)


def test_accounts_taken_over_are_found_by_what_changed(planted: Planted) -> None:
    users = planted.users("account_takeover")
    cases = {name: set(case.signals) for name, case in planted.stolen.items()}
    alone = {name for name, changed in cases.items() if len(changed) == 1}
    obvious = {n for n, changed in cases.items() if {"device", "place", "hour"} <= changed}
    assert obvious and obvious <= users  # three habits broken at once
    assert not alone & users  # one alone is what a new phone or a journey looks like
    false_alarms = users - set(cases)
    assert len(false_alarms) <= 0.01 * len(planted.log.users)
    for row in planted.alerts["account_takeover"].itertuples():
        assert f"the limit is {-math.log2(0.001):.1f}" in row.evidence
        assert row.figures["bits"] == pytest.approx(row.times_limit * row.figures["limit"])
        assert "of a thief" not in row.evidence


def test_a_log_without_places_is_judged_as_one_whose_places_are_unknown(
    spark: SparkSession, planted: Planted
) -> None:
    named = inputs_of(spark, planted.log)
    unknown = replace(named, events=named.events.withColumn("place", F.lit(None).cast("string")))
    without = replace(unknown, mapped=unknown.mapped - {"place"})

    def judged(inputs: AlertInputs) -> pd.DataFrame:
        frame = account_takeover.KIND.candidates(inputs).frame.select("user_id", "day", "bits")
        return frame.toPandas().sort_values("user_id", ignore_index=True)

    known = judged(without)
    assert (known["bits"] > 0).any()
    pd.testing.assert_frame_equal(known, judged(unknown))
    assert not alerts(account_takeover.KIND, "takeover", without)["evidence"].str.contains(
        "a place seen"
    ).any()  # fmt: skip


def test_bursts_above_all_limits_are_found_and_others_are_not(planted: Planted) -> None:
    found = planted.alerts["event_rate"]
    hours = found[found["about"] == "hour"].set_index("subject")
    for user, burst in planted.bursts.items():
        row = hours.loc[user] if user in hours.index else None
        if row is None:  # the largest limit there can be: twice what the busiest of the peers had
            assert burst.events < 200
            continue
        assert row["figures"]["events"] >= burst.events
        assert row["figures"]["events"] >= row["figures"]["limit"] >= 30
        assert f"{row['figures']['events']:,.0f} events in one hour" in row["evidence"]
    assert {u for u, burst in planted.bursts.items() if burst.events >= 200} <= set(hours.index)
    others = planted.users("event_rate") - set(planted.bursts) - set(planted.stolen)
    assert len(others) <= 0.01 * len(planted.log.users)


def test_campaigns_are_found_with_their_members_and_common_texts_are_not(
    planted: Planted,
) -> None:
    groups = {frozenset(row) for row in planted.alerts["similar_texts"]["members"]}
    for campaign, members in planted.campaigns:
        best = max((len(set(members) & group) for group in groups), default=0)
        if campaign.own_words <= 1 and campaign.users >= 4:
            assert best == campaign.users
        if campaign.users < 4:
            assert frozenset(members) not in groups
    # Six words that many say ("thank you very much for all") are as frequent as ever.
    everybody = {user for _, members in planted.campaigns for user in members}
    assert all(group & everybody for group in groups)


@pytest.mark.parametrize(
    ("kind", "precision", "recall"), [("account_takeover", 0.9, 0.4), ("event_rate", 0.9, 0.8)]
)
def test_precision_and_recall_on_planted_cases_are_as_documented(
    planted: Planted, kind: str, precision: float, recall: float
) -> None:
    cases = {"account_takeover": set(planted.stolen), "event_rate": set(planted.bursts)}[kind]
    users = planted.users(kind) - (set(planted.stolen) - cases)
    right = len(users & cases)
    assert right / len(users) >= precision
    assert right / len(cases) >= recall
