"""Heads with any number of labels a text: a sigmoid, a binary loss and a threshold per label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from behavior_spark.model.arrays import Bools, Doubles, Floats, Integers
from behavior_spark.model.heads.golden_section import find_minimum
from behavior_spark.model.heads.head import Head, sigmoid
from behavior_spark.model.heads.kind import MULTI_LABEL, HeadKind, Targets, most_probable
from behavior_spark.model.measures.answers import Answers, Confusion
from behavior_spark.model.measures.classification_report import classification_report

if TYPE_CHECKING:
    import torch

# With fewer held-out positives, the threshold of a label stays at 0.5.
MIN_THRESHOLD_POSITIVES = 5
_THRESHOLDS = np.linspace(0.05, 0.95, 91, dtype=np.float32)


@dataclass(frozen=True)
class MultiLabel:
    """Targets are float32 [n, L] of 0 and 1."""

    name: str = MULTI_LABEL
    description: str = "several labels a text"
    exclusive: bool = False
    least_labels: int = 1

    def targets(self, numbers: Sequence[Sequence[int]], label_count: int) -> Targets:
        """1 for each label of a text, else 0; float32 [n, L]."""
        targets = np.zeros((len(numbers), label_count), dtype=np.float32)
        for row, labels in enumerate(numbers):
            targets[row, list(labels)] = 1.0
        return targets

    def truth(self, targets: Targets, label_count: int) -> Bools:
        """The targets as bool [n, L]."""
        return targets.astype(bool)

    def probabilities(self, logits: Floats) -> Floats:
        """Sigmoid of each logit; labels are independent."""
        return sigmoid(logits)

    def top(self, probabilities: Floats, thresholds: Floats) -> Integers:
        """The most probable label at or above its threshold, or -1."""
        return most_probable(probabilities, thresholds)

    def predict(self, probabilities: Floats, thresholds: Floats) -> Bools:
        """All labels at or above their threshold."""
        return np.asarray(np.nan_to_num(probabilities, nan=-1.0) >= thresholds)

    def loss(
        self,
        logits: torch.Tensor,
        targets: torch.Tensor,
        weighting: torch.Tensor | None = None,
        *,
        smoothing: float = 0.0,
    ) -> torch.Tensor:
        """Binary cross-entropy, summed over labels; weights apply to positives."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        loss = binary_cross_entropy_with_logits(logits, targets, pos_weight=weighting)
        return loss * targets.shape[1]

    def balanced_weights(self, targets: Targets, label_count: int) -> Doubles:
        """Number of negatives over number of positives, of each label."""
        positives = np.maximum(targets.sum(axis=0), 1.0)
        return np.asarray(np.maximum(len(targets) - positives, 1.0) / positives)

    def choice_loss(
        self,
        logits: torch.Tensor,
        targets: torch.Tensor,
        weighting: torch.Tensor | None,
    ) -> float:
        """1 - macro-F1 at the best thresholds."""
        truth = targets.numpy().astype(bool)
        predicted = self.predict_at_best(logits.numpy(), targets.numpy())
        names = tuple(str(column) for column in range(truth.shape[1]))
        return 1.0 - float(classification_report(names, truth, predicted)["f1"])

    def predict_at_best(self, logits: Floats, targets: Targets) -> Bools:
        """Labels at or above the best thresholds for these targets."""
        probabilities = sigmoid(logits)
        return np.asarray(probabilities >= best_thresholds(probabilities, targets.astype(bool)))

    def calibrate(self, head: Head, logits: Doubles, targets: Targets) -> Head:
        """Set the best threshold of each label."""
        probabilities = sigmoid(logits.astype(np.float32))
        chosen = best_thresholds(probabilities, targets.astype(bool))
        return replace(head, thresholds=chosen)

    def confidence(self, answers: Answers) -> tuple[Doubles, Doubles]:
        """Probability of every label, and whether the text has it (0 or 1); float64 [n, L] each."""
        return answers.probabilities.astype(np.float64), answers.truth.astype(np.float64)

    def confusion(self, answers: Answers) -> Confusion:
        """True and false positives and negatives of each label."""
        truth, predicted = answers.truth, answers.predicted
        tables = {"tp": truth & predicted, "fp": ~truth & predicted, "fn": truth & ~predicted,
                  "tn": ~truth & ~predicted}  # fmt: skip
        return {
            label: {name: int(table[:, i].sum()) for name, table in tables.items()}
            for i, label in enumerate(answers.labels)
        }


def best_thresholds(probabilities: Floats, truth: Bools) -> Floats:
    """Threshold with the best F1 of each label, float32 [L]; 0.5 with few positives.

    The F1 of a threshold is the mean of the observed F1 and the F1 expected from the
    probabilities (Lipton et al. 2014, arXiv 1402.1892), which varies less with few positives.
    For the expected F1, the probabilities are first shifted so that their sum is the number of
    positives, because class weights raise them.

    Args:
        probabilities: float32 [n, L].
        truth: bool [n, L].
    """
    chosen = np.full(probabilities.shape[1], 0.5, dtype=np.float32)
    for column in np.flatnonzero(truth.sum(axis=0) >= MIN_THRESHOLD_POSITIVES):
        positive = truth[:, column]
        moved = _at_frequency(probabilities[:, column], int(positive.sum()))
        above = probabilities[:, column, None] >= _THRESHOLDS
        hits = positive @ above.astype(np.float64) + moved @ above.astype(np.float64)
        f1 = hits / np.maximum(1, above.sum(axis=0) + positive.sum())
        best = np.flatnonzero(f1 >= f1.max() - 1e-12)
        chosen[column] = _THRESHOLDS[best[len(best) // 2]]  # the middle of a plateau
    return chosen


def _at_frequency(probabilities: Floats, positives: int) -> npt.NDArray[np.float64]:
    """Probabilities [n], all logits shifted by one constant so that the sum is ``positives``."""
    clipped = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    logits = np.log(clipped / (1 - clipped))

    def surplus(shift: float) -> float:
        return abs(float((1 / (1 + np.exp(-logits - shift))).sum()) - positives)

    return np.asarray(1 / (1 + np.exp(-logits - find_minimum(surplus, -20.0, 20.0))))


KIND: HeadKind = MultiLabel()
