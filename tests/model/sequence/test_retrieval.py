"""The k best items equal a plain sort, however they are cut into blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from behavior_spark.errors import ModelError
from behavior_spark.model.sequence import retrieval
from behavior_spark.model.sequence.histories import Histories
from behavior_spark.model.sequence.retrieval import ranks, top_k, top_k_of

# Small whole numbers: products are exact, and many are equal.
small = st.integers(-3, 3)


@st.composite
def searches(draw):
    """States, outputs, items seen, k and bytes."""
    users, items, width = draw(st.integers(1, 6)), draw(st.integers(1, 12)), draw(st.integers(1, 3))
    states = draw(st.lists(small, min_size=users * width, max_size=users * width))
    outputs = draw(st.lists(small, min_size=items * width, max_size=items * width))
    seen = draw(st.lists(st.sets(st.integers(1, items)), min_size=users, max_size=users))
    outputs = np.array([[0.5] * width, *np.reshape(outputs, (items, width))], np.float32)
    return (
        np.reshape(np.array(states, np.float32), (users, width)),
        outputs,
        Histories.of_lists([sorted(codes) for codes in seen]),
        draw(st.integers(1, 15)),
        draw(st.integers(1, 2000)),
    )


def sorted_plainly(products, seen):
    """Codes of all items left, best first, ties by code."""
    for user, row in enumerate(products):
        had = set(seen.take(slice(user, user + 1)).items.tolist())
        left = [code for code in range(1, len(row)) if code not in had]
        yield sorted(left, key=lambda code: (-row[code], code))


@given(searches(), st.integers(1, 5))
@settings(deadline=None)
def test_the_best_items_equal_brute_force_with_ties_by_code(search, item_block):
    states, outputs, seen, k, budget = search
    products = states @ outputs.T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(retrieval, "ITEM_BLOCK", item_block)
        codes, scores = top_k(states, outputs, k, seen=seen, budget_bytes=budget)
    for user, expected in enumerate(sorted_plainly(products, seen)):
        padded = (expected + [0] * k)[:k]
        assert codes[user].tolist() == padded
        for code, value in zip(padded, scores[user], strict=True):
            assert value == (products[user, code] if code else -np.inf)
    assert np.array_equal(top_k_of(products, k, seen=seen)[0], codes)


@given(searches())
@settings(deadline=None)
def test_the_place_of_an_answer_is_its_place_in_the_list(search):
    states, outputs, seen, _, _ = search
    items = len(outputs) - 1
    for user, expected in enumerate(sorted_plainly(states @ outputs.T, seen)):
        rows = slice(user, user + 1)
        for code in range(1, items + 1):
            place = ranks(states[rows], outputs, np.array([code]), seen=seen.take(rows))[0]
            if code in expected:
                assert place == expected.index(code)
            else:
                assert place > items, "what is left out is never found"


def test_large_and_small_floats_keep_their_order_and_value():
    scores = np.array([[9.0, -np.inf, -0.0, 0.0, 1e-38, -1e-38, 3e38, -3e38, 1.5]], np.float32)
    codes, values = top_k_of(scores, 8)
    assert codes.tolist() == [[6, 8, 4, 2, 3, 5, 7, 0]], "-inf leaves item 1 out"
    assert np.array_equal(values[:, :7], scores[:, codes[0, :7]])


def test_memory_stays_within_its_budget(monkeypatch):
    sizes = []
    best = retrieval._best

    def watched(scores, first, k, seen):
        sizes.append(scores.size)
        return best(scores, first, k, seen)

    monkeypatch.setattr(retrieval, "_best", watched)
    states, outputs = np.ones((1000, 2), np.float32), np.ones((501, 2), np.float32)
    top_k(states, outputs, 3, budget_bytes=1_000_000)
    assert max(sizes) * retrieval._CELL_BYTES <= 1_000_000
    assert sum(sizes) == 500_000


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(ModelError, match="not a number"):
        top_k(np.full((1, 2), np.nan, np.float32), np.ones((4, 2), np.float32), 2)
