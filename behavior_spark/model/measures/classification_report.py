"""Figures of text labels without intervals: what a head records of itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from behavior_spark.model.arrays import Bools


def classification_report(labels: tuple[str, ...], truth: Bools, said: Bools) -> dict[str, Any]:
    """Accuracy, precision, recall and F1, macro and per class, from two bool tables [n, labels].

    Macro values average labels that are present in the truth or in the answers. Accuracy counts a
    row only where every label is right.
    """
    hits = (truth & said).sum(axis=0).astype(float)
    answers, positives = said.sum(axis=0), truth.sum(axis=0)
    precision = hits / np.maximum(1, answers)
    recall = hits / np.maximum(1, positives)
    f1 = 2 * hits / np.maximum(1, answers + positives)
    present = (answers + positives) > 0

    def macro(values: npt.NDArray[Any]) -> float:
        return float(values[present].mean()) if present.any() else 0.0

    return {
        "accuracy": float((truth == said).all(axis=1).mean()) if len(truth) else 0.0,
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
