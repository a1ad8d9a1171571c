"""Counts that a sequence model must beat, by hand."""

import numpy as np
import pytest

from behavior_spark.errors import ModelError
from behavior_spark.model.sequence.accuracy import (
    item_coverage,
    mean_difference,
    mean_over_users,
    ndcg_at,
    recall_at,
)
from behavior_spark.model.sequence.baselines import (
    Popularity,
    item_knn,
    judged,
    last_item_neighbours,
    markov_chain,
    own_past,
)
from behavior_spark.model.sequence.histories import Histories
from behavior_spark.model.sequence.mixture import Mixture

LOG = Histories.of_lists([[1, 2, 3], [1, 2], [2, 3], [1, 4], [1, 2, 0]])


def scores_after(ranker, items):
    return np.round(ranker.scores(Histories.of_lists([items]))[0].astype(float), 4).tolist()


def test_each_baseline_counts_what_it_says():
    assert scores_after(Popularity.fit(LOG, items=5), []) == [0, 0.3636, 0.3636, 0.1818, 0.0909, 0]
    # Of the four users of item 2, three had item 1 and two item 3.
    assert scores_after(last_item_neighbours(LOG, items=5), [4, 2]) == [0, 0.75, 0, 0.5, 0, 0]
    # After item 1 came item 2 three times of four, and item 4 once.
    assert scores_after(markov_chain(LOG, items=5), [3, 1]) == [0, 0, 0.75, 0, 0.25, 0]
    # Only item 3 came after item 2; an event older by one counts half.
    decayed = scores_after(markov_chain(LOG, items=5, decay=0.5), [2, 1])
    assert decayed == [0, 0, 0.75, 0.5, 0.25, 0]
    # Users of 3 and of 2: two in both, two and four in each.
    assert scores_after(item_knn(LOG, items=5), [3])[2] == pytest.approx(
        2 / np.sqrt(2 * 4), abs=1e-4
    )
    assert scores_after(item_knn(LOG, items=5, neighbours=1), [3])[1] == 0


def test_seen_items_are_left_out_and_popularity_fills_the_rest():
    ranker, past = markov_chain(LOG, items=5), Histories.of_lists([[1], [5], []])
    places, lists = judged(ranker, past, np.array([4, 2, 4]), 3, items=5)
    assert lists.tolist() == [[2, 4, 3], [1, 2, 3], [1, 2, 3]]
    assert places.tolist() == [1, 1, 3]


def test_a_mixture_is_the_mean_of_chances():
    counts, popular = markov_chain(LOG, items=5), Popularity.fit(LOG, items=5)
    mixed = Mixture((counts, popular), (0.25, 0.75))
    expected = [0, 0.75 * 4 / 11, 0.25 * 0.75 + 0.75 * 4 / 11, 0.75 * 2 / 11]
    assert scores_after(mixed, [1])[:4] == pytest.approx(expected, abs=1e-3)
    with pytest.raises(ModelError, match="needs a weight"):
        Mixture((counts,), (0.5, 0.5))


def test_measures_have_intervals_and_pairs_are_closer_than_singles():
    random = np.random.default_rng(0)
    places = random.integers(0, 40, 500)
    better = np.maximum(places - random.integers(0, 3, 500), 0)
    recall = mean_over_users(recall_at(places, 10))
    assert recall.low < recall.value < recall.high
    assert recall.value == np.mean(places < 10)
    gain = mean_difference(ndcg_at(better, 10), ndcg_at(places, 10))
    single = mean_over_users(ndcg_at(better, 10))
    assert 0 < gain.low < gain.value < gain.high
    assert gain.high - gain.low < single.high - single.low
    assert np.isnan(mean_over_users(np.zeros(0)).value)
    assert item_coverage(np.array([[1, 0], [1, 3]]), items=10) == 0.2


def test_the_own_past_ranks_what_was_had_most_then_what_is_popular():
    most, newest = (own_past(LOG, items=4, decay=decay) for decay in (1.0, 0.5))
    assert scores_after(most, [3, 3, 4]) == [0, 0, 0, 2, 1]
    assert scores_after(newest, [3, 3, 4]) == [0, 0, 0, 0.75, 1]
    popular = most.scores(Histories.of_lists([[3]]))[0]
    assert 0 < popular[4] < popular[1] <= popular[2] < popular[3] == pytest.approx(1, abs=1e-5)
