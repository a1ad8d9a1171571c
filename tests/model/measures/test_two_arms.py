"""Intervals of arms: published figures, and how often they hold the truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from behavior_spark.model.measures.two_arms import (
    detectable_difference,
    difference_interval,
    expected_interval,
    ratio_interval,
)


@pytest.mark.parametrize(
    ("arms", "interval"),
    [  # Newcombe 1998, table II, method 10
        ((56, 70, 48, 80), (0.0524, 0.3339)),
        ((9, 10, 3, 10), (0.1705, 0.8090)),
        ((5, 56, 0, 29), (-0.0381, 0.1926)),
        ((0, 10, 0, 20), (-0.1611, 0.2775)),
        ((10, 10, 0, 10), (0.6075, 1.0000)),
    ],
)
def test_differences_have_the_intervals_that_newcombe_published(arms, interval):
    assert difference_interval(*arms) == pytest.approx(interval, abs=5e-5)


counts = st.integers(1, 400).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(counts, counts)
def test_intervals_hold_what_was_seen_and_agree_with_each_other(one, other):
    difference = one[0] / one[1] - other[0] / other[1]
    low, high = difference_interval(*one, *other)
    assert -1 - 1e-9 <= low <= difference + 1e-9 and difference - 1e-9 <= high <= 1 + 1e-9
    ratio_low, ratio_high = ratio_interval(*one, *other)
    assert 0 <= ratio_low <= ratio_high
    assert math.isinf(ratio_high) == (other[0] == 0)
    if other[0]:
        ratio = (one[0] / one[1]) / (other[0] / other[1])
        assert ratio_low - 1e-9 <= ratio <= ratio_high + 1e-9
    # Both are of the same two Wilson intervals: they exclude no effect together.
    if low > 1e-9:
        assert ratio_low > 1
    if high < -1e-9:
        assert ratio_high < 1


def test_nineteen_in_twenty_intervals_hold_the_true_difference_and_ratio():
    dice = np.random.default_rng(5)
    held = {"difference": 0, "ratio": 0}
    for _ in range(2000):
        hits, other = int(dice.binomial(300, 0.2)), int(dice.binomial(60, 0.1))
        low, high = difference_interval(hits, 300, other, 60)
        held["difference"] += low <= 0.1 <= high
        low, high = ratio_interval(hits, 300, other, 60)
        held["ratio"] += low <= 2.0 <= high
    assert 0.93 < held["difference"] / 2000 < 0.98
    assert 0.93 < held["ratio"] / 2000 < 0.98


@given(st.lists(st.floats(0, 1), min_size=1, max_size=60), st.integers(0, 2**32))
def test_what_comes_of_unequal_coins_is_inside_the_expected_interval(p, seed):
    p = np.array(p)
    low, high = expected_interval(p.sum(), (p * (1 - p)).sum(), count=len(p))
    assert 0 <= low <= p.sum() + 1e-9 and p.sum() - 1e-9 <= high <= len(p)
    tossed = (np.random.default_rng(seed).random((400, len(p))) < p).sum(axis=1)
    assert ((tossed >= low - 1e-9) & (tossed <= high + 1e-9)).mean() > 0.9


def test_a_difference_that_is_detectable_is_seen_four_times_in_five():
    dice, rate, reached, held = np.random.default_rng(3), 0.1, 900, 300
    step = detectable_difference(rate, reached, held)
    seen = 0
    for _ in range(1500):
        hits = int(dice.binomial(reached, rate + step))
        other = int(dice.binomial(held, rate))
        seen += difference_interval(hits, reached, other, held)[0] > 0
    assert 0.70 < seen / 1500 < 0.92  # one rate for both arms is an approximation


def test_without_an_arm_nothing_is_detectable_and_never_with_certainty():
    assert detectable_difference(0.1, 100, 0) is None
    assert detectable_difference(0.1, 0, 100) is None
    assert 0 < detectable_difference(0.0, 50, 50) <= 1
    assert detectable_difference(0.5, 1, 1) == 1.0
