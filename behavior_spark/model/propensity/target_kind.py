"""The protocol of a kind of target, and the lookup of kinds by name.

A kind has two parts: this one works on labels as numbers and does not use Spark; the other
(``behavior_spark.features.targets.TargetOutcome``) computes labels from events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

from behavior_spark.extensions import TARGET_KINDS
from behavior_spark.model.arrays import Bools, Doubles
from behavior_spark.model.measures.metric import Metric
from behavior_spark.model.propensity.learner import Loss

DEFAULT_KIND = "does"


@dataclass(frozen=True)
class Measure:
    """A measure of the quality of predictions.

    Attributes:
        name: Name in a model's metrics and in ``runs``.
        title: Title for readers.
        metric: Function of labels, values and weights, for ``bootstrap_interval``.
        of: Values that are measured: margins (for ranking, because calibration may make ties) or
            predictions.
        chance: Its value if users are ranked by chance. The first measure of a kind needs it for
            the target's verdict; without it there is none.
    """

    name: str
    title: str
    metric: Metric
    of: Literal["margin", "prediction"] = "margin"
    chance: float | None = None


class MarginCalibrator(Protocol):
    """A non-decreasing function from margins to predictions.

    It is fitted on rows that the model was not trained on.
    """

    def predict(self, margins: Any) -> Doubles:
        """Predictions in the label's unit, float64 (n,), for margins (n,)."""

    def to_json(self) -> dict[str, Any]:
        """JSON values, from which ``read_calibrator`` restores floats exactly."""


class TargetKind(Protocol):
    """A kind of target: its loss, measures, baselines and calibration.

    A module of ``kinds`` defines one as ``KIND``. Kinds can be pickled, since they are sent to
    Spark's workers with their models, and are compared by value.
    """

    @property
    def name(self) -> str:
        """Name in ``targets.NAME.kind``; the same as its module's."""

    @property
    def loss(self) -> Loss:
        """Loss that the learner minimises."""

    @property
    def label_words(self) -> str:
        """Allowed labels in words, for messages."""

    @property
    def shortage(self) -> str:
        """What is wrong with rows for which ``enough`` is False, for messages."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Measures of predictions.

        The first compares a model with chance and with its baselines: higher must be better.
        """

    @property
    def baselines(self) -> Mapping[str, tuple[str, ...]]:
        """Baselines by name, each with the roles of the columns that it reads.

        Roles: ``recency``, ``frequency`` and ``value`` of all events; ``past``, of the target's
        own events.
        """

    def are_labels(self, labels: Doubles) -> Bools:
        """Whether each number, float64 (n,), is an allowed label, bool (n,); NaN is not."""

    def enough(self, labels: Doubles) -> bool:
        """Whether rows with these labels, float64 (n,), can be used for training and measuring."""

    def evidence(self, labels: Doubles) -> int:
        """Number of informative rows; ``training.min_positives`` is its minimum."""

    @property
    def evidence_words(self) -> str:
        """The rows that ``evidence`` counts, in words, for messages."""

    def fit_calibrator(
        self, margins: Doubles, labels: Doubles, *, weights: Doubles, choice: str
    ) -> MarginCalibrator:
        """Fit a calibrator on margins (n,) and labels (n,) of rows not used in training.

        ``choice`` is ``training.calibration``.
        """

    def read_calibrator(self, data: dict[str, Any]) -> MarginCalibrator:
        """The calibrator from the values of its ``to_json``."""

    def fit_linear(
        self, design: Doubles, labels: Doubles, *, weights: Doubles
    ) -> tuple[Doubles, float]:
        """Fit a linear baseline to standardised columns, float64 (rows, columns).

        Returns:
            Coefficients (columns,) and intercept of the margin.
        """

    def from_margins(self, margins: Doubles) -> Doubles:
        """Predictions of margins without calibration, float64 (n,): the inverse link function."""

    @property
    def predicted(self) -> str:
        """Column of ``user_propensity`` with the calibrated prediction."""

    def prediction_columns(self, calibrator: Any, margins: Doubles) -> Mapping[str, Doubles]:
        """Columns of ``user_propensity`` with the predictions; other prediction columns are null.

        Args:
            calibrator: Calibrator of this kind.
            margins: Margins, float64 (n,).
        """


def find_target_kind(name: str) -> TargetKind:
    """The kind of target with a name.

    Raises:
        ConfigError: There is no such kind; the message lists the kinds there are.
    """
    return cast(TargetKind, TARGET_KINDS.load(name))
