"""Softmax over all items, or over a sample of them that a batch shares.

Sampled softmax: Bengio & Senécal 2008, "Adaptive Importance Sampling to Accelerate Training of a
Neural Probabilistic Language Model"; many shared negatives and no sigmoid make SASRec as good as
later models (Klenitskiy & Vasilev 2023, arXiv 2309.07602; Petrov & Macdonald 2023, gSASRec, arXiv
2308.07192; eSASRec, Tikhonovich et al. 2025).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from behavior_spark.model.arrays import Doubles, Integers


@dataclass(frozen=True)
class Sampler:
    """Draws the negatives of a batch, with replacement.

    Attributes:
        probabilities: Chance of each code, float64 (items + 1,); 0 of code 0.
    """

    probabilities: Doubles

    @classmethod
    def of_counts(cls, counts: Integers, *, popularity: float) -> Sampler:
        """Chances of counts: uniform, with a share of ``popularity`` that follows the counts.

        Args:
            counts: How often each code occurs, int64 (items + 1,).
            popularity: Between 0 (uniform) and 1.
        """
        uniform = np.ones(len(counts))
        uniform[0] = 0.0
        popular = np.where(uniform > 0, counts, 0).astype(np.float64)
        if not popular.sum():
            popular = uniform
        mixed = (1 - popularity) * uniform / uniform.sum() + popularity * popular / popular.sum()
        return cls(mixed)

    def draw(self, count: int, random: np.random.Generator) -> Integers:
        """Codes, int64 (count,)."""
        steps = np.cumsum(self.probabilities)
        codes = np.searchsorted(steps, random.random(count) * steps[-1], side="right")
        return np.asarray(np.minimum(codes, len(steps) - 1))


def softmax_loss(
    states: torch.Tensor,
    positives: torch.Tensor,
    answers: torch.Tensor,
    negatives: torch.Tensor,
    codes: torch.Tensor,
    expected: torch.Tensor,
    *,
    smoothing: float = 0.0,
) -> torch.Tensor:
    """Cross-entropy of each answer against negatives that the batch shares.

    The score of a negative is lowered by the log of how often it is expected in the sample, so
    that their sum estimates the sum over all items; a negative that is the answer does not count.

    Args:
        states: float32 (n, width).
        positives: Outputs of the answers, float32 (n, width).
        answers: Their codes, int64 (n,).
        negatives: Outputs of the sample, float32 (m, width).
        codes: Their codes, int64 (m,).
        expected: How often each is expected in the sample, float32 (m,).
        smoothing: Share of the loss that asks for the mean score of the negatives.

    Returns:
        Mean over the answers.
    """
    wanted = (states * positives).sum(dim=1)
    scores = states @ negatives.T - expected.log()
    scores = scores.masked_fill(answers[:, None] == codes, -math.inf)
    total = torch.logaddexp(wanted, scores.logsumexp(dim=1))
    loss = (total - wanted).mean()
    if smoothing:
        mean = (states @ negatives.mean(dim=0)).mean()
        loss = (1 - smoothing) * loss + smoothing * (total.mean() - mean)
    return loss


def full_softmax_loss(
    states: torch.Tensor, outputs: torch.Tensor, answers: torch.Tensor, *, smoothing: float = 0.0
) -> torch.Tensor:
    """Cross-entropy of each answer against all items.

    Args:
        states: float32 (n, width).
        outputs: Outputs of items 1 to the last, float32 (items, width).
        answers: Codes of the answers, int64 (n,), from 1.
        smoothing: Label smoothing (Szegedy et al. 2016).
    """
    return functional.cross_entropy(states @ outputs.T, answers - 1, label_smoothing=smoothing)
