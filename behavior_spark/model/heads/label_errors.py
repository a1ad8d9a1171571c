"""Labels that are likely wrong, and equal texts with different labels.

Confident learning (Northcutt, Jiang & Chuang 2021, "Confident Learning: Estimating Uncertainty in
Dataset Labels", arXiv 1911.00068): a text is suspected where a head that has not learned from it
is surer of another label than it usually is of texts of that label. Nothing is removed: a person
decides, and training says how many there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from behavior_spark.model.arrays import Bools, Floats
from behavior_spark.model.heads.holding_out import normalise_text

# Of labels with fewer texts a head knows too little to suspect one: of clean banking intents it
# would suspect 78 % of two texts a label, 52 % of four, 20 % of six, 13 % of eight.
FEWEST_TEXTS = 8
# Texts of one label that look like another are called a mix-up from so many on, if hardly as many
# look the other way (one-sided sign test, corrected for the number of pairs).
FEWEST_MIXED_UP, MIX_UP_LEVEL = 5, 0.01


@dataclass(frozen=True)
class Suspect:
    """A labelled text whose label is likely another.

    Attributes:
        row: Number of the text.
        label: The label it has.
        likely: The label that is likely.
        probability: Of the likely label.
    """

    row: int
    label: str
    likely: str
    probability: float


def suspected_labels(probabilities: Floats, truth: Bools, labels: Sequence[str]) -> list[Suspect]:
    """Texts with one label each whose label is likely wrong, the likeliest first.

    Labels with fewer than ``FEWEST_TEXTS`` texts are neither suspected nor likely.

    Args:
        probabilities: [n, L], each row by a head that has not learned from the text.
        truth: bool [n, L], one label a row.
        labels: L names.
    """
    n = len(probabilities)
    if not n:
        return []
    own = truth.argmax(axis=1)
    counts = truth.sum(axis=0)
    # How sure heads are of texts that have the label: from there on they count as confident.
    usual = np.where(
        counts >= FEWEST_TEXTS, (probabilities * truth).sum(axis=0) / np.maximum(counts, 1), np.inf
    )
    confident = np.where(probabilities >= usual, probabilities, -1.0)
    likely = confident.argmax(axis=1)
    wrong = (confident.max(axis=1) > 0) & (likely != own) & (counts[own] >= FEWEST_TEXTS)
    rows = np.flatnonzero(wrong)
    gap = probabilities[rows, likely[rows]] - probabilities[rows, own[rows]]
    order = rows[np.argsort(-gap, kind="stable")]
    return [
        Suspect(
            int(row), labels[own[row]], labels[likely[row]], float(probabilities[row, likely[row]])
        )
        for row in order
    ]


@dataclass(frozen=True)
class MixUp:
    """A label that seems to be given to texts of another one, and not the other way.

    Attributes:
        label: The label that texts have.
        likely: The label that they look like.
        texts: How many.
        other_way: Texts of ``likely`` that look like ``label``.
        share: ``texts`` as a share of all texts that seem to belong to ``likely``.
    """

    label: str
    likely: str
    texts: int
    other_way: int
    share: float


def mix_ups(
    suspects: Sequence[Suspect], counts: dict[str, int], *, level: float = MIX_UP_LEVEL
) -> list[MixUp]:
    """Labels that are mixed up in one direction, the largest first.

    Texts that are hard are taken for each other both ways; a rule or a person that calls a part of
    A by the name of B leaves texts of B that look like A, and none of A that look like B.

    Args:
        suspects: What ``suspected_labels`` found.
        counts: Number of texts of each label.
        level: Chance of finding any mix-up where mistakes go both ways alike.
    """
    pairs = Counter((suspect.label, suspect.likely) for suspect in suspects)
    found = []
    for (label, likely), texts in pairs.items():
        other_way = pairs[likely, label]
        chance = float(binom.sf(texts - 1, texts + other_way, 0.5))
        if texts >= FEWEST_MIXED_UP and chance * len(pairs) < level:
            share = texts / (texts + counts[likely])
            found.append(MixUp(label, likely, texts, other_way, share))
    return sorted(found, key=lambda mix_up: (-mix_up.texts, mix_up.label))


def conflicting_texts(texts: Sequence[str], label_sets: Sequence[frozenset[str]]) -> list[int]:
    """Numbers of the texts that are equal to another one with other labels.

    >>> conflicting_texts(["Hi", "hi ", "bye"], [frozenset("a"), frozenset("b"), frozenset("a")])
    [0, 1]
    """
    seen: dict[str, set[frozenset[str]]] = {}
    keys = [normalise_text(text) for text in texts]
    for key, labels in zip(keys, label_sets, strict=True):
        seen.setdefault(key, set()).add(labels)
    return [row for row, key in enumerate(keys) if len(seen[key]) > 1]
