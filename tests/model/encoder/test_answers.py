"""Approved answers: the nearest that fits is suggested, or it is said why none is."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from behavior_spark.model.encoder.answers import (
    EQUALLY_NEAR,
    NO_ANSWER_FOR_NEED,
    NO_ANSWER_IN_LANGUAGE,
    NO_ANSWERS,
    NO_NEED,
    NOT_SCORED,
    TOO_FAR,
    AnswerIndex,
)

NEEDS, LANGUAGES = ["refund", "delivery", "cancel"], [None, "en", "de"]


def index(*answers: tuple[str, set[str], str | None, list[float]], least: float = 0.5,
          margin: float = 0.01) -> AnswerIndex:  # fmt: skip
    return AnswerIndex(
        [a[0] for a in answers], [frozenset(a[1]) for a in answers], [a[2] for a in answers],
        np.array([a[3] for a in answers], dtype=np.float32).reshape(len(answers), -1), least,
        margin,
    )  # fmt: skip


SHOP = index(
    ("money", {"refund"}, "en", [1, 0, 0, 0]),
    ("geld", {"refund"}, "de", [1, 0, 0, 0]),
    ("parcel", {"delivery"}, None, [0, 1, 0, 0]),
    # One answer to two questions, which fits two needs.
    ("sorry", {"refund", "delivery"}, "en", [0.6, 0.6, 0.5, 0]),
    ("sorry", {"refund", "delivery"}, "en", [0.1, 0.1, 1, 0]),
    ("twin a", {"cancel"}, "en", [0, 0, 0, 1]),
    ("twin b", {"cancel"}, "en", [0, 0, 0.05, 1]),
)


def test_the_nearest_answer_for_the_need_is_suggested_or_a_reason_is_stated() -> None:
    asked: list[tuple[list[float], list[str] | None, str | None, str | None, str | None]] = [
        ([2, 0.1, 0, 0], ["refund"], "en", "money", None),
        ([2, 0.1, 0, 0], ["refund"], "de", "geld", None),
        ([0, 1, 0, 0], ["delivery"], "de", "parcel", None),  # of no language: fits every one
        # An answer that fits two needs is the answer to a text that may have either.
        ([1, 1, 0, 0], ["refund", "delivery"], "en", "sorry", None),
        ([0, 0, 1, 0], ["refund"], "en", "sorry", None),  # by its second question
        # No need, or two that no answer fits both of.
        ([1, 0, 0, 0], None, "en", None, NO_NEED),
        ([1, 0, 0, 0], ["refund", "cancel"], "en", None, NO_NEED),
        ([1, 0, 0, 0], ["praise"], "en", None, NO_ANSWER_FOR_NEED),
        ([0, 0, 0, 1], ["cancel"], "de", None, NO_ANSWER_IN_LANGUAGE),
        ([0, 0, 0.03, 1], ["cancel"], "en", None, EQUALLY_NEAR),
        ([0, 0, 0, 1], ["delivery"], "en", None, TOO_FAR),
        ([np.nan] * 4, ["refund"], "en", None, NOT_SCORED),
        # Two languages of one answer are two answers, equally near to a text of neither.
        ([2, 0.1, 0, 0], ["refund"], None, None, EQUALLY_NEAR),
    ]
    replies = SHOP.reply(
        np.array([row[0] for row in asked], dtype=np.float32),
        [row[1] for row in asked],
        [row[2] for row in asked],
    )
    assert replies.ids == [row[3] for row in asked]
    assert replies.reasons == [row[4] for row in asked]
    assert np.isfinite(replies.similarities[:5]).all() and np.isnan(replies.similarities[5:9]).all()


def test_without_answers_every_text_is_told_so() -> None:
    nothing = AnswerIndex([], [], [], np.empty((0, 0), np.float32), 0.5, 0.01)
    replies = nothing.reply(np.ones((2, 3), np.float32), [["refund"], None], ["en", None])
    assert replies.ids == [None, None] and replies.reasons == [NO_ANSWERS, NO_ANSWERS]


ANSWERS = st.lists(
    st.tuples(
        st.sampled_from("abcdef"), st.sets(st.sampled_from(NEEDS), min_size=1),
        st.sampled_from(LANGUAGES),
        st.lists(st.integers(-3, 3), min_size=3, max_size=3).filter(any),
    ),
    min_size=1, max_size=8,
)  # fmt: skip
TEXTS = st.lists(
    st.tuples(
        st.lists(st.integers(-3, 3), min_size=3, max_size=3),
        st.none() | st.lists(st.sampled_from(NEEDS), min_size=1, max_size=2, unique=True),
        st.sampled_from(LANGUAGES),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(answers=ANSWERS, texts=TEXTS, cut=st.integers(0, 12), seed=st.randoms())
def test_a_reply_follows_from_its_text_alone_and_is_what_a_plain_search_gives(
    answers: list, texts: list, cut: int, seed: object
) -> None:
    shop = index(*[(a, n, lang, [float(x) for x in v]) for a, n, lang, v in answers], margin=0.05)
    vectors = np.array([t[0] for t in texts], dtype=np.float32)
    needs, languages = [t[1] for t in texts], [t[2] for t in texts]
    whole = shop.reply(vectors, needs, languages)
    assert [(i is None) != (r is None) for i, r in zip(whole.ids, whole.reasons, strict=True)] == [
        True
    ] * len(texts)
    # Cut into two batches, and in another order: the same.
    order = list(range(len(texts)))
    seed.shuffle(order)  # type: ignore[attr-defined]
    for part in (order[:cut], order[cut:]):
        if part:
            some = shop.reply(vectors[part], [needs[p] for p in part], [languages[p] for p in part])
            assert some.ids == [whole.ids[p] for p in part]
            assert some.reasons == [whole.reasons[p] for p in part]
            assert np.array_equal(some.similarities, whole.similarities[part], equal_nan=True)
    for row, (vector, wanted, language) in enumerate(texts):
        cosines: dict[str, float] = {}
        for name, own, spoken, other in answers:
            if wanted and set(wanted) <= own and (language is None or spoken in (None, language)):
                length = np.linalg.norm(vector) * np.linalg.norm(other)
                cosine = float(np.dot(vector, other) / length) if length else 0.0
                cosines[name] = max(cosine, cosines.get(name, -2.0))
        best = sorted(cosines.values(), reverse=True)
        if whole.ids[row] is not None:
            assert cosines[whole.ids[row]] >= best[0] - 1e-6 >= 0.5 - 2e-6
            assert len(best) < 2 or best[0] - best[1] >= 0.05 - 1e-6
        elif best:
            close = len(best) > 1 and best[0] - best[1] < 0.05 + 1e-6
            assert (whole.reasons[row] == TOO_FAR and best[0] < 0.5 + 1e-6) or close
