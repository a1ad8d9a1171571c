"""Deciles, reasons in words and training days."""

from __future__ import annotations

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from behavior_spark.prediction.predict import decile_cuts, score_histogram, with_decile
from behavior_spark.prediction.training_days import training_days


@given(st.lists(st.integers(-50, 50), min_size=10, max_size=300))
def test_decile_one_holds_at_least_a_tenth_and_no_lower_score_stands_above(
    steps: list[int],
) -> None:
    counts = [(step, steps.count(step)) for step in set(steps)]
    cuts = decile_cuts(counts)
    assert len(cuts) == 9 and cuts == sorted(cuts, reverse=True)
    first = [step for step in steps if step >= cuts[0]]
    assert len(first) * 10 >= len(steps)
    above = [step for step in first if step > cuts[0]]
    assert len(above) * 10 < len(steps)


def test_a_hundred_different_scores_make_ten_deciles_of_ten(spark: SparkSession) -> None:
    scores = spark.range(100).select(
        F.lit("t").alias("target"), (F.col("id") / 10).cast("double").alias("score")
    )
    histogram = [(r["step"], r["users"]) for r in score_histogram(scores).collect()]
    rows = with_decile(scores, {"t": decile_cuts(histogram)}).collect()
    by_decile: dict[int, list[float]] = {}
    for row in rows:
        by_decile.setdefault(row["decile"], []).append(row["score"])
    assert {decile: len(found) for decile, found in by_decile.items()} == dict.fromkeys(
        range(1, 11), 10
    )
    assert min(by_decile[1]) > max(by_decile[2])


@given(
    horizon=st.integers(1, 90),
    count=st.integers(1, 12),
    every=st.integers(1, 60),
    history=st.integers(1, 400),
)
def test_every_training_day_has_a_past_and_a_horizon_that_is_over(
    horizon: int, count: int, every: int, history: int
) -> None:
    as_of = dt.date(2024, 6, 1)
    first = as_of - dt.timedelta(days=history)
    days = training_days(
        as_of, horizon_days=horizon, count=count, every_days=every, first_event=first
    )
    assert days == sorted(set(days)) and len(days) <= count
    assert all(first < day <= as_of - dt.timedelta(days=horizon) for day in days)
    if history > horizon:
        assert days[-1] == as_of - dt.timedelta(days=horizon)
