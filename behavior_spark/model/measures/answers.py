"""True and predicted labels of texts, which figures are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from behavior_spark.model.arrays import Bools, Doubles, Floats


class AnswerKind(Protocol):
    """Measures that depend on the kind of head; every kind of head has them."""

    @property
    def exclusive(self) -> bool:
        """Whether every text has exactly one label."""

    def confidence(self, answers: Answers) -> tuple[Doubles, Doubles]:
        """Probabilities to compare with outcomes, and the outcomes; float64 [n, 1 or L] each."""

    def confusion(self, answers: Answers) -> Confusion:
        """Confusion matrix, as JSON values."""


@dataclass(frozen=True, eq=False)
class Answers:
    """True and predicted labels of n texts.

    Attributes:
        labels: L labels: those of the head, then those that only the data has.
        kind: Kind of head.
        truth: True labels, bool [n, L].
        predicted: bool [n, L]; a row without any True got no label.
        probabilities: float32 [n, L]; 0 for a label that the head does not have.
        thresholds: float32 [L], by which the kind of head decided; None: 0.5 of each label.
    """

    labels: tuple[str, ...]
    kind: AnswerKind
    truth: Bools
    predicted: Bools
    probabilities: Floats
    thresholds: Floats | None = None

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def decision_thresholds(self) -> Floats:
        """The thresholds, float32 [L]."""
        if self.thresholds is None:
            return np.full(len(self.labels), 0.5, dtype=np.float32)
        return self.thresholds


Confusion = dict[str, Any]
