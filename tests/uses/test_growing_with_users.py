"""What grows with users is cut down before one task or the driver sees it, with the same result."""

from __future__ import annotations

import random

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from behavior_spark.features.sampling import sampled_by_hash
from behavior_spark.io.arrow_stream import stream_batches
from behavior_spark.io.conf import conf_meanwhile
from behavior_spark.uses import firsts
from behavior_spark.uses.alerts.assembly import is_shown, with_place
from behavior_spark.uses.alerts.habits import UNKNOWN, concentrations
from behavior_spark.uses.alerts.kinds import similar_texts
from behavior_spark.uses.alerts.kinds.similar_texts import similar_groups


def test_a_sample_by_hash_is_the_rows_of_the_smallest_hashes(spark: SparkSession) -> None:
    users = spark.range(3_000).select(F.concat(F.lit("u"), "id").alias("user_id"))
    few = sampled_by_hash(users, rows=3_000, most=200)
    plan = few._jdf.queryExecution().optimizedPlan().toString()  # type: ignore[operator]
    assert "Filter" in plan  # most rows never reach the task that chooses
    chosen = [row["user_id"] for row in few.collect()]
    expected = users.orderBy(F.xxhash64("user_id"), "user_id").limit(200).collect()
    assert chosen == [row["user_id"] for row in expected]
    assert sampled_by_hash(users, rows=3_000, most=5_000).count() == 3_000


def test_batches_on_the_driver_are_the_rows_of_the_frame(spark: SparkSession) -> None:
    frame = spark.range(0, 1_000, 1, 3).select(
        "id", F.when(F.col("id") % 7 > 0, F.col("id") / 3).alias("third"),
        F.date_add(F.lit("2024-01-01").cast("date"), F.col("id").cast("int")).alias("day"),
    )  # fmt: skip
    batches = [batch.to_pandas() for batch in stream_batches(frame)]
    assert len(batches) == 3
    pd.testing.assert_frame_equal(
        pd.concat(batches, ignore_index=True), frame.toArrow().to_pandas(), check_exact=True
    )
    assert not list(stream_batches(frame.where("id < 0")))


def test_what_ordinary_users_do_for_the_first_time_is_learned_from_their_pasts(
    spark: SparkSession,
) -> None:
    """Days drawn from an urn: the next value is new with probability a / (n + a)."""
    dice, rows, truth = np.random.default_rng(3), [], {"device": 0.05, "category": 1.5}
    for _ in range(1_500):
        row = {}
        for name, a in truth.items():
            past: list[int] = []
            for n in range(dice.integers(3, 25)):
                new = dice.random() < a / (n + a)
                past.append(n if new else past[dice.integers(n)])
            values, counts = np.unique(past, return_counts=True)
            row |= {f"{name}_days": len(past), f"{name}_alone": int((counts == 1).sum())}
            del values
        rows.append(row | {"seldom_days": 1, "seldom_alone": 1})
    users = spark.createDataFrame(pd.DataFrame(rows))
    new = {
        name: (F.col(f"{name}_days"), F.col(f"{name}_days"), F.col(f"{name}_alone"))
        for name in (*truth, "seldom")
    }
    learned = concentrations(users, new).first()
    assert learned is not None
    for name, a in truth.items():
        assert learned[name] == pytest.approx(a, rel=0.25)
    assert learned["seldom"] == UNKNOWN  # one day has no other day to compare with


def test_a_chain_of_similar_texts_is_one_group_whatever_task_compared_its_links(
    spark: SparkSession,
) -> None:
    words = [f"word{n}" for n in range(60)]
    chain = [" ".join(words[start : start + 30]) for start in range(0, 30, 3)]
    other = [" ".join(f"thing{n}" for n in range(30)), " ".join(f"matter{n}" for n in range(30))]
    texts = spark.createDataFrame(list(enumerate([*chain, *other])), "id long, text string")
    with conf_meanwhile(spark, {"spark.sql.adaptive.coalescePartitions.enabled": "false"}):
        groups = similar_groups(texts.repartition(4), similarity=0.6).collect()
    assert {row["id"]: row["component"] for row in groups} == dict.fromkeys(range(len(chain)), 0)


@pytest.mark.parametrize("taken_by_spark", [1_000, 2])
def test_the_first_of_each_group_are_those_of_a_sort_of_all_whatever_the_order_and_ties(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, taken_by_spark: int
) -> None:
    monkeypatch.setattr(firsts, "_TAKEN_BY_SPARK", taken_by_spark)
    dice = random.Random(taken_by_spark)
    rows = [(dice.choice("abc"), dice.choice([None, 0.5, 1.0]), f"k{n}") for n in range(240)]
    rows += [("all equal", 1.0, f"e{n}") for n in range(60)]
    dice.shuffle(rows)
    frame = spark.createDataFrame(rows, "of string, weight double, id string").repartition(3)
    first = firsts.first_of_each(
        frame, "of", order=[F.desc_nulls_last("weight")], key="id", most=7
    )
    expected = []
    for group in {row[0] for row in rows}:
        own = sorted((r for r in rows if r[0] == group), key=lambda r: (-(r[1] or 0), r[2]))
        expected += [(*row, place) for place, row in enumerate(own[:7], start=1)]
    assert sorted(map(tuple, first.collect()), key=str) == sorted(expected, key=str)
    plan = first._jdf.queryExecution().executedPlan().toString()  # type: ignore[operator]
    assert "SinglePartition" not in plan
    # Either every task takes its own first rows before the shuffle, or a lane does.
    assert ("Partial" in plan and "WindowGroupLimit" in plan) or "_lane" in plan


def test_alerts_that_are_shown_are_those_of_a_sort_of_all(spark: SparkSession) -> None:
    dice = random.Random(5)
    rows = [(dice.choice(["low", "high"]), dice.choice(["rate", "text", "link"]),
             float(dice.choice([1, 1, 2, 3])), f"a{n}") for n in range(300)]  # fmt: skip
    rows += [("medium", "rate", 2.0, f"m{n}") for n in range(5)]
    dice.shuffle(rows)
    schema = "severity string, kind string, times_limit double, alert_id string"
    caps = {"high": 4, "medium": 50, "low": 9}
    placed = with_place(spark.createDataFrame(rows, schema).repartition(3), caps)
    made = {(r["alert_id"], r["place"]) for r in placed.where(is_shown(caps)).collect()}
    expected = set()
    for severity, most in caps.items():
        turns = []
        for kind in ("rate", "text", "link"):
            own = sorted((-r[2], r[3]) for r in rows if r[:2] == (severity, kind))
            turns += [(turn, *row) for turn, row in enumerate(own)]
        expected |= {(row[2], n) for n, row in enumerate(sorted(turns)[:most], start=1)}
    assert made == expected


def test_links_are_joined_as_they_come_and_give_the_same_groups(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dice = np.random.default_rng(2)
    pairs = dice.integers(0, 400, size=(300, 2))
    batches = [
        pa.RecordBatch.from_arrays([pa.array(part[:, 0]), pa.array(part[:, 1])],
                                   names=["left", "right"])
        for part in np.array_split(pairs, 30)
    ]  # fmt: skip
    (at_once,) = similar_texts._connect(iter(batches))
    monkeypatch.setattr(similar_texts, "MOST_LINKS", 20)
    (piecewise,) = similar_texts._connect(iter(batches))
    assert piecewise.equals(at_once)
    assert len(set(at_once.column("component").to_pylist())) > 1
