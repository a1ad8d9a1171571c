"""Every text has one label: softmax, cross-entropy, a temperature."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from behavior_spark.model.arrays import Bools, Doubles, Floats, Integers
from behavior_spark.model.heads.golden_section import lowest_place
from behavior_spark.model.heads.head import Head, softmax
from behavior_spark.model.heads.kind import SINGLE_LABEL, HeadKind, Targets, most_probable
from behavior_spark.model.measures.classification import Answers, Confusion

if TYPE_CHECKING:
    import torch

# Fewer held-out rows than this say too little to move a temperature.
MIN_CALIBRATION_ROWS = 30
_TEMPERATURES = (0.1, 10.0)


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
        """One True a row."""
        return np.asarray(targets[:, None] == np.arange(label_count))

    def probabilities(self, logits: Floats) -> Floats:
        """Softmax: a row adds up to 1."""
        return softmax(logits)

    def top(self, probabilities: Floats, thresholds: Floats) -> Integers:
        """The most probable label, whatever the thresholds; -1 for a NaN row."""
        return most_probable(probabilities, np.float32(0.0))

    def given(self, probabilities: Floats, thresholds: Floats) -> Bools:
        """The most probable label alone."""
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
        """Cross-entropy."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(logits, targets, weight=weighting, label_smoothing=smoothing)

    def balanced_weights(self, targets: Targets, label_count: int) -> Doubles:
        """One over a label's frequency."""
        frequency = np.bincount(targets.astype(np.int64), minlength=label_count)
        return np.asarray(len(targets) / (label_count * np.maximum(frequency, 1.0)))

    def choice_loss(
        self, logits: torch.Tensor, targets: torch.Tensor, weighting: torch.Tensor | None
    ) -> float:
        """The loss."""
        return float(self.loss(logits, targets, weighting))

    def given_at_best(self, logits: Floats, targets: Targets) -> Bools:
        """The label with the largest logit: a temperature changes no order."""
        return self.truth(logits.argmax(axis=1), logits.shape[1])

    def calibrate(self, head: Head, logits: Doubles, targets: Targets) -> Head:
        """The temperature with the lowest loss (Guo et al. 2017, arXiv 1706.04599)."""
        if len(targets) < MIN_CALIBRATION_ROWS:
            return head

        def loss(log_temperature: float) -> float:
            scaled = logits / math.exp(log_temperature)
            top = scaled.max(axis=1)
            normaliser = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
            return float(np.mean(normaliser - scaled[np.arange(len(targets)), targets]))

        low, high = (math.log(value) for value in _TEMPERATURES)
        return replace(head, temperature=math.exp(lowest_place(loss, low, high)))

    def confidence(self, answers: Answers) -> tuple[Doubles, Doubles]:
        """The top label's probability [n, 1], and whether it is right."""
        top = answers.probabilities.argmax(axis=1)[:, None]
        chosen = np.take_along_axis(answers.probabilities, top, axis=1).astype(np.float64)
        return chosen, np.take_along_axis(answers.truth, top, axis=1).astype(np.float64)

    def confusion(self, answers: Answers) -> Confusion:
        """``counts[i][j]`` texts of label i were given label j, the last column: none."""
        truth, said = answers.truth, answers.said
        width = len(answers.labels)
        given = np.where(said.any(axis=1), said.argmax(axis=1), width)
        flat = np.bincount(
            truth.argmax(axis=1) * (width + 1) + given, minlength=width * (width + 1)
        )
        return {"labels": list(answers.labels), "counts": flat.reshape(width, width + 1).tolist()}


KIND: HeadKind = SingleLabel()
