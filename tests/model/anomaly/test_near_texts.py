"""Texts that are nearly equal, without Spark."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from behavior_spark.model.anomaly.near_texts import (
    band_keys,
    character_runs,
    components,
    packed_runs,
    similarities,
)

WORDS = st.text("abcdefghijklmnop", min_size=3, max_size=9)
TEXTS = st.lists(WORDS, min_size=6, max_size=20).map(" ".join)


@given(TEXTS, TEXTS)
def test_similarity_is_that_of_the_sets_of_character_runs(one: str, other: str) -> None:
    runs, others = set(character_runs(one).tolist()), set(character_runs(other).tolist())
    expected = len(runs & others) / len(runs | others)
    # Each pair by itself, whatever stands beside it: a text without a letter has no run.
    left, right = packed_runs([one, "", one, other, ""]), packed_runs([other, one, one, "?", ""])
    assert similarities(left, right) == pytest.approx([expected, 0.0, 1.0, 0.0, 0.0])
    assert similarities(left[:1], right[:1])[0] == pytest.approx(expected)
    assert similarities([], []).shape == (0,)
    assert similarities(left[-1:], right[:1])[0] == 0.0


@given(TEXTS)
def test_case_signs_and_numbers_make_no_other_text(text: str) -> None:
    shouted = text.upper().replace(" ", " - ") + "!!"
    assert (band_keys([text]) == band_keys([shouted])).all()
    assert (band_keys([f"{text} code 123"]) == band_keys([f"{text} code 987"])).all()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_texts_above_the_similarity_share_a_band_as_often_as_stated(seed: int) -> None:
    dice = random.Random(seed)
    pairs = [_pair(dice) for _ in range(60)]
    left, right = [a for a, _ in pairs], [b for _, b in pairs]
    found = (band_keys(left) == band_keys(right)).any(axis=1)
    similar = similarities(packed_runs(left), packed_runs(right))
    stated = 1 - (1 - similar**4) ** 20
    # Sums of independent draws: five standard deviations, and as many for bands being related.
    slack = 5 * np.sqrt((stated * (1 - stated)).sum()) + 1
    assert abs(found.sum() - stated.sum()) <= slack


def _pair(dice: random.Random) -> tuple[str, str]:
    words = ["".join(dice.choices("abcdefghij", k=dice.randint(3, 8))) for _ in range(20)]
    other = [
        word if dice.random() > 0.1 else "".join(dice.choices("klmnop", k=6)) for word in words
    ]
    return " ".join(words), " ".join(other)


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(-50, 50)), max_size=60))
def test_components_are_those_of_a_walk_over_the_pairs(pairs: list[tuple[int, int]]) -> None:
    left, right = (np.array([pair[end] for pair in pairs], dtype=np.int64) for end in (0, 1))
    nodes, smallest = components(left, right)
    groups = {node: {node} for pair in pairs for node in pair}
    for a, b in pairs:
        merged = groups[a] | groups[b]
        for node in merged:
            groups[node] = merged
    assert dict(zip(nodes.tolist(), smallest.tolist(), strict=True)) == {
        node: min(group) for node, group in groups.items()
    }


def test_a_text_without_a_letter_has_no_key() -> None:
    assert (band_keys(["", "?!"]) == -1).all()
    assert (band_keys(["a"]) != -1).all()
