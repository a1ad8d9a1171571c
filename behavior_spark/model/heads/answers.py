"""What a head says of texts whose labels are known: the ground of every measure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Floats
from behavior_spark.model.heads.head import Head
from behavior_spark.model.measures.classification import Answers


def answers_of(head: Head, embeddings: Floats, labels: Sequence[Sequence[str]]) -> Answers:
    """The answers of ``head`` to n texts.

    Args:
        head: Single- or multi-label.
        embeddings: float32 [n, dimension], without NaN.
        labels: For each text its true labels (one, where the head gives one).

    Raises:
        ModelError: Lengths differ, or a text has several labels and the head gives one.
    """
    if len(labels) != len(embeddings):
        raise ModelError(
            "texts and labels differ in number", found=f"{len(embeddings)}, {len(labels)}"
        )
    if not head.multi_label and any(len(each) != 1 for each in labels):
        raise ModelError(
            f"the head {head.name!r} gives one label to each text",
            found="texts with none or several",
            fix="measure it on texts with one label each",
        )
    unknown = sorted({label for each in labels for label in each} - set(head.labels))
    names = (*head.labels, *unknown)
    truth = np.zeros((len(labels), len(names)), dtype=np.bool_)
    place = {label: index for index, label in enumerate(names)}
    rows = [row for row, each in enumerate(labels) for _ in each]
    truth[rows, [place[label] for each in labels for label in each]] = True
    said = np.zeros_like(truth)
    probabilities, codes = head.answer(embeddings)
    if head.multi_label:
        said[:, : len(head.labels)] = probabilities >= head.thresholds
    else:
        answered = np.flatnonzero(codes >= 0)
        said[answered, codes[answered]] = True
    padding = np.zeros((len(truth), len(unknown)), dtype=np.float32)
    return Answers(names, head.multi_label, truth, said, np.hstack([probabilities, padding]))
