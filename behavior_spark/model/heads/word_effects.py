"""Which words of a text raise and lower a label: by leaving out each word in turn.

Li, Monroe and Jurafsky 2016, "Understanding Neural Networks through Representation Erasure", arXiv
1612.08220. The effect of a word is a difference of two answers of the model, so that it is true of
any encoder and head. All texts without a word, of all texts, are embedded together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logsumexp

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Doubles, Floats
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.heads.head import Head

MOST_WORDS = 200
# Texts without a word that are embedded together: 384 numbers of each are 30 MB.
_TOGETHER = 20_000


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
    odds = log_odds(head, whole.embeddings)
    codes = (
        np.full(len(texts), head.labels.index(label))
        if label is not None
        else np.argmax(np.nan_to_num(odds), axis=1)
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
            moved, left = odds[row, code] - answers[:, code], expit(answers[:, code])
            words = tuple(
                WordEffect(split[row][place], place, float(moved[place]), float(left[place]))
                for place in range(len(answers))
                if np.isfinite(moved[place])
            )
            rest = max(len(split[row]) - MOST_WORDS, 0)
            probability = float(expit(odds[row, code]))
            effects.append(WordEffects(head.labels[code], probability, words, rest))
    return effects


def log_odds(head: Head, embeddings: Floats) -> Doubles:
    """Log-odds of each label, float64 (texts, labels), of embeddings, float32 (texts, dimension).

    Where a text has one label, they are taken from the logits and not from probabilities, which
    are 1.0 and tell no difference where a head is sure.
    """
    logits = head.raw_logits(embeddings) / head.temperature
    if not head.rules.exclusive:
        return np.asarray(logits)
    others = np.stack(
        [logsumexp(np.delete(logits, code, axis=1), axis=1) for code in range(logits.shape[1])],
        axis=1,
    )
    return np.asarray(logits - others)


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


def _without_each(encoder: Encoder, head: Head, split: Sequence[Sequence[str]]) -> list[Doubles]:
    """For each text the log-odds without each word, float64 (words, labels)."""
    counts = [min(len(words), MOST_WORDS) if len(words) > 1 else 0 for words in split]
    variants = [
        " ".join([*words[:place], *words[place + 1 :]])
        for words, count in zip(split, counts, strict=True)
        for place in range(count)
    ]
    if not variants:
        return [np.empty((0, len(head.labels))) for _ in split]
    odds = log_odds(head, encoder.embed(variants).embeddings)
    ends = np.cumsum(counts)
    return [odds[end - count : end] for end, count in zip(ends, counts, strict=True)]
