"""The base rate for everybody: a learner without features, for targets that nothing predicts."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from behavior_spark.model.arrays import Doubles, Floats
from behavior_spark.model.propensity.learner import Learner, Loss


@dataclass(frozen=True)
class BaseRateOptions:
    """Settings: none has an effect."""

    seed: int = 0


@dataclass(frozen=True)
class FittedBaseRate:
    """One margin for every row: the log-odds of the base rate, or the logarithm of the mean."""

    margin: float

    def margins(self, values: Floats) -> Doubles:
        """The margin, float64 (rows,)."""
        return np.full(len(values), self.margin)

    def contributions(self, values: Floats) -> Doubles:
        """Zeros, float64 (rows, features)."""
        return np.zeros(values.shape)

    def to_bytes(self) -> bytes:
        """The margin as a little-endian double."""
        return struct.pack("<d", self.margin)


@dataclass(frozen=True)
class BaseRate:
    """The learner ``base_rate``; see ``Learner``."""

    name: str = "base_rate"
    file: str = "base_rate.bin"
    losses: frozenset[Loss] = frozenset(("logistic", "poisson", "tweedie"))

    def make_options(self, **changes: Any) -> BaseRateOptions:
        """Settings with defaults except for ``changes``."""
        return BaseRateOptions(**changes)

    def fit(
        self, values: Floats, labels: Doubles, *, weights: Doubles, options: Any, loss: Loss
    ) -> FittedBaseRate:
        """The weighted mean of the labels, as a margin."""
        mean = float(np.average(labels, weights=weights))
        if loss == "logistic":
            return FittedBaseRate(float(np.log(mean) - np.log1p(-mean)))
        return FittedBaseRate(float(np.log(mean)))

    def load(self, content: bytes) -> FittedBaseRate:
        """The margin from its bytes."""
        return FittedBaseRate(struct.unpack("<d", content)[0])


LEARNER: Learner = BaseRate()
