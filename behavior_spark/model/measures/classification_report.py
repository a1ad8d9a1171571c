"""Accuracy, precision, recall and F1 of text labels, without intervals, for a head's metrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from behavior_spark.model.arrays import Bools


def classification_report(
    labels: tuple[str, ...], truth: Bools, predicted: Bools
) -> dict[str, Any]:
    """Accuracy, precision, recall and F1, macro and per class.

    Macro values are averages over labels that occur, as true or predicted. A row counts as
    accurate if all its labels are right.

    Args:
        labels: L labels.
        truth: True labels, bool [n, L].
        predicted: Predicted labels, bool [n, L].
    """
    hits = (truth & predicted).sum(axis=0).astype(float)
    predictions, positives = predicted.sum(axis=0), truth.sum(axis=0)
    precision = hits / np.maximum(1, predictions)
    recall = hits / np.maximum(1, positives)
    f1 = 2 * hits / np.maximum(1, predictions + positives)
    present = (predictions + positives) > 0

    def macro(values: npt.NDArray[Any]) -> float:
        return float(values[present].mean()) if present.any() else 0.0

    return {
        "accuracy": float((truth == predicted).all(axis=1).mean()) if len(truth) else 0.0,
        "precision": macro(precision),
        "recall": macro(recall),
        "f1": macro(f1),
        "per_class": {
            label: {
                "rows": int(positives[i]),
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
            }
            for i, label in enumerate(labels)
        },
    }
