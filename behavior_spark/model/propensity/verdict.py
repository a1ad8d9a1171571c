"""The verdict of a target: is its model better than chance, and better than simple baselines?

Model and baselines are measured on the same held-out rows by the first measure of the target's
kind. The interval of a gain is a paired bootstrap over users (Efron & Tibshirani 1993): rows of
one user are drawn together (cluster bootstrap; Field & Welsh 2007, doi
10.1111/j.1467-9868.2007.00593.x). Its percentiles are expanded by Student's t (Hesterberg 2015,
doi 10.1080/00031305.2015.1089789), because plain percentiles are too narrow with few
positives. ``benchmarks/verdict_coverage.py`` measures how often the interval holds the true gain.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from behavior_spark.model.arrays import Doubles
from behavior_spark.model.measures.bootstrap import percentile_interval, resampled
from behavior_spark.model.propensity.target_kind import Measure

Answer = Literal["yes", "no", "cannot tell"]
CHANCE = "chance"
LEVEL = 0.95
# With fewer users of the rarer outcome intervals are too narrow (see the benchmark): none is given.
LEAST_USERS = 5


@dataclass(frozen=True)
class Gain:
    """What a model gains over a rival on held-out rows, with a 95 % interval.

    Attributes:
        value: Measure of the model minus that of the rival; NaN if it is not defined.
        low: Lower end of the interval; NaN if there are too few rows for one.
        high: Upper end.
        as_chance: Whether the rival is a baseline below chance, which counts as chance.
    """

    value: float
    low: float
    high: float
    as_chance: bool = False

    @property
    def answer(self) -> Answer:
        """Whether the model is better: ``yes`` above zero, ``no`` below, else ``cannot tell``."""
        if self.low > 0:
            return "yes"
        return "no" if self.high < 0 else "cannot tell"

    def figures(self) -> dict[str, float]:
        """``value``, ``low`` and ``high``."""
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class TargetVerdict:
    """What a model gains over chance and over each baseline.

    Attributes:
        measure: Name of the measure, such as ``roc_auc``.
        title: Its title for readers, such as AUC.
        rows: Number of held-out rows.
        gains: By rival: ``chance`` first, then the baselines.
    """

    measure: str
    title: str
    rows: int
    gains: Mapping[str, Gain]

    @property
    def answers(self) -> dict[str, Answer]:
        """The answer to "better than this rival?" of each."""
        return {rival: gain.answer for rival, gain in self.gains.items()}

    @property
    def better_than_chance(self) -> Answer:
        """Only ``yes`` is reason enough to rank users."""
        return self.gains[CHANCE].answer

    def to_json(self) -> dict[str, Any]:
        """JSON values, from which :meth:`from_json` restores the verdict."""
        gains = {
            rival: {**asdict(gain), "answer": gain.answer} for rival, gain in self.gains.items()
        }
        return {**vars(self), "gains": gains}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The verdict from the values of :meth:`to_json`."""
        fields = ("value", "low", "high", "as_chance")
        gains = {
            rival: Gain(**{key: gain[key] for key in fields})
            for rival, gain in data["gains"].items()
        }
        return cls(data["measure"], data["title"], data["rows"], gains)


def judge(
    measure: Measure,
    labels: Doubles,
    model: Doubles,
    rivals: Mapping[str, Doubles],
    *,
    weights: Doubles | None = None,
    users: npt.ArrayLike | None = None,
    resamples: int = 1000,
) -> TargetVerdict | None:
    """Compare a model with chance and with its baselines on rows that it has not learned from.

    Args:
        measure: Measure to compare by; higher is better.
        labels: Labels, float64 (rows,).
        model: What ``measure`` measures of the model: margins or predictions, float64 (rows,).
        rivals: The same of each baseline, float64 (rows,).
        weights: Number of rows that each row represents, float64 (rows,); 1 by default.
        users: User of each row, (rows,), if a user may have several; sort rows by it, so that
            the interval does not depend on their order.
        resamples: Number of bootstrap resamples.

    Returns:
        The verdict; None if the measure does not say what chance is.
    """
    if measure.chance is None:
        return None
    chance = measure.chance
    values = [model, *rivals.values()]
    draws = resampled(
        measure.metric, labels, list(values), weights=weights, users=users, resamples=resamples
    )
    counted = {} if weights is None else {"weights": weights}
    measured = [measure.metric(labels, scores, **counted) for scores in values]
    level = expanded_level(_informative(labels, users))
    gains = {CHANCE: _gain(measured[0] - chance, draws[0] - chance, level)}
    for name, value, draw in zip(rivals, measured[1:], draws[1:], strict=True):
        if not value >= chance:
            over = gains[CHANCE]
            gains[name] = Gain(over.value, over.low, over.high, as_chance=True)
        else:
            gains[name] = _gain(measured[0] - value, draws[0] - draw, level)
    return TargetVerdict(measure.name, measure.title, len(labels), gains)


def expanded_level(observations: int) -> float:
    """Level of percentiles that covers 95 % with so few observations; NaN below five.

    It is ``2 * Phi(sqrt(n / (n - 1)) * t) - 1``, with t the quantile of Student's distribution
    of n - 1 degrees of freedom (Hesterberg 2015).

    >>> round(expanded_level(10), 4), round(expanded_level(1_000_000), 4)
    (0.9829, 0.95)
    """
    if observations < LEAST_USERS:
        return math.nan
    from scipy.stats import norm, t

    quantile = float(t.ppf((1 + LEVEL) / 2, observations - 1))
    return float(2 * norm.cdf(math.sqrt(observations / (observations - 1)) * quantile) - 1)


def _informative(labels: Doubles, users: npt.ArrayLike | None) -> int:
    """Number of users of the rarer outcome; of labels that are numbers, of those above 0."""
    names = np.arange(len(labels)) if users is None else np.asarray(users)
    above = len(np.unique(names[labels > 0]))
    if not np.isin(labels, (0.0, 1.0)).all():
        return above
    return min(above, len(np.unique(names[labels <= 0])))


def _gain(value: float, draws: Doubles, level: float) -> Gain:
    if math.isnan(level) or math.isnan(value):
        return Gain(value, math.nan, math.nan)
    return Gain(value, *percentile_interval(draws, level))
