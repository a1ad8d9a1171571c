"""Members of audiences: every user is counted once, arms never change, rules are kept."""

from __future__ import annotations

import datetime as dt
import hashlib
import random
from collections import Counter
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.config import Audience
from behavior_spark.uses.audiences.arms import HOLDOUT, REACHED, arm
from behavior_spark.uses.audiences.counting import (
    arm_counts,
    by_audience,
    measures_of,
    prediction_facts,
)
from behavior_spark.uses.audiences.membership import (
    LEFT_OUT,
    REASONS,
    candidates,
    choose,
    last_memberships,
    with_rank,
)
from behavior_spark.uses.audiences.rows import hindrance_of, result_row

NIGHT = dt.date(2024, 5, 10)
AUDIENCES = {
    "first": Audience(
        target="buy", top=15, exclude="recent > 0 OR segment = 'lapsed'",
        consent="attribute_crm_news", every_days=7, holdout=0.3,
    ),
    "likely": Audience(target="buy", threshold=0.55, holdout=0.0),
    "paid": Audience(target="buy", budget=10, cost=1, value=2, holdout=0.5),
    "gain": Audience(target="leave", profitable=True, cost=1, value=3, salt="shared"),
    "capped": Audience(target="leave", top=1000, every_days=1, salt="shared", holdout=0.5),
}  # fmt: skip
USERS = [f"u{n}" for n in range(140)] + ["", "ü'\n", '"=1+1"', "🦉"]


def _world() -> tuple[list[tuple], list[tuple], list[tuple]]:
    """Predictions, users and earlier members, made up."""
    dice = random.Random(4)
    predictions, users, members = [], [], []
    for user in USERS:
        for target in ("buy", "leave", "other"):
            p = None if dice.random() < 0.05 else round(dice.random(), 2)
            # Several users have one score: they are ranked too.
            score = None if p is None else round(p * 4 - 2, 1)
            predictions.append((user, NIGHT, target, score, p, 1, "model", NIGHT))
        consent = dice.choice([1.0, 1.0, 1.0, 0.0, 0.5, None])
        segment = dice.choice(["loyal", "lapsed", None, "active"])
        users.append((user, dice.random() < 0.1, dice.choice([0, 0, 0, 2, None]), segment, consent))
        for name in AUDIENCES:
            back = dice.choice([-3, 0, 1, 6, 7, 30, None, None, None])
            if back is not None:
                members.append((name, NIGHT - dt.timedelta(days=back), user))
    return predictions, users, members


WORLD = _world()


@pytest.fixture(scope="module")
def chosen(spark: SparkSession) -> DataFrame:
    predictions, users, members = WORLD
    frame = with_rank(
        candidates(
            spark.createDataFrame(
                predictions,
                "user_id string, as_of date, target string, score double, probability double, "
                "decile int, model_digest string, valid_until date",
            ),
            spark.createDataFrame(
                users,
                "user_id string, is_bot boolean, recent int, segment string, "
                "attribute_crm_news double",
            ),
            last_memberships(
                spark.createDataFrame(members, "audience string, as_of date, user_id string"), NIGHT
            ),
            AUDIENCES,
        )
    )
    return choose(frame, AUDIENCES)


@pytest.fixture(scope="module")
def rows(chosen: DataFrame) -> dict[str, dict[str, Any]]:
    """Rows by audience and user."""
    by_name: dict[str, dict[str, Any]] = {name: {} for name in AUDIENCES}
    for row in chosen.collect():
        assert row["user_id"] not in by_name[row["audience"]], "a user is there once"
        by_name[row["audience"]][row["user_id"]] = row
    return by_name


def drawn(salt: str, user: str, share: float) -> str:
    """The arm by the rule as the documentation says it."""
    digest = hashlib.sha256(f"{salt}\n{user}".encode()).hexdigest()
    return HOLDOUT if int(digest[:8], 16) / 16**8 < share else REACHED


def hindrance(name: str, user: str) -> str | None:
    """The same question, asked of plain Python: why a user cannot be in, before the rule."""
    audience = AUDIENCES[name]
    p = {(u, t): p for u, _, t, _, p, *_ in WORLD[0]}[user, audience.target]
    _, bot, recent, segment, consent = next(row for row in WORLD[1] if row[0] == user)
    if bot:
        return "bot"
    if p is None:
        return "no_probability"
    if audience.exclude and ((recent or 0) > 0 or segment == "lapsed"):
        return "excluded"
    if audience.consent and consent is None:
        return "consent_unknown"
    if audience.consent and consent != 1:
        return "no_consent"
    earlier = [day for n, day, u in WORLD[2] if (n, u) == (name, user) and day < NIGHT]
    if audience.every_days and earlier and (NIGHT - max(earlier)).days < audience.every_days:
        return "capped"
    return None


def test_every_user_is_a_member_or_left_out_for_the_first_reason_that_holds(rows) -> None:
    seen = set()
    for name in AUDIENCES:
        assert set(rows[name]) == set(USERS)
        for user, row in rows[name].items():
            expected = hindrance(name, user)
            assert row[LEFT_OUT] == expected or (expected is None and row[LEFT_OUT] == "below")
            seen.add(row[LEFT_OUT])
    assert seen == {None, *REASONS}


def test_arms_are_drawn_by_audience_or_salt_and_user_alone(rows) -> None:
    for name, audience in AUDIENCES.items():
        for user, row in rows[name].items():
            assert row["arm"] == drawn(audience.salt_of(name), user, audience.holdout)
    # Audiences with one salt hold the same users out; the larger share holds out those and more.
    out = {n: {u for u, r in rows[n].items() if r["arm"] == HOLDOUT} for n in ("gain", "capped")}
    assert out["gain"] and out["gain"] < out["capped"]


def test_those_who_could_be_in_are_ranked_without_a_gap_the_likeliest_first(rows) -> None:
    for name in AUDIENCES:
        free = [r for r in rows[name].values() if r[LEFT_OUT] in (None, "below")]
        free.sort(key=lambda r: r["rank"])
        assert [r["rank"] for r in free] == list(range(1, len(free) + 1))
        scores = [r["score"] for r in free]
        assert scores == sorted(scores, reverse=True)
        reached = 0
        for row in free:
            reached += row["arm"] == REACHED
            assert row["reached_rank"] == reached


def test_each_rule_takes_whom_it_says(rows) -> None:
    members = {n: [r for r in rows[n].values() if r[LEFT_OUT] is None] for n in AUDIENCES}
    below = {n: [r for r in rows[n].values() if r[LEFT_OUT] == "below"] for n in AUDIENCES}
    assert sorted(r["rank"] for r in members["first"]) == list(range(1, 16))
    assert all(r["probability"] >= 0.55 for r in members["likely"])
    assert all(r["probability"] < 0.55 for r in below["likely"])
    assert all(r["expected_profit"] > 0 for r in members["gain"])
    assert all(r["expected_profit"] <= 0 for r in below["gain"])
    assert not below["capped"]
    arms = Counter(r["arm"] for r in members["paid"])
    assert arms[REACHED] == 10, "ten contacts at 1 each cost the budget of 10"
    assert arms[HOLDOUT] > 0, "who is held out costs nothing"
    last = max(r["rank"] for r in members["paid"])
    assert {r["rank"] for r in members["paid"]} == set(range(1, last + 1))


def test_counts_add_up_to_the_users_and_sums_are_of_the_reached(chosen, rows) -> None:
    row = chosen.agg(*[m.alias(n) for n, m in measures_of(AUDIENCES).items()]).first()
    counts = by_audience(row.asDict())
    for name in AUDIENCES:
        c, by_user = counts[name], rows[name].values()
        assert c[REACHED] + c[HOLDOUT] + sum(c[reason] for reason in REASONS) == len(USERS)
        reached = [r for r in by_user if r[LEFT_OUT] is None and r["arm"] == REACHED]
        assert c[REACHED] == len(reached)
        assert c["expected"] == pytest.approx(sum(r["probability"] for r in reached))
        p = [r["probability"] for r in reached]
        assert c["variance"] == pytest.approx(sum(x * (1 - x) for x in p))
    assert counts["likely"][HOLDOUT] == 0


def test_a_larger_share_keeps_those_who_were_held_out(spark: SparkSession) -> None:
    shares = [0.0, 0.05, 0.1, 0.5, 0.99]
    ids = spark.range(4000).select(F.concat(F.lit("user "), "id").alias("user_id"))
    row = ids.select(
        *[arm(F.lit("a"), F.col("user_id"), F.lit(s)).alias(str(i)) for i, s in enumerate(shares)]
    ).collect()
    held = [{n for n, r in enumerate(row) if r[str(i)] == HOLDOUT} for i in range(len(shares))]
    for share, smaller, larger in zip(shares[1:], held[:-1], held[1:], strict=True):
        assert smaller <= larger
        assert len(larger) / 4000 == pytest.approx(share, abs=0.025)


def test_a_target_that_ranks_nobody_is_refused(spark: SparkSession) -> None:
    rows = [
        ("u1", "flat", 0.1, None), ("u2", "flat", 0.1, None),
        ("u1", "equal", 0.2, 5), ("u2", "equal", 0.2, 5),
        ("u1", "number", None, 1), ("u2", "number", None, 2),
        ("u1", "good", 0.1, 10), ("u2", "good", 0.9, 1),
    ]  # fmt: skip
    frame = spark.createDataFrame(
        rows, "user_id string, target string, probability double, decile int"
    ).withColumn("model_digest", F.lit("m"))
    facts = {r["target"]: r.asDict() for r in prediction_facts(frame).collect()}
    assert hindrance_of(facts["good"]) is None
    for target in ("flat", "equal"):
        assert "by chance" in hindrance_of(facts[target])
    assert "no probabilities" in hindrance_of(facts["number"])
    assert "no predictions" in hindrance_of(facts.get("missing"))


def test_a_planted_effect_is_found_and_its_size_is_in_the_interval(spark: SparkSession) -> None:
    dice = random.Random(8)
    members, outcomes = [], []
    for n in range(3000):
        which = REACHED if n % 3 else HOLDOUT
        for name, target, effect in (("works", "buy", 0.1), ("idle", "buy", 0.0),
                                     ("stays", "leave", 0.1)):  # fmt: skip
            members.append((name, NIGHT, f"{name}{n}", target, NIGHT, which, 0.2))
            if dice.random() < 0.2 + effect * (which == REACHED):
                # Those who left have no event, and so no row.
                if target == "buy":
                    outcomes.append((NIGHT, f"{name}{n}", 1, 0))
            elif target == "leave":
                outcomes.append((NIGHT, f"{name}{n}", 0, 0))
    counted = arm_counts(
        spark.createDataFrame(
            members,
            "audience string, as_of date, user_id string, target string, valid_until date, "
            "arm string, probability double",
        ),
        spark.createDataFrame(
            outcomes, "as_of date, user_id string, label_buy int, label_leave int"
        ),
        {"buy": ("label_buy", 0.0), "leave": ("label_leave", 1.0)},
    )
    results = {}
    for name in ("works", "idle", "stays"):
        arms = {r["arm"]: r.asDict() for r in counted.where(F.col("audience") == name).collect()}
        key = {"audience": name, "as_of": NIGHT, "target": "", "valid_until": NIGHT}
        results[name] = result_row(key, arms, measured_on=NIGHT)
    assert results["works"]["reached"] == 2000 and results["works"]["holdout"] == 1000
    assert results["works"]["expected"] == pytest.approx(400)
    for name in ("works", "stays"):
        row = results[name]
        assert row["verdict"] == "more"
        assert row["difference_low"] < 0.1 < row["difference_high"]
        assert row["lift_low"] < 1.5 < row["lift_high"]
        assert row["incremental_low"] < 200 < row["incremental_high"]
        assert row["detectable"] < 0.1
    assert results["idle"]["verdict"] == "cannot tell"
    assert results["idle"]["difference_low"] < 0 < results["idle"]["difference_high"]
