"""Signs of leakage in a training set: features that rank too well, labels that mean nothing."""

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
    """A model trained on labels that were shuffled.

    Attributes:
        target: Whose labels.
        auc: Its AUC on held-out rows with shuffled labels.
        low: Least AUC that chance explains.
        high: Largest AUC that chance explains.
    """

    target: str
    auc: float
    low: float
    high: float

    @property
    def by_chance(self) -> bool:
        """Whether the AUC is what labels without meaning give."""
        return self.low <= self.auc <= self.high


def feature_aucs(
    frame: pd.DataFrame, features: Sequence[str], label: str
) -> npt.NDArray[np.float64]:
    """AUC of each feature alone, shape (features,): the rank-sum statistic of all at once.

    A label above 0 is a positive. Ties count half, a missing value ranks lowest (Mann and Whitney
    1947). NaN where the label has one class.
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
    """Train as ever, on labels shuffled within each as-of day, and measure as ever.

    Chance allows ``deviations`` standard deviations of the AUC of two equal classes,
    sqrt((p + n + 1) / 12 p n) with p positives and n negatives held out.

    Args:
        frame: ``user_id, as_of``, features and ``label_<target>``.
        target: Its name.
        features: Columns to learn from.
        horizon_days: Of the target.
        deviations: How far chance may go.
        seed: Of the shuffling and of the training.
        kind: Of the target.
        learner: That learns it.

    Raises:
        ModelError: The rows cannot be learnt from, shuffled or not.
    """
    label = f"label_{target}"
    dice = np.random.default_rng(seed)
    shuffled = frame.sort_values(["as_of", "user_id"]).copy()
    shuffled[label] = shuffled.groupby("as_of")[label].transform(
        lambda labels: dice.permutation(labels.to_numpy())
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
    held = model.metrics["holdout"]
    positives = held["positives"]
    negatives = held["rows"] - positives
    if not positives or not negatives:
        raise ModelError(
            f"shuffled labels of target {target!r} tell nothing",
            found=f"{positives} of {held['rows']} held-out rows are positive",
            fix="a shorter horizon leaves some users without an event",
        )
    spread = math.sqrt((positives + negatives + 1) / (12 * positives * negatives))
    return ShuffledLabels(
        target=target,
        auc=held["roc_auc"]["value"],
        low=0.5 - deviations * spread,
        high=0.5 + deviations * spread,
    )
