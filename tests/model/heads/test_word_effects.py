"""Words that were planted are found, and effects are true differences of the head's answers."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.heads import word_effects as module
from behavior_spark.model.heads.head import Head
from behavior_spark.model.heads.word_effects import WordEffects, word_effects

TRIGGERS = {"refund": ("refund", "reimbursed"), "delivery": ("courier", "shipment")}
FRAMES = [
    "hello, I bought a lamp in your shop and the {} is what I ask about",
    "good morning, about the blue mug: {} please, as soon as you can",
    "my order of two chairs last week, {} today or tomorrow?",
    "the {} for this bag, could somebody from your team look at it",
    "a friend told me that you know about the {} of my new table",
    "{} is the matter, I wrote to you on Monday about my garden box",
]


def planted() -> list[tuple[str, str, str]]:
    """Text, label and the one word that tells the label."""
    return [
        (frame.format(word), label, word)
        for label, words in TRIGGERS.items() for word in words for frame in FRAMES
    ]  # fmt: skip


@pytest.fixture(scope="module")
def head(real_encoder: Encoder) -> Head:
    """A head fitted to the planted texts."""
    texts, labels, _ = zip(*planted(), strict=True)
    names = tuple(TRIGGERS)
    vectors = real_encoder.embed(list(texts)).embeddings
    fitted = LogisticRegression(C=100.0).fit(vectors, [names.index(label) for label in labels])
    weight = np.concatenate([-fitted.coef_, fitted.coef_]) / 2
    bias = np.concatenate([-fitted.intercept_, fitted.intercept_]) / 2
    return Head("intent", names, "single_label", weight, bias, np.full(2, 0.5), 1.0,
                real_encoder.digest)  # fmt: skip


@pytest.fixture(scope="module")
def effects(real_encoder: Encoder, head: Head) -> list[WordEffects]:
    return word_effects(real_encoder, head, [text for text, _, _ in planted()])


def test_the_planted_word_comes_first(effects: list[WordEffects]) -> None:
    first = 0
    for (_, label, word), found in zip(planted(), effects, strict=True):
        assert found.label == label and found.probability > 0.5 and found.error is None
        first += found.raising(1)[0].word.strip(",:") == word
    assert first >= 0.9 * len(effects)  # 24 texts; words beside it may tell a little too


def test_an_effect_is_the_difference_of_two_answers_of_the_head(
    real_encoder: Encoder, head: Head, effects: list[WordEffects]
) -> None:
    for (text, label, _), found in list(zip(planted(), effects, strict=True))[::5]:
        words, code = text.split(), head.labels.index(label)
        assert [word.word for word in found.words] == words
        for effect in found.words:
            left = " ".join(words[: effect.place] + words[effect.place + 1 :])
            both = head.probabilities(real_encoder.embed([text, left]).embeddings)[:, code]
            odds = np.log(both.astype(float)) - np.log1p(-both.astype(float))
            assert effect.effect == pytest.approx(odds[0] - odds[1], abs=1e-3)
            assert effect.without == pytest.approx(float(both[1]), abs=1e-4)


def test_a_head_that_is_sure_tells_its_words_as_well(real_encoder: Encoder, head: Head) -> None:
    """Its probabilities are 1.0 with and without a word: their logarithms would tell nothing."""
    sure = Head("intent", head.labels, "single_label", head.weight * 30, head.bias * 30,
                np.full(2, 0.5), 1.0, real_encoder.digest)  # fmt: skip
    text, label, word = planted()[0]
    [found] = word_effects(real_encoder, sure, [text])
    assert sure.probabilities(real_encoder.embed([text]).embeddings).max() == 1.0
    assert found.label == label and found.raising(1)[0].word == word
    several = Head("intent", head.labels, "multi_label", head.weight, head.bias, np.full(2, 0.5),
                   2.0, real_encoder.digest)  # fmt: skip
    [found] = word_effects(real_encoder, several, [text])
    both = several.probabilities(real_encoder.embed([text]).embeddings)[0]
    assert found.probability == pytest.approx(float(both.max()), abs=1e-5)
    assert found.raising(1)[0].word == word


def test_another_label_is_explained_where_it_is_named(real_encoder: Encoder, head: Head) -> None:
    text, label, word = planted()[0]
    other = next(name for name in head.labels if name != label)
    [found] = word_effects(real_encoder, head, [text], label=other)
    assert found.label == other and found.lowering(1)[0].word == word
    with pytest.raises(ModelError, match="no such label"):
        word_effects(real_encoder, head, [text], label="praise")


def test_texts_of_any_length_together_are_as_each_alone(
    real_encoder: Encoder, head: Head, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["refund", "", "my refund", " ".join(["lamp"] * 6 + ["courier"]), planted()[3][0]]
    monkeypatch.setattr(module, "MOST_WORDS", 5)
    monkeypatch.setattr(module, "_TOGETHER", 6)  # several batches
    together = word_effects(real_encoder, head, texts)
    one_word, empty, two, long, _ = together
    assert one_word.words == () and one_word.label == "refund"
    assert empty.label is None and empty.error == "empty_text" and empty.words == ()
    assert [word.word for word in two.words] == ["my", "refund"]
    assert len(long.words) == 5 and long.words_left_out == 2
    for text, found in zip(texts, together, strict=True):
        [alone] = word_effects(real_encoder, head, [text])
        assert alone.label == found.label and alone.words_left_out == found.words_left_out
        np.testing.assert_allclose(
            [word.effect for word in alone.words], [word.effect for word in found.words], atol=1e-3
        )


def test_a_head_of_another_encoder_is_refused(real_encoder: Encoder, make_head) -> None:
    with pytest.raises(ModelError, match="another encoder"):
        word_effects(real_encoder, make_head(), ["red mug"])
