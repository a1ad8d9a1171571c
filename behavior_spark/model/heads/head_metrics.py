"""What is measured of a head on held-out texts, and what is found in the labels of its task."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from behavior_spark.model.arrays import Doubles, Floats
from behavior_spark.model.encoder.nearest import nearest
from behavior_spark.model.heads.baselines import baseline_figures, cost_figures
from behavior_spark.model.heads.head import Head
from behavior_spark.model.heads.label_errors import (
    FEWEST_TEXTS,
    Suspect,
    conflicting_texts,
    mix_ups,
    suspected_labels,
)
from behavior_spark.model.heads.labelled import TaskSplit
from behavior_spark.model.measures.classification_report import classification_report

# Cosine of embeddings from which two texts count as copies.
NEAR_COPY = 0.98
# Metrics that say something of a task's labels and texts, whatever the head.
LABEL_FINDINGS = ("conflicting_texts", "suspected_labels", "label_mix_ups", "near_copies")
SHOWN_PAIRS = 5


def measure(head: Head, embeddings: Floats, targets: npt.NDArray[Any]) -> dict[str, Any]:
    """The ``classification_report`` of a head on embeddings [n, dimension] and their targets."""
    predicted = head.rules.predict(head.probabilities(embeddings), head.thresholds)
    return classification_report(
        head.labels, head.rules.truth(targets, len(head.labels)), predicted
    )


def head_metrics(head: Head, split: TaskSplit, held: Floats) -> dict[str, Any]:
    """Metrics to store in a head: row counts, classification report, rows and labels dropped.

    Args:
        head: A calibrated head.
        split: Its task.
        held: float32 [held-out texts, dimension], in the order of the task; a row may be NaN.
    """
    held_out = split.validation
    metrics = {
        **head.metrics,
        "rows": {"train": int((~held_out).sum()), "validation": int(held_out.sum())},
        "measured_on": "validation",
        **measure(head, np.nan_to_num(held), split.targets[held_out]),
        "dropped_rows": split.dropped,
        "dropped_labels": split.dropped_labels,
    }
    if held_out.any():
        known = split.baselines
        metrics["baselines"] = baseline_figures(split) if known is None else dict(known)
        if split.costs:
            given = head.rules.predict(head.probabilities(np.nan_to_num(held)), head.thresholds)
            metrics |= cost_figures(split, given)
    if split.undated:
        metrics["undated_rows"] = split.undated
    if split.labels_cleaned:
        metrics["labels_cleaned"] = split.labels_cleaned
    if split.label_twins:
        metrics["label_twins"] = [list(group) for group in split.label_twins]
    return metrics


def label_findings(head: Head, split: TaskSplit, judged: Doubles | None) -> dict[str, Any]:
    """Metrics on labels: conflicting and suspected ones among all labelled texts.

    Args:
        head: Calibrated.
        split: The task.
        judged: float64 [n, labels], logits of heads that have not learned from the text; None
            where there are too many texts.
    """
    findings: dict[str, Any] = {}
    if conflicts := conflicting_texts(split.texts, split.label_sets):
        findings["conflicting_texts"] = len(conflicts)
    if suspects := suspects_of(head, split, judged):
        pairs = Counter((suspect.label, suspect.likely) for suspect in suspects)
        judged_rows = split.truth[:, split.truth.sum(axis=0) >= FEWEST_TEXTS].any(axis=1)
        findings["suspected_labels"] = {
            "texts": len(suspects),
            "share": len(suspects) / int(judged_rows.sum()),
            "most_often": [
                {"label": label, "likely": likely, "texts": texts}
                for (label, likely), texts in pairs.most_common(SHOWN_PAIRS)
            ],
        }
        counts = dict(zip(split.labels, split.truth.sum(axis=0).tolist(), strict=True))
        if mixed := mix_ups(suspects, counts):
            findings["label_mix_ups"] = [asdict(mix_up) for mix_up in mixed]
    return findings


def suspects_of(head: Head, split: TaskSplit, judged: Doubles | None) -> list[Suspect]:
    """Texts whose label is likely wrong; none where texts have several labels.

    Args:
        head: Calibrated.
        split: The task.
        judged: As for ``label_findings``.
    """
    if judged is None or not split.rules.exclusive:
        return []
    probabilities = split.rules.probabilities((judged / head.temperature).astype(np.float32))
    return suspected_labels(probabilities, split.truth, split.labels)


def near_copies(split: TaskSplit, embeddings: Floats) -> dict[str, Any]:
    """Metric: held-out texts that are nearly a text to learn from, by cosine of embeddings."""
    held = split.validation
    if not held.any() or held.all():
        return {}
    similarities, _ = nearest(embeddings[held], embeddings[~held], 1)
    copies = int((similarities[:, 0] >= NEAR_COPY).sum())
    return {"near_copies": copies} if copies else {}
