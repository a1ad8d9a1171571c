"""The nearest rows are those of brute force, bit for bit, however the matrices are cut."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from behavior_spark.errors import ModelError
from behavior_spark.model.encoder import nearest as kernel
from behavior_spark.model.encoder.nearest import RunningNearest, nearest

# Few distinct numbers: zero vectors, copies, multiples and tied similarities are common.
NUMBERS = st.sampled_from([-2.0, -1.0, 0.0, 0.0, 0.5, 1.0, 1.0000001, 3.0, 1e-30, 1e30])
DRAWN = st.tuples(st.integers(1, 6), st.integers(1, 12), st.integers(1, 5)).flatmap(
    lambda size: st.tuples(
        arrays(np.float32, (size[0], size[2]), elements=NUMBERS.map(np.float32)),
        arrays(np.float32, (size[1], size[2]), elements=NUMBERS.map(np.float32)),
    )
)


def reference(queries: np.ndarray, corpus: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Pair by pair with Python's exactly rounded sums, then a sort."""

    def cosine(left: np.ndarray, right: np.ndarray) -> float:
        a, b = left.astype(float).tolist(), right.astype(float).tolist()
        length = math.sqrt(math.fsum(x * x for x in a)) * math.sqrt(math.fsum(x * x for x in b))
        found = math.fsum(x * y for x, y in zip(a, b, strict=True)) / length if length else 0.0
        return round(found * 2**24) / 2**24

    similarities = np.array([[cosine(q, c) for c in corpus] for q in queries], np.float32)
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(similarities, order, axis=1), order


def random(rows: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "_AT_ONCE", 1000)


@pytest.fixture
def coarse_products() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision(before)


@settings(deadline=None, max_examples=300)
@given(DRAWN, st.integers(1, 14))
def test_it_finds_what_brute_force_finds_and_ties_keep_the_order_of_the_corpus(drawn, k):
    similarities, indices = nearest(*drawn, k)
    expected, order = reference(*drawn, k)
    assert similarities.dtype == np.float32 and indices.dtype == np.int64
    assert np.array_equal(similarities, expected)
    assert np.array_equal(indices, order)


def close(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Queries and a corpus whose cosines differ by less than a float32 product's error."""
    corpus = random(1, 384, 1) + random(rows, 384, 2) * np.float32(1e-3)
    return corpus[:20] + random(20, 384, 3) * np.float32(1e-4), corpus


def test_vectors_too_close_for_a_float32_product_are_ranked_right():
    queries, corpus = close(300)
    similarities, indices = nearest(queries, corpus, 50)
    expected, order = reference(queries, corpus, 50)
    assert np.array_equal(similarities, expected) and np.array_equal(indices, order)


def test_the_answer_for_a_query_does_not_depend_on_the_others_or_on_the_corpus_blocks():
    queries, corpus = random(37, 384, 1), random(500, 384, 2)
    corpus[400:] = corpus[:100]
    similarities, indices = nearest(queries, corpus, 20)
    for row in range(len(queries)):
        alone = nearest(queries[row : row + 1], corpus, 20)
        assert np.array_equal(alone[0][0], similarities[row])
        assert np.array_equal(alone[1][0], indices[row])
    for size in (3, 83, 500):
        running = RunningNearest(queries, 20)
        for start in range(0, 500, size):
            running.add(corpus[start : start + size])
        assert np.array_equal(running.similarities, similarities)
        assert np.array_equal(running.positions, indices)


@pytest.mark.parametrize("setting", ["small_parts", "coarse_products"])
def test_neither_part_size_nor_a_coarser_torch_changes_the_answer(setting, request):
    pairs = [close(200), (random(500, 64, 3), random(2000, 64, 4))]
    before = [nearest(*pair, 10) for pair in pairs]
    request.getfixturevalue(setting)
    for pair, (similarities, indices) in zip(pairs, before, strict=True):
        after = nearest(*pair, 10)
        assert np.array_equal(similarities, after[0]) and np.array_equal(indices, after[1])


def test_an_excluded_row_is_no_match_and_comes_last_where_there_is_no_other():
    corpus = random(5, 8, 1)
    similarities, indices = nearest(corpus, corpus, 9, excluded=np.array([0, 1, 2, -1, -1]))
    assert indices[:3, -1].tolist() == [0, 1, 2] and np.isneginf(similarities[:3, -1]).all()
    assert indices[3:, 0].tolist() == [3, 4] and similarities[3:, 0].tolist() == [1.0, 1.0]
    few, _ = nearest(corpus, corpus, 4, excluded=np.arange(5))
    assert np.isfinite(few).all() and (few < 1).all()


def test_a_zero_vector_has_similarity_0_to_all():
    zeros = np.zeros((2, 3), np.float32)
    similarities, indices = nearest(zeros, np.vstack([random(3, 3, 1), zeros]), 4)
    assert not similarities.any() and indices.tolist() == [[0, 1, 2, 3]] * 2


@pytest.mark.parametrize(("rows", "corpus_rows"), [(0, 4), (4, 0), (0, 0)])
def test_nothing_to_compare_gives_empty_answers(rows, corpus_rows):
    similarities, indices = nearest(random(rows, 3, 1), random(corpus_rows, 3, 1), 2)
    assert similarities.shape == indices.shape == (rows, min(2, corpus_rows))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_cannot_be_compared_is_refused(bad):
    good = random(2, 3, 1)
    holed = np.where(np.eye(2, 3, dtype=bool), np.float32(bad), good)
    for queries, corpus, k in [(good, good[:, :2], 1), (good, holed, 1), (good, good, 0)]:
        with pytest.raises(ModelError):
            nearest(queries, corpus, k)
