"""Labels and their confidence: bins, calibration error and what a threshold keeps."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from behavior_spark.model.heads.kinds.single_label import KIND
from behavior_spark.model.measures.answers import Answers
from behavior_spark.model.measures.classification import calibration_table
from behavior_spark.model.measures.confidence import (
    bin_numbers,
    confidence_bins,
    expected_calibration_error,
    kept_by_threshold,
    wilson_interval,
)
from behavior_spark.model.measures.figures import CALIBRATION_BINS, FIGURES


@given(st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_resampled_figures_tables_and_checks_of_annotations_have_one_calibration_error(rows, seed):
    rng = np.random.default_rng(seed)
    probabilities = rng.dirichlet(np.ones(3), rows).astype(np.float32).round(2)
    truth = np.eye(3, dtype=bool)[rng.integers(0, 3, rows)]
    predicted = KIND.predict(probabilities, np.full(3, 0.5, dtype=np.float32))
    answers = Answers(("a", "b", "c"), KIND, truth, predicted, probabilities)
    top = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(rows), top].astype(np.float64)
    right = truth[np.arange(rows), top]
    bins = confidence_bins(confidence, right, bins=CALIBRATION_BINS)
    (figure,) = FIGURES["calibration_error"](answers, np.ones((1, rows)))
    assert figure == pytest.approx(expected_calibration_error(bins))
    table = calibration_table(answers)
    assert [row["count"] for row in table] == [part.labels for part in bins]
    assert [row["observed"] for row in table] == [part.accuracy for part in bins]


def test_a_confidence_on_an_edge_is_in_the_bin_below_it_whatever_its_precision():
    edges = np.arange(11) / 10
    expected = [0, *range(10)]
    assert bin_numbers(edges, 10).tolist() == expected
    assert bin_numbers(edges.astype(np.float32).astype(np.float64), 10).tolist() == expected


def test_labels_79_percent_right_at_a_confidence_of_93_are_off_by_14_points():
    confidence = np.full(100, 0.93)
    right = np.arange(100) < 79
    bins = confidence_bins(confidence, right)
    assert [(part.low, part.high, part.labels) for part in bins] == [(0.9, 1.0, 100)]
    assert expected_calibration_error(bins) == pytest.approx(0.14)
    (kept,) = kept_by_threshold(confidence, right, [0.9, 0.95])
    assert (kept.labels, kept.share, kept.accuracy) == (100, 1.0, 0.79)
    assert kept.low < 0.79 < kept.high


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_bins_hold_every_label_once_and_thresholds_keep_what_reaches_them(pairs):
    confidence = np.array([value for value, _ in pairs])
    right = np.array([flag for _, flag in pairs])
    bins = confidence_bins(confidence, right)
    assert sum(part.labels for part in bins) == len(pairs)
    assert sum(part.labels * part.accuracy for part in bins) == pytest.approx(right.sum())
    assert all(part.low - 1e-5 <= part.confidence <= part.high + 1e-5 for part in bins)
    assert 0 <= expected_calibration_error(bins) <= 1
    (kept,) = kept_by_threshold(confidence, right, [float(confidence.min())])
    assert kept.labels == len(pairs) and kept.accuracy == pytest.approx(right.mean())


@given(st.integers(1, 500), st.integers(0, 500))
def test_the_interval_is_scipys(count, hits):
    hits = min(hits, count)
    expected = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    assert wilson_interval(hits / count, count) == pytest.approx(tuple(expected), abs=1e-6)
