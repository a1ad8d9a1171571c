"""Refused rows, links of visitors and abuse in texts: what is above the limit, and what is not."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from functools import reduce
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession

from behavior_spark.config import Alerts
from behavior_spark.schemas import QUARANTINE
from behavior_spark.uses.alerts.assembly import alerts_of
from behavior_spark.uses.alerts.feedback import valid_verdicts
from behavior_spark.uses.alerts.kind import AlertInputs
from behavior_spark.uses.alerts.kinds import refused_rows, text_abuse, visitor_links
from behavior_spark.uses.alerts.kinds.event_rate import _usual_of_peers
from tests.uses.planted_logs import AS_OF, Log
from tests.uses.test_alert_kinds import frame_of, inputs_of

KINDS = {
    "refused_rows": refused_rows.KIND,
    "visitor_links": visitor_links.KIND,
    "text_abuse": text_abuse.KIND,
}
NIGHTS = [AS_OF - dt.timedelta(days=back) for back in range(1, 11)]


def refused(source: str, night: dt.date, rows: int) -> tuple[Any, ...]:
    return ("run", night, "events", source, "no time", "{}", f"{source}{night}", rows)


def quarantine() -> list[tuple[Any, ...]]:
    """``steady`` is as ever, ``burst`` is not; ``rare`` is seldom refused; ``few`` are too few."""
    rows = [refused(source, night, 20) for source in ("steady", "burst") for night in NIGHTS]
    rows += [refused("rare", night, 100) for night in NIGHTS[:3]]
    # A night of all history refuses more by its size; it is not among the nights.
    rows += [refused("burst", AS_OF - dt.timedelta(days=60), 90_000)]
    tonight = {"steady": 60, "burst": 180, "rare": 120, "few": 40, "o'brien\\": 50}
    return rows + [refused(source, AS_OF, n) for source, n in tonight.items()]


def links() -> list[dict[str, Any]]:
    """A visitor who is eight users, one who was so long ago, a user with many visitors."""
    pairs = [("cookie", f"user {n}", 1 + n % 3) for n in range(8)]
    pairs += [("old cookie", f"user {n}", 20) for n in range(9)]
    pairs += [(f"visitor {n}", "busy", 1 + n % 5) for n in range(25)]
    pairs += [(f"of {ago} {n}", f"of {ago} {n}", ago) for ago in range(1, 20) for n in range(30)]
    return [
        {"anonymous_id": visitor, "user_id": user,
         "arrived_day": AS_OF - dt.timedelta(days=ago)}
        for visitor, user, ago in pairs
    ]  # fmt: skip


def spam_log() -> Log:
    """``spammer`` writes four, ``earlier`` none lately, ``twice`` two, all beside good texts.

    Of ``unsure`` the head cannot tell five texts; ``much`` writes sixty good ones.
    """
    log = Log()
    lately = dt.datetime.combine(AS_OF, dt.time(), dt.UTC) - dt.timedelta(hours=5)
    for user, days in {"spammer": [0, 1, 2, 3], "earlier": [2, 3, 4], "twice": [0, 1]}.items():
        for back in days:
            log.add_text(user, lately - dt.timedelta(days=back), f"win now {user} {back}")
        log.add_text(user, lately, f"good {user}")
    for n in range(5):
        log.add_text("unsure", lately, f"maybe {n}")
    for n in range(60):
        log.add_text("much", lately, f"good {n}")
    log.add_event("spammer", lately)
    return log


@pytest.fixture(scope="module")
def found(spark: SparkSession) -> dict[tuple[str, str, str], dict[str, Any]]:
    inputs = inputs_of(spark, spam_log())
    assert inputs.texts is not None
    p = "CASE WHEN text LIKE 'win%' THEN 0.9 WHEN text LIKE 'maybe%' THEN 0.45 ELSE 0.05 END"
    read = inputs.texts.selectExpr("text_hash", f"CAST({p} AS double) AS p").distinct()
    link_types = {"anonymous_id": pa.string(), "user_id": pa.string(), "arrived_day": pa.date32()}
    inputs = replace(
        inputs,
        quarantine=spark.createDataFrame(quarantine(), QUARANTINE.schema),
        nights=NIGHTS,
        links=frame_of(spark, links(), link_types),
        labels=read.selectExpr(
            "text_hash", "'spam' AS head", "IF(p > 0.5, 'spam', 'ok') AS label",
            "greatest(p, 1 - p) AS probability", "map('spam', p, 'ok', 1 - p) AS probabilities",
        ),
        heads=frozenset({"spam"}),
    )
    frames = []
    for name, kind in KINDS.items():
        assert kind.lacks(inputs) is None
        seen = kind.candidates(inputs)
        frames.append(alerts_of(name, seen, seen.frame))
    rows = reduce(DataFrame.unionByName, frames).collect()
    return {(row["kind"], row["subject"], row["about"]): row.asDict() for row in rows}


def of_kind(found: dict[tuple[str, str, str], Any], kind: str) -> dict[tuple[str, str], float]:
    return {key[1:]: row["times_limit"] for key, row in found.items() if key[0] == kind}


def test_a_source_is_alerted_by_the_nights_before_and_a_fixed_least(found: Any) -> None:
    assert of_kind(found, "refused_rows") == {
        ("steady", "no time"): pytest.approx(60 / 60),
        ("burst", "no time"): pytest.approx(180 / 60),
        ("rare", "no time"): pytest.approx(120 / 50),  # on most nights it had none
        ("o'brien\\", "no time"): pytest.approx(50 / 50),
    }
    burst = found[("refused_rows", "burst", "no time")]
    assert burst["evidence"].startswith(
        "180 rows of source burst were refused (no time); the median"
    )
    assert burst["figures"] == {"rows": 180, "usual": 20, "limit": 60, "nights": 10}


def test_links_are_alerted_by_visitor_by_user_and_by_day(found: Any) -> None:
    alerts = of_kind(found, "visitor_links")
    assert alerts.pop(("cookie", "anonymous_id")) == pytest.approx(8 / 5)
    assert alerts.pop(("busy", "user_id")) == pytest.approx(25 / 20)
    assert alerts == {}  # the old cookie was seen long ago, and the day had as many as ever
    cookie = found[("visitor_links", "cookie", "anonymous_id")]
    assert cookie["subject_kind"] == "group"
    assert cookie["members"] == [f"user {n}" for n in range(8)]


def test_as_much_abuse_as_probabilities_let_expect_is_alerted(found: Any) -> None:
    # One or two texts are too few, old ones do not count; much that is hardly abuse is none.
    assert of_kind(found, "text_abuse") == {
        ("spammer", ""): pytest.approx(4 * 0.9 / 2),
        ("unsure", ""): pytest.approx(5 * 0.45 / 2),
    }
    spammer = found[("text_abuse", "spammer", "")]
    assert spammer["figures"]["texts"] == 5 and len(spammer["texts"]) == 4
    assert spammer["figures"]["abusive_texts"] == 4
    assert spammer["figures"]["expected_texts"] == pytest.approx(3.6)
    assert "win" not in spammer["evidence"]


def test_queries_hold_hostile_names_as_literals(found: Any, spark: SparkSession) -> None:
    spark.createDataFrame(quarantine(), QUARANTINE.schema).createOrReplaceTempView("quarantine")
    frame_of(
        spark,
        links(),
        {"anonymous_id": pa.string(), "user_id": pa.string(), "arrived_day": pa.date32()},
    ).selectExpr("*", "timestamp(arrived_day) AS arrived_at").createOrReplaceTempView("identities")
    try:
        hostile = found[("refused_rows", "o'brien\\", "no time")]
        assert [row["refused"] for row in spark.sql(hostile["check_sql"]).collect()] == [50]
        cookie = found[("visitor_links", "cookie", "anonymous_id")]
        assert sum(row["links"] for row in spark.sql(cookie["check_sql"]).collect()) == 8
    finally:
        spark.catalog.dropTempView("quarantine")
        spark.catalog.dropTempView("identities")


def test_kinds_that_cannot_say_anything_say_why(found: Any) -> None:
    nothing = AlertInputs(
        as_of=AS_OF, settings=Alerts(), events=None, mapped=frozenset(), earlier=None
    )  # type: ignore[arg-type]
    for kind in KINDS.values():
        assert kind.lacks(nothing)
    assert refused_rows.KIND.lacks(replace(nothing, quarantine=1, nights=NIGHTS[:2])) == (  # type: ignore[arg-type]
        "2 earlier nights of new rows alone, 5 are needed"
    )


def test_of_two_verdicts_of_one_day_the_more_cautious_counts(spark: SparkSession) -> None:
    at = dt.datetime(2024, 5, 1, tzinfo=dt.UTC)
    rows = [("a1", "dismissed", at), ("a1", " Confirmed", at),
            ("a2", "confirmed", at), ("a2", "dismissed", at + dt.timedelta(days=1))]  # fmt: skip
    feedback = spark.createDataFrame(rows, "alert_id string, verdict string, at timestamp")
    given = valid_verdicts(feedback, dt.date(2024, 5, 10)).collect()
    assert {row["alert_id"]: row["verdict"] for row in given} == {
        "a1": "confirmed", "a2": "dismissed"
    }  # fmt: skip


def test_nobody_is_measured_against_a_bot(spark: SparkSession) -> None:
    rows = [("hour", "regular", float(n % 5), False) for n in range(50)]
    schema = "per string, peers string, own_most double, is_bot boolean"

    def limit(*bots: Any) -> float:
        users = spark.createDataFrame([*rows, *bots], schema)
        [usual] = _usual_of_peers(users, least=30).collect()
        return float(usual["groups"]["regular"]["p99"])

    assert limit(("hour", "regular", 900.0, True)) == limit() == 4
    assert limit(("hour", "regular", 900.0, None)) == 900
