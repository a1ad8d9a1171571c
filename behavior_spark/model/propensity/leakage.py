"""Checks for leakage in a training set: AUC of single features, training on shuffled outcomes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from behavior_spark.errors import ModelError
from behavior_spark.model.propensity.feature_matrix import feature_matrix
from behavior_spark.model.propensity.learner import DEFAULT_LEARNER, find_learner
from behavior_spark.model.propensity.target_kind import DEFAULT_KIND
from behavior_spark.model.propensity.training import train_propensity_model

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ShuffledLabels:
    """AUC of a model that was trained on shuffled outcomes.

    Attributes:
        target: Name of the target.
        auc: AUC on held-out rows with shuffled outcomes.
        low: Lower end of the AUCs that are explained by chance.
        high: Upper end of the AUCs that are explained by chance.
    """

    target: str
    auc: float
    low: float
    high: float

    @property
    def by_chance(self) -> bool:
        """Whether the AUC can be explained by chance, as it must be without leakage."""
        return self.low <= self.auc <= self.high


def feature_aucs(
    frame: pd.DataFrame, features: Sequence[str], label: str
) -> npt.NDArray[np.float64]:
    """AUC of each feature alone, float64 (features,), by its rank sum (Mann and Whitney 1947).

    Ties count half, and a missing value has the lowest rank. NaN if all labels have one class.

    Args:
        frame: Rows with the features and the label.
        features: Feature columns.
        label: Column of the label; a label above 0 is a positive.
    """
    import pandas as pd

    values = pd.DataFrame(feature_matrix(frame, features, label))
    ranks = values.rank(method="average", na_option="top").to_numpy()
    truth = (frame[label].to_numpy(dtype=np.float64) > 0).astype(np.float64)
    positives, negatives = truth.sum(), (1 - truth).sum()
    won = truth @ ranks - positives * (positives + 1) / 2
    with np.errstate(invalid="ignore", divide="ignore"):
        aucs: npt.NDArray[np.float64] = won / (positives * negatives)
    return aucs


def train_on_shuffled_labels(
    frame: pd.DataFrame,
    *,
    target: str,
    features: Sequence[str],
    horizon_days: int,
    deviations: float,
    seed: int,
    kind: str = DEFAULT_KIND,
    learner: str = DEFAULT_LEARNER,
) -> ShuffledLabels:
    """Train and measure a model in the usual way, on labels shuffled within each as-of day.

    An AUC is explained by chance if it is within ``deviations`` standard deviations of 0.5. The
    standard deviation is sqrt((p + n + 1) / (12 p n)), with p positives and n negatives held out
    (Mann and Whitney 1947).

    Args:
        frame: ``user_id, as_of``, features and ``label_<target>``.
        target: Name of the target.
        features: Feature columns.
        horizon_days: Horizon of the target.
        deviations: Number of standard deviations that chance explains.
        seed: Seed of the shuffling and of the training.
        kind: Name of the kind of target.
        learner: Name of the learner.

    Raises:
        ModelError: The rows cannot be trained on, or the held-out labels have one class.
    """
    label = f"label_{target}"
    generator = np.random.default_rng(seed)
    shuffled = frame.sort_values(["as_of", "user_id"]).copy()
    shuffled[label] = shuffled.groupby("as_of")[label].transform(
        lambda labels: generator.permutation(labels.to_numpy())
    )
    model = train_propensity_model(
        shuffled,
        target=target,
        features=features,
        label=label,
        as_of="as_of",
        horizon_days=horizon_days,
        kind=kind,
        learner=learner,
        options=find_learner(learner).make_options(seed=seed),
        resamples=50,
    )
    holdout = model.metrics["holdout"]
    spread = deviations * _chance_deviation(target, holdout["rows"], holdout["positives"])
    auc = holdout["roc_auc"]["value"]
    return ShuffledLabels(target, auc, low=0.5 - spread, high=0.5 + spread)


def _chance_deviation(target: str, rows: int, positives: int) -> float:
    """Standard deviation of the AUC of random scores (Mann and Whitney 1947).

    Raises:
        ModelError: The rows have one class.
    """
    negatives = rows - positives
    if not positives or not negatives:
        raise ModelError(
            f"the AUC on shuffled outcomes of target {target!r} is not defined",
            found=f"{positives} of {rows} held-out rows are positive",
            fix="a shorter horizon leaves some users without an event",
        )
    return math.sqrt((rows + 1) / (12 * positives * negatives))
