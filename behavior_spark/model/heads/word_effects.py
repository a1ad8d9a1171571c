"""Which words of a text raise and lower a label: by leaving out each word in turn.

Li, Monroe and Jurafsky 2016, "Understanding Neural Networks through Representation Erasure", arXiv
1612.08220. The effect of a word is a difference of two answers of the model, so that it is true of
any encoder and head. All texts without a word, of all texts, are embedded together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Doubles, Floats
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.heads.head import Head

MOST_WORDS = 200
# Texts without a word that are embedded together: 384 numbers of each are 30 MB.
_TOGETHER = 20_000
# Probabilities of 0 and 1 have no log-odds.
_LEAST = 1e-7


@dataclass(frozen=True)
class WordEffect:
    """A word of a text, and what it does.

    Attributes:
        word: The word, as white space bounds it.
        place: Its number in the text, from 0.
        effect: Log-odds of the label with the word less those without: above 0, it raises it.
        without: Probability of the label without the word.
    """

    word: str
    place: int
    effect: float
    without: float


@dataclass(frozen=True)
class WordEffects:
    """The words of one text.

    Attributes:
        label: The label; None if the text was not embedded.
        probability: Its probability.
        words: Words in the order of the text. Of a text of one word there are none, since
            nothing would be left.
        words_left_out: Words after the first 200, which were not left out in turn.
        error: Why the text was not embedded; None if it was. See ``EmbeddingBatch.errors``.
    """

    label: str | None
    probability: float
    words: tuple[WordEffect, ...] = ()
    words_left_out: int = 0
    error: str | None = None

    def raising(self, most: int) -> list[WordEffect]:
        """The words that raise the label, the strongest first."""
        kept = [word for word in self.words if word.effect > 0]
        return sorted(kept, key=lambda word: -word.effect)[:most]

    def lowering(self, most: int) -> list[WordEffect]:
        """The words that lower the label, the strongest first."""
        kept = [word for word in self.words if word.effect < 0]
        return sorted(kept, key=lambda word: word.effect)[:most]


def word_effects(
    encoder: Encoder, head: Head, texts: Sequence[str], *, label: str | None = None
) -> list[WordEffects]:
    """The effect of each word of each text on a label.

    Args:
        encoder: The encoder whose embeddings the head reads.
        head: The head.
        texts: Clean texts.
        label: The label that is explained; by default of each text its most probable one.

    Raises:
        ModelError: The head reads another encoder's embeddings, or has no such label.
    """
    if head.backbone_digest != encoder.digest:
        raise ModelError(
            f"the head {head.name!r} reads embeddings of another encoder",
            found=f"{encoder.digest}, not {head.backbone_digest}",
            fix="use the encoder that the head was trained on",
        )
    if label is not None and label not in head.labels:
        raise ModelError(
            f"the head {head.name!r} has no such label",
            found=label,
            fix=f"name one of: {', '.join(head.labels)}",
        )
    whole = encoder.embed(list(texts))
    probabilities = head.probabilities(whole.embeddings)
    codes = (
        np.full(len(texts), head.labels.index(label))
        if label is not None
        else np.argmax(np.nan_to_num(probabilities), axis=1)
    )
    split = [text.split() for text in texts]
    effects: list[WordEffects] = []
    for group in _groups(split):
        without = _without_each(encoder, head, [split[row] for row in group])
        for row, answers in zip(group, without, strict=True):
            code, error = int(codes[row]), whole.errors[row]
            if error is not None:
                effects.append(WordEffects(None, float("nan"), error=error))
                continue
            probability = float(probabilities[row, code])
            of_label = answers[:, code].astype(np.float64)
            moved = _log_odds(np.array([probability])) - _log_odds(of_label)
            words = tuple(
                WordEffect(split[row][place], place, float(moved[place]), float(of_label[place]))
                for place in range(len(answers))
                if np.isfinite(moved[place])
            )
            rest = max(len(split[row]) - MOST_WORDS, 0)
            effects.append(WordEffects(head.labels[code], probability, words, rest))
    return effects


def _groups(split: Sequence[Sequence[str]]) -> Iterator[list[int]]:
    """Numbers of texts, in order, whose texts without a word are embedded together."""
    group: list[int] = []
    size = 0
    for row, words in enumerate(split):
        variants = min(len(words), MOST_WORDS)
        if group and size + variants > _TOGETHER:
            yield group
            group, size = [], 0
        group.append(row)
        size += variants
    if group:
        yield group


def _without_each(encoder: Encoder, head: Head, split: Sequence[Sequence[str]]) -> list[Floats]:
    """For each text the probabilities without each word, float32 (words, labels)."""
    counts = [min(len(words), MOST_WORDS) if len(words) > 1 else 0 for words in split]
    variants = [
        " ".join([*words[:place], *words[place + 1 :]])
        for words, count in zip(split, counts, strict=True)
        for place in range(count)
    ]
    if not variants:
        return [np.empty((0, len(head.labels)), dtype=np.float32) for _ in split]
    probabilities = head.probabilities(encoder.embed(variants).embeddings)
    ends = np.cumsum(counts)
    return [probabilities[end - count : end] for end, count in zip(ends, counts, strict=True)]


def _log_odds(probabilities: Doubles) -> Doubles:
    clipped = np.clip(probabilities, _LEAST, 1 - _LEAST)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))
