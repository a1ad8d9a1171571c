"""A temperature for labels of which a part is wrong, without leaving out texts that are hard.

A label is taken to be drawn by chance from all labels with a probability ``share``, else to be the
true one: p(label) = (1 - share) * softmax(logits / temperature) + share / L. Both numbers are those
of the greatest likelihood on texts that the head has not learned from (forward correction, Patrini
et al. 2017, "Making Deep Neural Networks Robust to Label Noise", arXiv 1609.03683). Probabilities
are then of the true label.

To leave out suspected labels instead makes heads of clean labels too sure, since hard texts go with
wrong ones, and it leaves more error where labels are wrong (``benchmarks/noisy_labels.py``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from behavior_spark.model.arrays import Doubles, Integers

# Noise is taken for real if it raises the log-likelihood by more, and has a larger share. Of 24
# tasks of clean labels, small and hard ones among them, none reached it. Of clean tasks with two to
# six texts a label most do, since a fold may leave a label one text or none: there the temperature
# is better for it too (77 banking intents of two texts: calibration error 0.02 instead of 0.40),
# and ``findings`` does not call the labels wrong.
LEAST_GAIN, LEAST_SHARE = 10.0, 0.03
# More texts say no more of two numbers.
MOST_TEXTS = 10_000
_STARTS = [(math.log(temperature), logit) for temperature in (0.3, 1.0) for logit in (-4.0, -1.0)]


@dataclass(frozen=True)
class LabelNoise:
    """What the labels of n texts say of their noise.

    Attributes:
        temperature: Divisor of the logits, for probabilities of the true label.
        wrong: Share of labels that are another than the true one.
        gain: By how much the noise raises the log-likelihood of the labels.
    """

    temperature: float
    wrong: float
    gain: float


def find_label_noise(
    logits: Doubles, targets: Integers, temperatures: tuple[float, float]
) -> LabelNoise | None:
    """Noise of labels; None if the labels do not clearly have any.

    Args:
        logits: [n, L], before the temperature, by heads that have not learned from the text.
        targets: int64 [n], the label that each text was given.
        temperatures: Lowest and highest temperature.
    """
    step = -(-len(targets) // MOST_TEXTS)
    logits, targets = logits[::step], targets[::step]
    rows, width = np.arange(len(targets)), logits.shape[1]
    low, high = (math.log(value) for value in temperatures)

    def loss(numbers: Doubles) -> float:
        scaled = logits / math.exp(min(high, max(low, numbers[0])))
        scaled -= scaled.max(axis=1, keepdims=True)
        own = np.exp(scaled[rows, targets]) / np.exp(scaled).sum(axis=1)
        share = _share(numbers[1])
        return -float(np.log(np.maximum((1.0 - share) * own + share / width, 1e-300)).sum())

    options = {"xatol": 1e-3, "fatol": 1e-3}
    found = [minimize(loss, start, method="Nelder-Mead", options=options) for start in _STARTS]
    best = min(found, key=lambda result: float(result.fun))
    without = minimize(
        lambda number: loss(np.array([number[0], -50.0])), [0.0], method="Nelder-Mead"
    )
    gain = float(without.fun) - float(best.fun)
    share = _share(float(best.x[1]))
    if gain < LEAST_GAIN or share < LEAST_SHARE:
        return None
    temperature = math.exp(min(high, max(low, float(best.x[0]))))
    return LabelNoise(temperature, share * (1.0 - 1.0 / width), gain)


def _share(logit: float) -> float:
    """Sigmoid, without overflow."""
    return 1.0 / (1.0 + math.exp(-max(-50.0, min(50.0, logit))))
