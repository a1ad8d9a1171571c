"""What an alert lists is counted off in order: as much as of a list of all, none of which is made.

Random rows with ties, in any order, against the same figures by hand.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from behavior_spark.uses.alerts import kind
from behavior_spark.uses.alerts.kinds import similar_texts, text_abuse, visitor_links
from tests.uses.planted_logs import AS_OF, Log
from tests.uses.test_alert_kinds import inputs_of

MOST = 3  # in the place of 50


@pytest.fixture(autouse=True)
def short_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kind, "MOST_MEMBERS", MOST)


def test_members_of_a_visitor_are_the_first_users_by_name(spark: SparkSession) -> None:
    dice = random.Random(1)
    rows = [(f"v{dice.randrange(6)}", f"u{dice.randrange(12)}", dice.random() < 0.3)
            for _ in range(80)] + [("v old", "u1", False), ("v old", "u2", False)]  # fmt: skip
    links = spark.createDataFrame(rows, "anonymous_id string, user_id string, is_recent boolean")
    users, recent = defaultdict(set), set()
    for visitor, user, is_recent in rows:
        users[visitor].add(user)
        recent |= {visitor} if is_recent else set()
    found = visitor_links._fan(links.repartition(3), "anonymous_id", "user_id", 5).collect()
    assert {r["subject"]: (r["n"], r["members"]) for r in found} == {
        visitor: (len(own), sorted(own)[:MOST])
        for visitor, own in users.items()
        if visitor in recent and len(own) > 1
    }
    other = visitor_links._fan(links, "user_id", "anonymous_id", 5).collect()
    assert other and all(row["members"] is None for row in other)


def test_a_group_of_texts_counts_all_and_lists_the_first_of_the_days(spark: SparkSession) -> None:
    dice, days = random.Random(2), 3
    rows = []
    for _ in range(160):
        ago = dice.choice([1, 1, 2, 5, 9])
        at = dt.datetime.combine(AS_OF, dt.time(12), dt.UTC) - dt.timedelta(days=ago)
        rows.append((dice.randrange(4), f"u{dice.randrange(9)}", at, f"h{dice.randrange(7)}",
                     ago == 1, 10))  # fmt: skip
    rows.append((9, "alone", at, "h", True, 10))
    schema = ("component long, user_id string, text_time timestamp, text_hash string, "
              "is_recent boolean, words int")  # fmt: skip
    frame = spark.createDataFrame(rows, schema).repartition(3)
    found = {r["component"]: r for r in similar_texts._by_group(frame, AS_OF, days=days).collect()}
    assert set(found) == {0, 1, 2, 3}
    since = dt.datetime.combine(AS_OF, dt.time(), dt.UTC) - dt.timedelta(days=days)
    for component, row in found.items():
        own = [r for r in rows if r[0] == component]
        inside = [r for r in own if r[2] >= since]
        users, hashes = {r[1] for r in inside}, {r[3] for r in inside}
        assert (row["users"], row["wordings"], row["written"]) == (
            len(users), len(hashes), len(inside))  # fmt: skip
        assert row["past_users"] == len({r[1] for r in own if r[2] < since})
        assert row["members"] == sorted(users)[:MOST]
        assert row["hashes"] == sorted(hashes)[:MOST]
        assert row["first_hash"] == min((r[2], r[3]) for r in inside)[1]


def test_texts_of_an_abuser_are_the_first_by_hash_that_were_read_so(spark: SparkSession) -> None:
    dice, log = random.Random(3), Log()
    lately = dt.datetime.combine(AS_OF, dt.time(), dt.UTC) - dt.timedelta(hours=5)
    for n in range(30):
        log.add_text(f"u{dice.randrange(3)}", lately, f"win now {dice.randrange(12)}")
        log.add_text(f"u{dice.randrange(3)}", lately, f"good {n}")
    log.add_event("u0", lately)
    inputs = inputs_of(spark, log)
    assert inputs.texts is not None
    texts = inputs.texts.collect()
    read = inputs.texts.where("text LIKE 'win%'").select("text_hash").distinct()
    labels = read.selectExpr(
        "text_hash", "'spam' AS head", "'spam' AS label", "0.9 AS probability",
        "map('spam', 0.9) AS probabilities",
    )  # fmt: skip
    inputs = replace(inputs, texts=inputs.texts.repartition(3), labels=labels,
                     heads=frozenset({"spam"}))  # fmt: skip
    seen = text_abuse.KIND.candidates(inputs)
    expected: dict[str, Any] = {}
    for user in ("u0", "u1", "u2"):
        own = [r for r in texts if r["user_id"] == user]
        spam = [r for r in own if r["text"].startswith("win")]
        hashes = sorted({r["text_hash"] for r in spam})[:MOST]
        expected[user] = (len(spam), len(own), hashes)
    made = seen.frame.select("user_id", "abusive", "texts", F.col("hashes")).collect()
    assert {r["user_id"]: (r["abusive"], r["texts"], r["hashes"]) for r in made} == expected
