"""Logistic regression with an L2 penalty on embeddings, by L-BFGS; the loss is the head kind's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from behavior_spark.model.arrays import Bools, Doubles, Floats
from behavior_spark.model.heads.kind import HeadKind
from behavior_spark.model.heads.labelled import TaskSplit
from behavior_spark.model.heads.out_of_fold import out_of_fold_logits

Weighting = Literal["none", "balanced", "sqrt"]


@dataclass(frozen=True, eq=False)
class Regression:
    """A task's texts as they are fitted: vectors scaled to about length 1."""

    split: TaskSplit
    scale: float
    scaled: torch.Tensor
    targets: torch.Tensor
    weighting: torch.Tensor | None

    @classmethod
    def of(cls, split: TaskSplit, embeddings: Floats, class_weights: Weighting) -> Regression:
        """Of a task and its embeddings, float32 [n, dimension]."""
        lengths = np.linalg.norm(embeddings[~split.validation], axis=1)
        scale = float(1.0 / max(1e-12, lengths.mean()))
        scaled = torch.from_numpy(embeddings * np.float32(scale))
        targets = torch.from_numpy(split.targets)
        return cls(split, scale, scaled, targets, label_weights(split, class_weights))

    def fit(self, part: Bools, start: torch.Tensor, strength: float) -> torch.Tensor:
        """Weights [labels, dimension + 1] fitted on the texts of a mask, from ``start``."""
        mask = torch.from_numpy(part)
        return _minimise(
            self.split.rules, start, self.scaled[mask], self.targets[mask], strength, self.weighting
        )

    def out_of_fold(self, strength: float, start: torch.Tensor) -> Doubles:
        """float64 [n, labels]: logits by heads that have not learned from the text."""
        return out_of_fold_logits(
            self.split.texts,
            self.scaled.numpy(),
            lambda part: self.fit(part, start, strength).numpy().astype(np.float64),
        )

    def loss(self, logits: torch.Tensor, rows: Bools) -> float:
        """By what the strength is chosen, from logits of the texts of a mask."""
        targets = self.targets[torch.from_numpy(rows)]
        return self.split.rules.choice_loss(logits, targets, self.weighting)


def label_weights(split: TaskSplit, how: Weighting) -> torch.Tensor | None:
    """Weight of each label in the loss, float32 [labels]; None if all weigh the same.

    ``balanced``: ``balanced_weights`` of the kind of head, from the frequency of labels in the
    training texts; ``sqrt``: their square root; ``none``: no weights.
    """
    if how == "none":
        return None
    weights = split.rules.balanced_weights(split.targets[~split.validation], len(split.labels))
    if how == "sqrt":
        weights = np.sqrt(weights)
    return torch.from_numpy(weights.astype(np.float32))


def _minimise(
    kind: HeadKind,
    start: torch.Tensor,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    strength: float,
    weighting: torch.Tensor | None,
) -> torch.Tensor:
    """Weights [labels, dimension + 1] (bias last, not penalised) by L-BFGS from ``start``."""
    weights = start.clone().requires_grad_(True)
    penalty = 1.0 / (2.0 * strength * len(inputs))
    optimiser = torch.optim.LBFGS(
        [weights],
        max_iter=200,
        tolerance_grad=1e-5,
        tolerance_change=1e-8,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = kind.loss(logits_of(weights, inputs), targets, weighting)
        loss = loss + penalty * weights[:, :-1].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return weights.detach()


def logits_of(weights: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """[n, labels], of weights [labels, dimension + 1] and inputs [n, dimension]."""
    return inputs @ weights[:, :-1].T + weights[:, -1]
