"""Convert margins to expected amounts with an interval: a factor and split-conformal quantiles.

The interval is asymmetric: its ends are two separate quantiles of residuals divided by their
expected spread (Lei et al. 2018, doi 10.1080/01621459.2017.1307116, section 5.2; Romano et al.
2019, arXiv 1905.03222, theorem 2). It contains at least nine labels in ten, however good the model
is, if rows are distributed like those it was fitted on; rows of a new season may not be.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Doubles

LEVEL = 0.9


@dataclass(frozen=True)
class AmountCalibrator:
    """Expected amount and interval of a margin, the logarithm of a mean.

    Attributes:
        factor: The expected amount is ``factor * exp(margin)``.
        power: The spread is ``max(expected, unit) ** (power / 2)``; 1 for counts.
        unit: Expected amount below which the spread is constant.
        below: The lower end is ``expected - below * spread``, and at least 0.
        above: The upper end is ``expected + above * spread``.
    """

    factor: float
    power: float
    unit: float
    below: float
    above: float

    def predict(self, margins: npt.ArrayLike) -> Doubles:
        """Expected amounts, float64 (n,), for margins (n,)."""
        return np.asarray(np.exp(np.asarray(margins, dtype=np.float64)) * self.factor)

    def interval(self, margins: npt.ArrayLike) -> tuple[Doubles, Doubles]:
        """Lower and upper end, float64 (n,) each."""
        expected = self.predict(margins)
        spread = _spread(expected, self.power, self.unit)
        return np.maximum(0.0, expected - self.below * spread), expected + self.above * spread

    def to_json(self) -> dict[str, Any]:
        """JSON values, from which :meth:`from_json` restores floats exactly."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The calibrator that `to_json` wrote."""
        return cls(**{key: float(value) for key, value in data.items()})


def fit_amounts(
    margins: Doubles, labels: Doubles, *, weights: Doubles, power: float
) -> AmountCalibrator:
    """Fit factor and interval on rows that the model was not trained on.

    Args:
        margins: Margins of the model, float64 (n,).
        labels: Amounts, at least 0, float64 (n,).
        weights: Number of rows that each row represents, float64 (n,).
        power: See :class:`AmountCalibrator`.

    Raises:
        ModelError: A margin is not finite, or no label is above 0.
    """
    total = float(weights @ labels)
    if not np.isfinite(margins).all() or total <= 0:
        raise ModelError(
            "amounts need finite margins and a label above 0",
            found=f"{int((~np.isfinite(margins)).sum())} margins that are not, total {total:g}",
            fix="calibrate on a day, or users, where something happened",
        )
    raw = np.exp(margins)
    factor = total / float(weights @ raw)
    expected = raw * factor
    unit = total / float(weights.sum())
    residuals = (labels - expected) / _spread(expected, power, unit)
    tail = (1 - LEVEL) / 2
    return AmountCalibrator(
        factor=factor,
        power=power,
        unit=unit,
        below=max(0.0, _conformal_quantile(-residuals, weights, tail)),
        above=max(0.0, _conformal_quantile(residuals, weights, tail)),
    )


def _spread(expected: Doubles, power: float, unit: float) -> Doubles:
    return np.asarray(np.maximum(expected, unit) ** (power / 2))


def _conformal_quantile(values: Doubles, weights: Doubles, tail: float) -> float:
    """Value that a new one exceeds with probability at most ``tail``.

    With too few rows for that (19 at 0.05) it is the largest value.
    """
    order = np.argsort(values, kind="stable")
    mass = np.cumsum(weights[order])
    target_mass = (1 - tail) * (mass[-1] + float(weights.max()))
    place = min(int(np.searchsorted(mass, target_mass - 1e-9)), len(values) - 1)
    value = float(values[order][place])
    return value if math.isfinite(value) else 0.0
