"""What differs between kinds of target once their labels are numbers; found by their names.

A kind has two halves: this one, which knows no Spark, and the outcome
(``behavior_spark.features.targets.TargetOutcome``), which makes labels of events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

from behavior_spark.extensions import TARGET_KINDS
from behavior_spark.model.arrays import Bools, Doubles
from behavior_spark.model.measures.ranking import Metric
from behavior_spark.model.propensity.learner import Loss

DEFAULT_KIND = "does"


@dataclass(frozen=True)
class Measure:
    """One figure of how good predictions are.

    Attributes:
        name: In a model's metrics and in ``runs``.
        title: For people.
        metric: Of labels and values, with weights; one that ``bootstrap_interval`` takes.
        of: The values: margins (how users rank; calibration may tie them), or predictions.
    """

    name: str
    title: str
    metric: Metric
    of: Literal["margin", "prediction"] = "margin"


class MarginCalibrator(Protocol):
    """A non-decreasing map from margins to predictions, fitted on rows the model has not seen."""

    def predict(self, margins: Any) -> Doubles:
        """Predictions in the label's unit, float64 (n,), for margins (n,)."""

    def to_json(self) -> dict[str, Any]:
        """Plain data for ``json.dumps``; floats survive it exactly."""


class TargetKind(Protocol):
    """The half of a kind of target that knows no Spark. A module of ``kinds`` holds it as ``KIND``.

    Equal ones compare equal. Models go to Spark's workers together with it, so it can be pickled.
    """

    @property
    def name(self) -> str:
        """As in ``targets.NAME.kind``; the module's name."""

    @property
    def loss(self) -> Loss:
        """What the learner minimises."""

    @property
    def label_words(self) -> str:
        """What a label may be, for messages."""

    @property
    def shortage(self) -> str:
        """What rows have too little of where ``enough`` says no, for messages."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        """How good predictions are; by the first, a model is compared with its baselines."""

    @property
    def baselines(self) -> Mapping[str, tuple[str, ...]]:
        """What a model is compared with: by name, which of the baseline's columns it reads.

        ``recency``, ``frequency``, ``value`` of all events; ``past``: of the target's own.
        """

    def are_labels(self, labels: Doubles) -> Bools:
        """Whether each number, float64 (n,), may be a label; NaN is none."""

    def enough(self, labels: Doubles) -> bool:
        """Whether these rows can be learned from and measured on at all."""

    def evidence(self, labels: Doubles) -> int:
        """How many rows a model's knowledge rests on; ``training.min_positives`` bounds it."""

    @property
    def evidence_words(self) -> str:
        """What ``evidence`` counts, for messages."""

    def fit_calibrator(
        self, margins: Doubles, labels: Doubles, *, weights: Doubles, choice: str
    ) -> MarginCalibrator:
        """From margins of unseen rows to predictions; ``choice`` is ``training.calibration``."""

    def read_calibrator(self, data: dict[str, Any]) -> MarginCalibrator:
        """The calibrator that ``to_json`` wrote."""

    def fit_linear(
        self, design: Doubles, labels: Doubles, *, weights: Doubles
    ) -> tuple[Doubles, float]:
        """A baseline: coefficients (columns,) and intercept of the margin, from standardised
        columns (rows, columns).
        """

    def from_margins(self, margins: Doubles) -> Doubles:
        """Predictions that margins stand for where nothing is calibrated: the inverse link."""

    @property
    def predicted(self) -> str:
        """Column of ``user_propensity`` that holds the calibrated prediction."""

    def prediction_columns(self, calibrator: Any, margins: Doubles) -> Mapping[str, Doubles]:
        """Columns of ``user_propensity`` that say what is predicted; those left out are null.

        Args:
            calibrator: Of this kind.
            margins: Float64 (n,).
        """


def find_target_kind(name: str) -> TargetKind:
    """The kind of a name.

    Raises:
        ConfigError: There is none; it names those that are.
    """
    return cast(TargetKind, TARGET_KINDS.load(name))
