"""Labels that are likely wrong, and equal texts with different labels.

Confident learning (Northcutt, Jiang & Chuang 2021, "Confident Learning: Estimating Uncertainty in
Dataset Labels", arXiv 1911.00068): a text is suspected where a head that has not learned from it
is surer of another label than it usually is of texts of that label. Nothing is removed: a person
decides, and training says how many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from behavior_spark.model.arrays import Bools, Floats
from behavior_spark.model.heads.labelled import normalise_text

# Of labels with fewer texts a head knows too little to suspect one: of clean banking intents it
# would suspect 78 % of two texts a label, 52 % of four, 20 % of six, 13 % of eight.
FEWEST_TEXTS = 8


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
