"""Measures of amounts are those of scipy and of plain counting, weighted and resampled too."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from behavior_spark.errors import ModelError
from behavior_spark.model.measures import amounts
from behavior_spark.model.measures.bootstrap import bootstrap_interval, paired_bootstrap_difference
from behavior_spark.model.measures.ranking import roc_auc

MEASURES = [
    amounts.spearman,
    amounts.mean_absolute_error,
    amounts.top_decile_gain,
    amounts.roc_auc_of_any,
]


def some(seed: int, rows: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Amounts, many of them 0, and scores with ties that know a little of them."""
    dice = np.random.default_rng(seed)
    labels = dice.poisson(1.5, rows) * dice.integers(1, 4, rows) * (dice.random(rows) < 0.6)
    return labels.astype(float), np.round(labels + dice.normal(0, 3, rows))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_measures_are_those_of_scipy_and_plain_counting(seed: int) -> None:
    labels, scores = some(seed)
    assert amounts.spearman(labels, scores) == pytest.approx(spearmanr(labels, scores).statistic)
    assert amounts.mean_absolute_error(labels, scores) == pytest.approx(
        np.abs(labels - scores).mean()
    )
    assert amounts.roc_auc_of_any(labels, scores) == roc_auc(labels > 0, scores)
    untied = scores + np.linspace(0, 0.5, len(scores))
    best = np.argsort(-untied)[:6]
    assert amounts.top_decile_gain(labels, untied) == pytest.approx(
        labels[best].mean() / labels.mean()
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_a_weight_counts_a_row_so_many_times_in_any_order(seed: int) -> None:
    labels, scores = some(seed)
    times = np.random.default_rng(seed).integers(1, 4, len(labels))
    order = np.random.default_rng(seed + 1).permutation(times.sum())
    repeated = [np.repeat(values, times)[order] for values in (labels, scores)]
    for measure in MEASURES:
        assert measure(labels, scores, weights=times) == pytest.approx(measure(*repeated))


@pytest.mark.parametrize("measure", MEASURES)
def test_intervals_hold_the_figure_and_pairs_share_their_resamples(measure) -> None:
    labels, scores = some(1, rows=400)
    low, high = bootstrap_interval(measure, labels, scores, resamples=200)
    assert low < measure(labels, scores) < high
    difference = paired_bootstrap_difference(measure, labels, scores, scores, resamples=50)
    assert difference == (0.0, 0.0, 0.0)


def test_equal_labels_have_no_ranking_and_negative_ones_are_refused() -> None:
    assert np.isnan(amounts.spearman([2, 2, 2], [1, 2, 3]))
    assert np.isnan(bootstrap_interval(amounts.spearman, [2, 2], [1, 2], resamples=5)).all()
    with pytest.raises(ModelError, match=r"at least 0(.|\n)*1 others"):
        amounts.mean_absolute_error([1, -1], [0, 0])
