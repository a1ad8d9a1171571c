"""Labels predicted by a head for texts with true labels, as input of the measures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Floats
from behavior_spark.model.heads.head import Head
from behavior_spark.model.measures.answers import Answers


def answers_of(
    head: Head,
    embeddings: Floats,
    labels: Sequence[Sequence[str]],
    *,
    abstaining: bool = True,
    any_number: bool = False,
) -> Answers:
    """Predict the labels of n texts, and put them beside the true labels.

    Args:
        head: Head of any kind.
        embeddings: float32 [n, dimension], without NaN.
        labels: True labels of each text; exactly one if the head gives one label to each text.
        abstaining: Whether a text outside the head's scope gets no label; else it gets one too.
        any_number: Whether a head that gives one label may answer texts with none or several, to
            be compared with a head that gives several.

    Returns:
        Predicted and true labels over the head's labels and those that only the data has.

    Raises:
        ModelError: ``embeddings`` and ``labels`` differ in length, or the head gives one label
            to each text and a text has none or several, without ``any_number``.
    """
    if len(labels) != len(embeddings):
        raise ModelError(
            "texts and labels differ in number", found=f"{len(embeddings)}, {len(labels)}"
        )
    exactly_one = head.rules.exclusive and not any_number
    if exactly_one and any(len(text_labels) != 1 for text_labels in labels):
        raise ModelError(
            f"the head {head.name!r} gives one label to each text",
            found="texts with none or several",
            fix="measure it on texts with one label each",
        )
    unknown = sorted({label for text_labels in labels for label in text_labels} - set(head.labels))
    names = (*head.labels, *unknown)
    truth = np.zeros((len(labels), len(names)), dtype=np.bool_)
    column = {label: index for index, label in enumerate(names)}
    rows = [row for row, text_labels in enumerate(labels) for _ in text_labels]
    truth[rows, [column[label] for text_labels in labels for label in text_labels]] = True
    predicted = np.zeros_like(truth)
    probabilities, codes = head.answer(embeddings)
    assigned = head.rules.predict(probabilities, head.thresholds)
    if abstaining:
        assigned = assigned & (codes >= 0)[:, None]
    predicted[:, : len(head.labels)] = assigned
    padding = np.zeros((len(truth), len(unknown)), dtype=np.float32)
    thresholds = np.append(head.thresholds, np.full(len(unknown), 0.5, dtype=np.float32))
    return Answers(
        names, head.rules, truth, predicted, np.hstack([probabilities, padding]), thresholds
    )
