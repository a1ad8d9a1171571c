"""The protocol of learners, which learn a target from features, and their lookup by name."""

from __future__ import annotations

from typing import Any, Literal, Protocol, cast

from behavior_spark.extensions import LEARNERS
from behavior_spark.model.arrays import Doubles, Floats

Loss = Literal["logistic", "poisson", "tweedie"]
"""Training loss. The margin is the log-odds (logistic) or the logarithm of the mean (others)."""

DEFAULT_LEARNER = "xgboost"
BASE_RATE = "base_rate"  # takes the place of a model that is not better than chance


class FittedLearner(Protocol):
    """A fitted learner. The prediction of a row does not depend on other rows."""

    def margins(self, values: Floats) -> Doubles:
        """Margins, float64 (rows,), of values, float32 (rows, features); NaN is a missing value."""

    def contributions(self, values: Floats) -> Doubles:
        """Contribution of each feature to the margin, float64 (rows, features).

        The sum of a row is its margin minus a constant that is the same for all rows.
        """

    def to_bytes(self) -> bytes:
        """The fitted learner as bytes, for ``Learner.load``. Equal learners give equal bytes."""


class Learner(Protocol):
    """A learning algorithm. A module of ``learners`` defines one as ``LEARNER``.

    Learners can be pickled, since they are sent to Spark's workers with their models, and are
    compared by value. One that can fit a ``MatrixOnDisk`` says so by an attribute ``reads_disk``.
    """

    @property
    def name(self) -> str:
        """Name in ``training.learner``; the same as its module's."""

    @property
    def file(self) -> str:
        """Name of the file with its bytes in a model's folder."""

    @property
    def losses(self) -> frozenset[Loss]:
        """Losses that it can minimise."""

    def make_options(self, **changes: Any) -> Any:
        """Settings with defaults except for ``changes``.

        Returns:
            A frozen dataclass of JSON values, with a field ``seed``.

        Raises:
            TypeError: There is no setting with a name in ``changes``.
        """

    def fit(
        self, values: Floats, labels: Doubles, *, weights: Doubles, options: Any, loss: Loss
    ) -> FittedLearner:
        """Fit to values (rows, features) and labels (rows,). Equal arguments give equal results.

        Args:
            values: Features, float32 (rows, features); NaN is a missing value.
            labels: Labels, float64 (rows,).
            weights: How often each row counts, float64 (rows,).
            options: Settings from :meth:`make_options`.
            loss: Loss to minimise, one of :attr:`losses`.
        """

    def load(self, content: bytes) -> FittedLearner:
        """The fitted learner from the bytes of ``FittedLearner.to_bytes``."""


def find_learner(name: str) -> Learner:
    """The learner with a name.

    Raises:
        ConfigError: There is no such learner; the message lists the learners there are.
    """
    return cast(Learner, LEARNERS.load(name))
