"""What a head says of texts whose labels are known: the ground of every measure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Floats
from behavior_spark.model.heads.head import Head
from behavior_spark.model.measures.classification import Answers


def answers_of(
    head: Head, embeddings: Floats, labels: Sequence[Sequence[str]], *, abstaining: bool = True
) -> Answers:
    """The answers of ``head`` to n texts.

    Args:
        head: Of any kind.
        embeddings: float32 [n, dimension], without NaN.
        labels: For each text its true labels (one, where every text has one).
        abstaining: Whether a text out of the head's scope gets no answer; else it gets one too.

    Raises:
        ModelError: Lengths differ, or a text has several labels where each has one.
    """
    if len(labels) != len(embeddings):
        raise ModelError(
            "texts and labels differ in number", found=f"{len(embeddings)}, {len(labels)}"
        )
    if head.rules.exclusive and any(len(own) != 1 for own in labels):
        raise ModelError(
            f"the head {head.name!r} gives one label to each text",
            found="texts with none or several",
            fix="measure it on texts with one label each",
        )
    unknown = sorted({label for own in labels for label in own} - set(head.labels))
    names = (*head.labels, *unknown)
    truth = np.zeros((len(labels), len(names)), dtype=np.bool_)
    place = {label: index for index, label in enumerate(names)}
    rows = [row for row, own in enumerate(labels) for _ in own]
    truth[rows, [place[label] for own in labels for label in own]] = True
    said = np.zeros_like(truth)
    probabilities, codes = head.answer(embeddings)
    given = head.rules.given(probabilities, head.thresholds)
    said[:, : len(head.labels)] = given & (codes >= 0)[:, None] if abstaining else given
    padding = np.zeros((len(truth), len(unknown)), dtype=np.float32)
    return Answers(names, head.rules, truth, said, np.hstack([probabilities, padding]))
