"""Several rankers as one: a weighted mean of the chances that they give to items.

Linear interpolation (Jelinek & Mercer 1980): a network generalises, counts of what followed what
remember, and both are right for other users.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Floats
from behavior_spark.model.sequence.baselines import Ranker
from behavior_spark.model.sequence.histories import Histories
from behavior_spark.model.sequence.model import SequenceModel


@dataclass(frozen=True, eq=False)
class NetworkChances:
    """Softmax over all items of a model's scores; its networks are averaged by their scores."""

    model: SequenceModel

    def scores(self, histories: Histories) -> Floats:
        """Chance of each item, float32 (users, items + 1)."""
        products = torch.from_numpy(self.model.vectors(histories) @ self.model.outputs.T)
        products[:, 0] = -torch.inf
        return np.asarray((products / len(self.model.networks)).softmax(dim=1).numpy())


@dataclass(frozen=True, eq=False)
class Mixture:
    """Weighted mean of chances; scores of counts are divided by their sum.

    Attributes:
        rankers: What is mixed.
        weights: Weight of each, at least 0.
    """

    rankers: Sequence[Ranker]
    weights: Sequence[float]

    def __post_init__(self) -> None:
        if len(self.rankers) != len(self.weights) or min(self.weights, default=-1.0) < 0:
            raise ModelError(
                "a mixture needs a weight of at least 0 for each of its rankers",
                found=f"{len(self.rankers)} rankers, weights {list(self.weights)}",
                fix="give as many weights as rankers",
            )

    def scores(self, histories: Histories) -> Floats:
        """Mean chance of each item, float32 (users, items + 1)."""
        total = np.zeros((len(histories), 1), dtype=np.float32)
        for ranker, weight in zip(self.rankers, self.weights, strict=True):
            scores = ranker.scores(histories)
            sums = np.maximum(scores.sum(axis=1, keepdims=True), 1e-12)
            total = total + np.float32(weight) * scores / sums
        return total
