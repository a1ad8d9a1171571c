"""Target kind ``count``: number of a user's events within the horizon, with an interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from behavior_spark.model.arrays import Bools, Doubles
from behavior_spark.model.measures import amounts
from behavior_spark.model.propensity.amount_calibration import AmountCalibrator, fit_amounts
from behavior_spark.model.propensity.baselines import BASELINES, OWN_PAST
from behavior_spark.model.propensity.learner import Loss
from behavior_spark.model.propensity.target_kind import Measure, TargetKind

BASELINE_L2 = 1e-3


@dataclass(frozen=True)
class HowMuch:
    """Outcomes are numbers of at least 0; margins are logarithms of their mean.

    Attributes:
        name: Name of the kind.
        loss: Loss that the learner minimises.
        power: Power of the Tweedie variance function (Jorgensen 1987): 1 for counts, between 1
            and 2 for amounts that are often 0.
        label_words: See :class:`.target_kind.TargetKind`, also for the other attributes.
    """

    name: str
    loss: Loss
    power: float
    label_words: str = "with numbers of at least 0"
    shortage: str = "no numbers that differ"
    evidence_words: str = "rows above 0"
    predicted: str = "expected"
    baselines: ClassVar[Mapping[str, tuple[str, ...]]] = {**BASELINES, **OWN_PAST}
    measures: ClassVar[tuple[Measure, ...]] = (
        Measure("spearman", "Spearman correlation", amounts.spearman, chance=0.0),
        Measure(
            "mean_absolute_error",
            "mean absolute error",
            amounts.mean_absolute_error,
            of="prediction",
        ),
        Measure("top_decile_gain", "gain of the top tenth", amounts.top_decile_gain),
        Measure("roc_auc", "AUC of any", amounts.roc_auc_of_any),
    )

    def are_labels(self, labels: Doubles) -> Bools:
        """Whether a number is finite and at least 0."""
        with np.errstate(invalid="ignore"):
            return np.isfinite(labels) & (labels >= 0)

    def enough(self, labels: Doubles) -> bool:
        """Whether there are two different labels."""
        return bool(labels.size and labels.min() < labels.max())

    def evidence(self, labels: Doubles) -> int:
        """Number of labels above 0."""
        return int((labels > 0).sum())

    def fit_calibrator(
        self, margins: Doubles, labels: Doubles, *, weights: Doubles, choice: str
    ) -> AmountCalibrator:
        """Fit a factor that makes the total right, and a conformal interval. Ignores ``choice``."""
        return fit_amounts(margins, labels, weights=weights, power=self.power)

    def read_calibrator(self, data: dict[str, Any]) -> AmountCalibrator:
        """The calibrator from its JSON values."""
        return AmountCalibrator.from_json(data)

    def fit_linear(
        self, design: Doubles, labels: Doubles, *, weights: Doubles
    ) -> tuple[Doubles, float]:
        """Fit a Tweedie regression with a log link."""
        from sklearn.linear_model import TweedieRegressor

        model = TweedieRegressor(power=self.power, alpha=BASELINE_L2, link="log", max_iter=1000)
        fitted = model.fit(design, labels, weights)
        return np.asarray(fitted.coef_, dtype=np.float64), float(fitted.intercept_)

    def from_margins(self, margins: Doubles) -> Doubles:
        """exp(margin)."""
        return np.exp(margins)

    def prediction_columns(
        self, calibrator: AmountCalibrator, margins: Doubles
    ) -> Mapping[str, Doubles]:
        """Columns ``expected``, ``expected_low`` and ``expected_high``."""
        low, high = calibrator.interval(margins)
        expected = calibrator.predict(margins)
        return {self.predicted: expected, "expected_low": low, "expected_high": high}


KIND: TargetKind = HowMuch("count", loss="poisson", power=1.0)
