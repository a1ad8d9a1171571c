"""Reasons add up, and say what is so."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from behavior_spark.model.propensity.reasons import Explainer
from behavior_spark.model.propensity.sayings import Saying, Told

BOUGHT = Told("purchase", "count", Saying("{n} purchases", one="1 purchase", zero="no purchase"))
LATELY = Told("purchase", "count", Saying("{n} purchases this week", zero="none this week"))
SINCE = Told("purchase", "recency", Saying("the last {n} ago", none="never one", unit="days"))
TEXTS = Told("texts", "count", Saying("{n} texts"))
NAMES = ("bought", "lately", "since", "texts", "unknown")
EXPLAINER = Explainer(
    NAMES, {"bought": BOUGHT, "lately": LATELY, "since": SINCE, "texts": TEXTS}
)  # fmt: skip


def one_row(values: list[float], contributions: list[float], *, top: int = 3) -> list[str]:
    [reasons] = EXPLAINER.reasons(
        np.array([values], dtype=np.float32), np.array([contributions]), top=top
    )
    return [reason.text for reason in reasons]


def test_features_of_a_subject_are_one_reason_of_at_most_two_aspects() -> None:
    texts = one_row([4, 1, 5.5, 2, 7], [0.5, 0.4, 0.3, -0.2, 0.1])
    assert texts == [
        "4 purchases, the last 5 days ago (raises)", "2 texts (lowers)", "unknown: 7 (raises)"
    ]  # fmt: skip


def test_what_contributes_little_or_against_the_sum_is_not_told() -> None:
    assert one_row([4, 1, 5.5, 2, 7], [0.5, 0.4, 0.01, 0, 0]) == ["4 purchases (raises)"]
    assert one_row([0, 1, np.nan, 2, 7], [-0.5, 0.1, -0.3, 0, 0]) == [
        "no purchase (lowers)"  # not also "never one": it is the same
    ]


def test_a_second_sentence_never_says_that_there_is_nothing() -> None:
    assert one_row([0, 0, np.nan, 2, 7], [-0.5, -0.4, -0.3, 0, 0]) == ["no purchase (lowers)"]
    assert one_row([0, 0, 83.0, 2, 7], [-0.1, 0, -0.3, 0, 0]) == ["the last 83 days ago (lowers)"]
    assert one_row([0, 0, 83.0, 2, 7], [-0.3, 0, -0.1, 0, 0]) == [
        "no purchase, the last 83 days ago (lowers)"
    ]


def test_what_is_next_to_nothing_beside_the_strongest_is_no_reason() -> None:
    assert one_row([4, 1, 5, 2, 7], [1, 0, 0, 0.01, -0.03]) == [
        "4 purchases (raises)", "unknown: 7 (lowers)"
    ]  # fmt: skip


@pytest.mark.parametrize(("top", "told"), [(0, []), (1, [True, False]), (2, [True, False, True])])
def test_at_most_so_many_speak_for_it_and_so_many_against(top: int, told: list[bool]) -> None:
    texts = one_row([4, 1, 5, 2, 7], [0.5, 0.5, 0.5, 0.2, -0.3], top=top)
    assert [text.endswith("(raises)") for text in texts] == told


numbers = st.floats(-3, 3, width=32)


@given(hnp.arrays(np.float64, st.tuples(st.integers(0, 5), st.just(5)), elements=numbers))
def test_contributions_of_subjects_add_up_and_the_strongest_come_first(table: np.ndarray) -> None:
    sums = EXPLAINER.by_subject(table)
    np.testing.assert_allclose(sums.sum(axis=1), table.sum(axis=1), atol=1e-9)
    values = np.where(table > 0, table, np.nan).astype(np.float32)
    for row, reasons in enumerate(EXPLAINER.reasons(values, table, top=3)):
        strength = [abs(reason.contribution) for reason in reasons]
        assert strength == sorted(strength, reverse=True)
        # Three subjects: with three in each direction, every one that counts is told.
        least = 0.02 * np.abs(sums[row]).max()
        counts = sums[row][np.abs(sums[row]) >= least]
        assert sum(r.contribution for r in reasons) == pytest.approx(counts.sum(), abs=1e-9)
        for reason in reasons:
            place = NAMES.index(reason.feature)
            assert table[row, place] * reason.contribution > 0
            told = values[row, place]
            assert reason.value == (None if np.isnan(told) else pytest.approx(float(told)))
            assert ("raises" in reason.text) == (reason.contribution > 0)


def test_a_row_without_contributions_has_no_reason() -> None:
    assert one_row([1, 1, 1, 1, 1], [0, 0, 0, 0, 0]) == []
    assert EXPLAINER.reasons(np.empty((0, 5), np.float32), np.empty((0, 5)), top=3) == []


def test_a_share_is_told_as_a_count_where_it_can_only_be_of_all() -> None:
    """1 of 4 texts with a label may be what 25 % of 12 texts are."""
    share = Told("emotion", "anger", Saying(
        "{n} of the texts", zero="no text", unit="share", counted="{k} of the {m} texts"
    ), among="texts")  # fmt: skip
    explainer = Explainer(("anger", "texts"), {"anger": share, "texts": TEXTS})
    values = np.array([[3 / 7, 7], [0.25, 12], [np.nan, 7], [0, 7], [0.5, np.nan]], np.float32)
    contributions = np.tile([1.0, 0.0], (len(values), 1))
    told = [only.text for [only] in explainer.reasons(values, contributions, top=1)]
    assert told == [
        "3 of the 7 texts (raises)", "25 % of the texts (raises)", "unknown of the texts (raises)",
        "no text (raises)", "50 % of the texts (raises)",
    ]  # fmt: skip
    alone = Explainer(("anger",), {"anger": share})  # the number of texts is no feature
    [[only]] = alone.reasons(values[:1, :1], contributions[:1, :1], top=1)
    assert only.text == "43 % of the texts (raises)"
