"""The protocol of a kind of head, and the registry lookup of kinds by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from behavior_spark.extensions import HEAD_KINDS
from behavior_spark.model.arrays import Bools, Doubles, Floats, Integers
from behavior_spark.model.measures.answers import AnswerKind

if TYPE_CHECKING:
    import torch

    from behavior_spark.model.heads.head import Head

SINGLE_LABEL, MULTI_LABEL = "single_label", "multi_label"

# Targets of training, one entry per text; what an entry is depends on the kind.
Targets = npt.NDArray[np.int64] | npt.NDArray[np.float32]


class HeadKind(AnswerKind, Protocol):
    """A kind of head: targets, loss, predictions and calibration.

    A module of ``kinds`` defines one as ``KIND``. In shapes, L is the number of labels; targets
    are in the form that :meth:`targets` returns.
    """

    @property
    def name(self) -> str:
        """Name of the kind; the same as its module's."""

    @property
    def description(self) -> str:
        """Description for readers, such as ``one label a text``."""

    @property
    def exclusive(self) -> bool:
        """Whether every text has exactly one label."""

    @property
    def least_labels(self) -> int:
        """Smallest number of labels of a head."""

    def targets(self, numbers: Sequence[Sequence[int]], label_count: int) -> Targets:
        """Targets of n texts, from the label numbers of each text."""

    def truth(self, targets: Targets, label_count: int) -> Bools:
        """The labels of each text as bool [n, L], from targets."""

    def probabilities(self, logits: Floats) -> Floats:
        """Probabilities, float32 [n, L], of logits [n, L]; a row of NaN stays NaN."""

    def top(self, probabilities: Floats, thresholds: Floats) -> Integers:
        """Number of the most probable predicted label, int64 [n]; -1 without one."""

    def predict(self, probabilities: Floats, thresholds: Floats) -> Bools:
        """All predicted labels, bool [n, L]; none for a row of NaN."""

    def loss(
        self,
        logits: torch.Tensor,
        targets: torch.Tensor,
        weighting: torch.Tensor | None = None,
        *,
        smoothing: float = 0.0,
    ) -> torch.Tensor:
        """Mean training loss over n texts.

        Args:
            logits: [n, L].
            targets: Targets, see :meth:`targets`.
            weighting: Label weights, float32 [L]; None: all labels weigh the same.
            smoothing: Label smoothing; ignored by losses without it.
        """

    def balanced_weights(self, targets: Targets, label_count: int) -> Doubles:
        """Label weights, float64 [L], that give rare labels the same weight as frequent ones."""

    def choice_loss(
        self, logits: torch.Tensor, targets: torch.Tensor, weighting: torch.Tensor | None
    ) -> float:
        """Figure on held-out texts that chooses the strength of L2; lower is better."""

    def predict_at_best(self, logits: Floats, targets: Targets) -> Bools:
        """Predicted labels, bool [n, L], with thresholds calibrated on these same targets."""

    def calibrate(self, head: Head, logits: Doubles, targets: Targets) -> Head:
        """The head calibrated on texts it was not fitted on; unchanged if there are too few.

        Args:
            head: A head that is not calibrated.
            logits: [n, L] of n such texts, before the temperature.
            targets: As ``targets`` makes them.
        """


def find_head_kind(name: str) -> HeadKind:
    """The kind of head with a name.

    Raises:
        ConfigError: There is no such kind; the message lists the kinds there are.
    """
    return cast(HeadKind, HEAD_KINDS.load(name))


def most_probable(probabilities: Floats, least: Any) -> Integers:
    """Column of the largest probability at or above ``least`` in each row, int64 [n]; else -1.

    Args:
        probabilities: float32 [n, L].
        least: Smallest probability: one number, or float32 [L].
    """
    filled = np.nan_to_num(probabilities, nan=-1.0)
    allowed = np.where(filled >= least, filled, np.float32(-1.0))
    labels: Integers = allowed.argmax(axis=1).astype(np.int64)
    labels[allowed.max(axis=1) < 0] = -1
    return labels
