"""What differs between kinds of head; found by their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from behavior_spark.extensions import HEAD_KINDS
from behavior_spark.model.arrays import Bools, Doubles, Floats, Integers
from behavior_spark.model.measures.classification import AnswerKind

if TYPE_CHECKING:
    import torch

    from behavior_spark.model.heads.head import Head

SINGLE_LABEL, MULTI_LABEL = "single_label", "multi_label"

# What texts are labelled with, one entry a text; the kind says what an entry is.
Targets = npt.NDArray[np.int64] | npt.NDArray[np.float32]


class HeadKind(AnswerKind, Protocol):
    """A kind of head. A module of ``kinds`` holds it as ``KIND``.

    L is the number of labels; targets are what ``targets`` makes.
    """

    @property
    def name(self) -> str:
        """The module's name."""

    @property
    def description(self) -> str:
        """For people, such as ``one label a text``."""

    @property
    def exclusive(self) -> bool:
        """Whether every text has exactly one label."""

    @property
    def least_labels(self) -> int:
        """Labels that a head needs."""

    def targets(self, numbers: Sequence[Sequence[int]], label_count: int) -> Targets:
        """Targets of n texts from the numbers of each one's labels."""

    def truth(self, targets: Targets, label_count: int) -> Bools:
        """Bool [n, L]: which labels the targets are."""

    def probabilities(self, logits: Floats) -> Floats:
        """Float32 [n, L] from logits [n, L]; a NaN row stays NaN."""

    def top(self, probabilities: Floats, thresholds: Floats) -> Integers:
        """Int64 [n]: the most probable label that may be given, or -1."""

    def given(self, probabilities: Floats, thresholds: Floats) -> Bools:
        """Bool [n, L]: all labels that are given; a NaN row gets none."""

    def loss(
        self,
        logits: torch.Tensor,
        targets: torch.Tensor,
        weighting: torch.Tensor | None = None,
        *,
        smoothing: float = 0.0,
    ) -> torch.Tensor:
        """Mean over n texts of what training minimises.

        Args:
            logits: [n, L].
            targets: As ``targets`` makes them.
            weighting: float32 [L], from ``balanced_weights`` or their roots; none: all the same.
            smoothing: Of the labels, where the loss knows it.
        """

    def balanced_weights(self, targets: Targets, label_count: int) -> Doubles:
        """What each label counts in the loss so that rare ones weigh as much as frequent ones."""

    def choice_loss(
        self, logits: torch.Tensor, targets: torch.Tensor, weighting: torch.Tensor | None
    ) -> float:
        """By what held-out texts choose the strength of L2: the lower the better."""

    def given_at_best(self, logits: Floats, targets: Targets) -> Bools:
        """Bool [n, L]: labels given from logits, with what these targets would calibrate."""

    def calibrate(self, head: Head, logits: Doubles, targets: Targets) -> Head:
        """The head with what texts that it has not learned from decide; as it is if too few.

        Args:
            head: Not calibrated.
            logits: [n, L] of n such texts, as the head gives them before it is calibrated.
            targets: As ``targets`` makes them.
        """


def find_head_kind(name: str) -> HeadKind:
    """The kind of a name.

    Raises:
        ConfigError: There is none; it names those that are.
    """
    return cast(HeadKind, HEAD_KINDS.load(name))


def most_probable(probabilities: Floats, least: Any) -> Integers:
    """Int64 [n]: the largest probability of each row that reaches ``least``, or -1."""
    known = np.nan_to_num(probabilities, nan=-1.0)
    allowed = np.where(known >= least, known, np.float32(-1.0))
    best: Integers = allowed.argmax(axis=1).astype(np.int64)
    best[allowed.max(axis=1) < 0] = -1
    return best
