"""What learns a target from features: the protocol of learners, found by their names."""

from __future__ import annotations

from typing import Any, Literal, Protocol, cast

from behavior_spark.extensions import LEARNERS
from behavior_spark.model.arrays import Doubles, Floats

Loss = Literal["logistic", "poisson", "tweedie"]
"""What is minimised. The margin is the log-odds (logistic) or the logarithm of the mean."""

DEFAULT_LEARNER = "xgboost"


class FittedLearner(Protocol):
    """A learner that has learned. Every row stands for itself: batches do not matter."""

    def margins(self, values: Floats) -> Doubles:
        """Float64 (rows,) from float32 (rows, features), NaN where a value is not known."""

    def contributions(self, values: Floats) -> Doubles:
        """Float64 (rows, features): each row adds up to its margin less one constant."""

    def to_bytes(self) -> bytes:
        """All there is to it; ``Learner.load`` reads it. Equal learners give equal bytes."""


class Learner(Protocol):
    """A way to learn. A module of ``learners`` holds one as ``LEARNER``; equal ones compare equal.

    Models go to Spark's workers together with their learner, so it can be pickled.
    """

    @property
    def name(self) -> str:
        """As in ``training.learner``; the module's name."""

    @property
    def file(self) -> str:
        """Name of the file that holds its bytes in a model's folder."""

    @property
    def losses(self) -> frozenset[Loss]:
        """Losses it can minimise."""

    def make_options(self, **changes: Any) -> Any:
        """Its settings, a frozen dataclass of plain values with a ``seed``; defaults but for these.

        Raises:
            TypeError: It has no such setting.
        """

    def fit(
        self, values: Floats, labels: Doubles, *, weights: Doubles, options: Any, loss: Loss
    ) -> FittedLearner:
        """Learn labels (rows,) from values (rows, features).

        A row counts as often as its weight says. Equal arguments give equal learners.
        """

    def load(self, content: bytes) -> FittedLearner:
        """The learner that ``to_bytes`` wrote."""


def find_learner(name: str) -> Learner:
    """The learner of a name.

    Raises:
        ConfigError: There is none; it names those that are.
    """
    return cast(Learner, LEARNERS.load(name))
