"""Ranking metrics agree with scikit-learn and do not depend on row order."""

from __future__ import annotations

import math
import time
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from behavior_spark.errors import ModelError
from behavior_spark.model.measures.bootstrap import bootstrap_interval, paired_bootstrap_difference
from behavior_spark.model.measures.ranking import (
    average_precision,
    expected_calibration_error,
    lift_at,
    roc_auc,
)

METRICS = [roc_auc, average_precision, lift_at, expected_calibration_error]
PAIRS = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=60).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


def sample(size: int = 400, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    scores = generator.random(size).round(2)
    return (generator.random(size) < scores).astype(int), scores


@settings(deadline=None, max_examples=100)
@given(PAIRS)
def test_auc_and_average_precision_equal_scikit_learn_with_ties(rows):
    labels, scores = [label for label, _ in rows], [score / 6 for _, score in rows]
    assert roc_auc(labels, scores) == pytest.approx(roc_auc_score(labels, scores))
    expected = average_precision_score(labels, scores)
    assert average_precision(labels, scores) == pytest.approx(expected)


@settings(deadline=None, max_examples=50)
@given(PAIRS, st.randoms(use_true_random=False))
def test_row_order_changes_no_metric(rows, random):
    shuffled = list(rows)
    random.shuffle(shuffled)
    for metric in METRICS:
        values = [
            metric([y for y, _ in each], [s / 6 for _, s in each]) for each in (rows, shuffled)
        ]
        assert values[0] == pytest.approx(values[1])


@pytest.mark.parametrize("metric", [roc_auc, average_precision, lift_at])
@settings(deadline=None, max_examples=50)
@given(rows=PAIRS, counts=st.lists(st.integers(1, 4), min_size=60, max_size=60))
def test_a_weight_is_how_often_a_row_counts(metric, rows, counts):
    labels, scores = np.array(rows, dtype=float).T
    counts = np.array(counts[: len(rows)])
    repeated = metric(np.repeat(labels, counts), np.repeat(scores, counts))
    assert metric(labels, scores, weights=counts) == pytest.approx(repeated)


def test_sampled_negatives_with_weights_give_the_figures_of_all_rows():
    labels, scores = sample(40_000)
    scores = scores**3
    labels = (np.random.default_rng(1).random(labels.size) < scores).astype(int)
    kept = (labels == 1) | (np.random.default_rng(2).random(labels.size) < 0.1)
    weights = np.where(labels == 1, 1.0, 10.0)[kept]
    for metric in METRICS:
        whole = metric(labels, scores)
        weighted = metric(labels[kept], scores[kept], weights=weights)
        assert weighted == pytest.approx(whole, rel=0.05, abs=0.01)
        if metric is expected_calibration_error:  # biased upwards in a resample
            continue
        low, high = bootstrap_interval(metric, labels[kept], scores[kept], weights=weights)
        assert low - 0.005 < whole < high + 0.005


def test_lift_counts_the_top_share_and_splits_ties_fairly():
    labels = [1, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert lift_at(labels, range(10, 0, -1), share=0.1) == pytest.approx(5.0)
    assert lift_at(labels, [1] * 10, share=0.1) == pytest.approx(1.0)
    assert lift_at(labels, range(10), share=0.5) == 0.0


def test_calibration_error_is_small_for_true_probabilities_and_large_for_shifted_ones():
    labels, scores = sample(20_000)
    assert expected_calibration_error(labels, scores) < 0.02
    shifted = np.clip(scores + 0.2, 0, 1)
    assert expected_calibration_error(labels, shifted) == pytest.approx(0.18, abs=0.03)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("labels", [[], [1, 1, 1], [0, 0, 0]])
def test_one_class_or_no_rows_gives_nan(metric, labels):
    scores = [0.1, 0.2, 0.3][: len(labels)]
    assert math.isnan(metric(labels, scores))
    assert all(math.isnan(end) for end in bootstrap_interval(metric, labels, scores, seed=1))
    assert all(math.isnan(v) for v in paired_bootstrap_difference(metric, labels, scores, scores))


@pytest.mark.parametrize("metric", METRICS)
def test_a_batched_resample_equals_the_metric_on_the_repeated_rows(metric):
    labels, scores = sample(120)
    plain = partial(lambda y, s, call: call(y, s), call=metric)
    if metric is expected_calibration_error:  # keeps the full sample's bins: near, not equal
        batched, looped = (
            bootstrap_interval(each, labels, scores, resamples=200, seed=3)
            for each in (metric, plain)
        )
        assert batched == pytest.approx(looped, abs=0.05)
        return
    batched = bootstrap_interval(metric, labels, scores, resamples=50, seed=3)
    assert batched == pytest.approx(bootstrap_interval(plain, labels, scores, resamples=50, seed=3))


def test_options_given_by_partial_reach_the_resamples():
    labels, scores = sample()
    wide = bootstrap_interval(partial(lift_at, share=1.0), labels, scores, resamples=20)
    assert wide == pytest.approx((1.0, 1.0))


def test_interval_covers_the_value_and_repeats_by_seed():
    labels, scores = sample()
    low, high = bootstrap_interval(roc_auc, labels, scores, seed=7)
    assert low < roc_auc(labels, scores) < high
    assert (low, high) == bootstrap_interval(roc_auc, labels, scores, seed=7)
    assert (low, high) != bootstrap_interval(roc_auc, labels, scores, seed=8)


def test_interval_covers_the_truth_about_as_often_as_it_says():
    covered = 0
    for seed in range(60):
        labels, scores = sample(300, seed)
        low, high = bootstrap_interval(roc_auc, labels, scores, resamples=200, level=0.9)
        covered += low <= 5 / 6 <= high  # P(s1 > s0) for labels drawn with probability s
    assert 45 <= covered <= 60


def test_paired_difference_is_zero_for_equal_scores_and_signed_otherwise():
    labels, scores = sample(2000)
    assert paired_bootstrap_difference(roc_auc, labels, scores, scores) == (0.0, 0.0, 0.0)
    noise = np.random.default_rng(1).random(2000)
    difference, low, high = paired_bootstrap_difference(roc_auc, labels, scores, noise)
    assert 0 < low < difference < high
    assert paired_bootstrap_difference(roc_auc, labels, noise, scores)[0] == -difference


def test_a_thousand_resamples_of_four_thousand_users_take_seconds_of_cpu():
    labels, scores = sample(4000)
    start = time.process_time()
    for metric in METRICS:
        bootstrap_interval(metric, labels, scores, resamples=1000)
    assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("labels", "scores"), [([0, 1], [0.5]), ([0, 2], [0.1, 0.2]), ([0, 1], [0.1, math.nan])]
)
def test_bad_input_is_refused_with_a_reason(labels, scores):
    with pytest.raises(ModelError, match="labels"):
        roc_auc(labels, scores)
