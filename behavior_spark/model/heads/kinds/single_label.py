"""Heads with exactly one label a text: softmax, cross-entropy and a temperature."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from behavior_spark.model.arrays import Bools, Doubles, Floats, Integers
from behavior_spark.model.heads.golden_section import find_minimum
from behavior_spark.model.heads.head import Head, softmax
from behavior_spark.model.heads.kind import SINGLE_LABEL, HeadKind, Targets, most_probable
from behavior_spark.model.heads.label_noise import find_label_noise
from behavior_spark.model.measures.answers import Answers, Confusion

if TYPE_CHECKING:
    import torch

# With fewer held-out rows, the temperature stays at 1.
MIN_CALIBRATION_ROWS = 30
_TEMPERATURES = (0.1, 10.0)
LEAST_THRESHOLD = np.float32(1e-6)


@dataclass(frozen=True)
class SingleLabel:
    """Targets are int64 [n]: the number of each text's label."""

    name: str = SINGLE_LABEL
    description: str = "one label a text"
    exclusive: bool = True
    least_labels: int = 2

    def targets(self, numbers: Sequence[Sequence[int]], label_count: int) -> Targets:
        """The first number of each text."""
        return np.array([labels[0] for labels in numbers], dtype=np.int64)

    def truth(self, targets: Targets, label_count: int) -> Bools:
        """One-hot rows, bool [n, L]."""
        return np.asarray(targets[:, None] == np.arange(label_count))

    def probabilities(self, logits: Floats) -> Floats:
        """Softmax of each row."""
        return softmax(logits)

    def top(self, probabilities: Floats, thresholds: Floats) -> Integers:
        """The label with the largest probability in proportion to its threshold; -1 for NaN.

        With equal thresholds this is the most probable label. A label whose threshold is a tenth
        of the others' wins where it is more than a tenth as probable: to miss a text of it costs
        ten times as much (Elkan 2001, "The Foundations of Cost-Sensitive Learning").
        """
        least = np.maximum(thresholds, LEAST_THRESHOLD).astype(np.float32)
        return most_probable(probabilities / least, np.float32(0.0))

    def predict(self, probabilities: Floats, thresholds: Floats) -> Bools:
        """The label of each row by :meth:`top`."""
        top = self.top(probabilities, thresholds)
        return self.truth(top, probabilities.shape[1])

    def loss(
        self,
        logits: torch.Tensor,
        targets: torch.Tensor,
        weighting: torch.Tensor | None = None,
        *,
        smoothing: float = 0.0,
    ) -> torch.Tensor:
        """Cross-entropy, with label smoothing."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(logits, targets, weight=weighting, label_smoothing=smoothing)

    def balanced_weights(self, targets: Targets, label_count: int) -> Doubles:
        """n / (L * number of texts) of each label, as scikit-learn's ``balanced``."""
        frequency = np.bincount(targets.astype(np.int64), minlength=label_count)
        return np.asarray(len(targets) / (label_count * np.maximum(frequency, 1.0)))

    def choice_loss(
        self, logits: torch.Tensor, targets: torch.Tensor, weighting: torch.Tensor | None
    ) -> float:
        """The cross-entropy."""
        return float(self.loss(logits, targets, weighting))

    def predict_at_best(self, logits: Floats, targets: Targets) -> Bools:
        """The label with the largest logit, which no temperature changes."""
        return self.truth(logits.argmax(axis=1), logits.shape[1])

    def calibrate(self, head: Head, logits: Doubles, targets: Targets) -> Head:
        """Set the temperature with the lowest loss (Guo et al. 2017, arXiv 1706.04599).

        Where a part of the labels is plainly wrong, the one of ``find_label_noise``.
        """
        if len(targets) < MIN_CALIBRATION_ROWS:
            return head
        if noise := find_label_noise(logits, targets.astype(np.int64), _TEMPERATURES):
            measured = {"wrong": noise.wrong, "gain": noise.gain}
            metrics = head.metrics | {"label_noise": measured}
            return replace(head, temperature=noise.temperature, metrics=metrics)

        def loss(log_temperature: float) -> float:
            scaled = logits / math.exp(log_temperature)
            top = scaled.max(axis=1)
            normaliser = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
            return float(np.mean(normaliser - scaled[np.arange(len(targets)), targets]))

        low, high = (math.log(value) for value in _TEMPERATURES)
        return replace(head, temperature=math.exp(find_minimum(loss, low, high)))

    def confidence(self, answers: Answers) -> tuple[Doubles, Doubles]:
        """Probability of the label by :meth:`top`, and whether it is right; float64 [n, 1] each."""
        top = self.top(answers.probabilities, answers.decision_thresholds)[:, None]
        chosen = np.take_along_axis(answers.probabilities, top, axis=1).astype(np.float64)
        return chosen, np.take_along_axis(answers.truth, top, axis=1).astype(np.float64)

    def confusion(self, answers: Answers) -> Confusion:
        """``counts[i][j]``: number of texts of label i predicted as j; last column: no label."""
        truth, predicted = answers.truth, answers.predicted
        width = len(answers.labels)
        columns = np.where(predicted.any(axis=1), predicted.argmax(axis=1), width)
        counts = np.bincount(
            truth.argmax(axis=1) * (width + 1) + columns, minlength=width * (width + 1)
        )
        return {"labels": list(answers.labels), "counts": counts.reshape(width, width + 1).tolist()}


KIND: HeadKind = SingleLabel()
