"""Target kind ``does``: whether (1) or not (0) a user does it within the horizon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np

from behavior_spark.model.arrays import Bools, Doubles
from behavior_spark.model.measures import ranking as metrics
from behavior_spark.model.propensity.baselines import BASELINES
from behavior_spark.model.propensity.calibration import (
    CalibrationChoice,
    Calibrator,
    fit_calibrator,
)
from behavior_spark.model.propensity.learner import Loss
from behavior_spark.model.propensity.target_kind import Measure, TargetKind


@dataclass(frozen=True)
class YesOrNo:
    """Outcomes are 0 or 1; margins are log-odds, and predictions calibrated probabilities."""

    name: str
    loss: Loss = "logistic"
    label_words: str = "0 or 1"
    shortage: str = "one outcome only"
    evidence_words: str = "positives"
    predicted: str = "probability"
    baselines: ClassVar[Mapping[str, tuple[str, ...]]] = BASELINES
    measures: ClassVar[tuple[Measure, ...]] = (
        Measure("roc_auc", "AUC", metrics.roc_auc, chance=0.5),
        Measure("average_precision", "average precision", metrics.average_precision),
        Measure("lift_at_10pct", "lift at 10 %", metrics.lift_at),
        Measure(
            "expected_calibration_error",
            "calibration error",
            metrics.expected_calibration_error,
            of="prediction",
        ),
    )

    def are_labels(self, labels: Doubles) -> Bools:
        """Whether a number is 0 or 1."""
        return np.isin(labels, (0.0, 1.0))

    def enough(self, labels: Doubles) -> bool:
        """Whether both outcomes occur."""
        return bool(0 < labels.sum() < labels.size)

    def evidence(self, labels: Doubles) -> int:
        """Number of positives."""
        return int(labels.sum())

    def fit_calibrator(
        self, margins: Doubles, labels: Doubles, *, weights: Doubles, choice: str
    ) -> Calibrator:
        """Fit Platt's sigmoid or isotonic regression; see :func:`.calibration.fit_calibrator`."""
        kind = cast(CalibrationChoice, choice)
        return fit_calibrator(margins, labels, kind=kind, weights=weights)

    def read_calibrator(self, data: dict[str, Any]) -> Calibrator:
        """The calibrator from its JSON values."""
        return Calibrator.from_json(data)

    def fit_linear(
        self, design: Doubles, labels: Doubles, *, weights: Doubles
    ) -> tuple[Doubles, float]:
        """Fit a logistic regression (L2, C = 1)."""
        from sklearn.linear_model import LogisticRegression

        fitted = LogisticRegression(max_iter=1000).fit(design, labels, weights)
        return fitted.coef_[0], float(fitted.intercept_[0])

    def from_margins(self, margins: Doubles) -> Doubles:
        """sigmoid(margin)."""
        return np.asarray(1 / (1 + np.exp(-margins)))

    def prediction_columns(self, calibrator: Calibrator, margins: Doubles) -> Mapping[str, Doubles]:
        """Column ``probability``."""
        return {self.predicted: calibrator.predict(margins)}


KIND: TargetKind = YesOrNo("does")
