"""Boosted trees (XGBoost, Chen & Guestrin 2016): their settings, fitting and margins."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_spark.model.arrays import Doubles

if TYPE_CHECKING:
    import xgboost


SMALL_ENOUGH_FOR_ONE_THREAD = 100_000


@dataclass(frozen=True)
class TrainingOptions:
    """Settings of the boosted trees; one default for every log and target.

    The defaults sit on a plateau of rolling-origin checks (a shop, July to September 2011;
    a forum, May and June 2018). `min_child_weight` above 10 left the forum's first weeks
    (about 200 users) without a single split. `threads` 0 means one below 100,000 rows and
    all cores above; the trees are the same bit for bit.
    """

    learning_rate: float = 0.03
    rounds: int = 200
    max_depth: int = 4
    min_child_weight: float = 5.0
    subsample: float = 0.6
    colsample: float = 0.3
    l2: float = 5.0
    seed: int = 0
    threads: int = 0

    def parameters(self) -> dict[str, Any]:
        """The same settings under XGBoost's names (threads and rounds apart)."""
        return {
            "objective": "binary:logistic",
            "tree_method": "hist",
            "learning_rate": self.learning_rate,
            "max_depth": self.max_depth,
            "min_child_weight": self.min_child_weight,
            "subsample": self.subsample,
            "colsample_bytree": self.colsample,
            "reg_lambda": self.l2,
            "seed": self.seed,
            "verbosity": 0,
        }


def fit_trees(
    values: Doubles,
    labels: Doubles,
    options: TrainingOptions,
    *,
    weights: Doubles | None = None,
) -> xgboost.Booster:
    """Fit boosted trees to labels 0 and 1; a row counts ``weights`` times (default: once)."""
    import xgboost

    small = len(labels) < SMALL_ENOUGH_FOR_ONE_THREAD
    threads = options.threads or (1 if small else os.cpu_count() or 1)
    data = xgboost.DMatrix(values, label=labels, weight=weights, nthread=threads)
    settings = options.parameters() | {"nthread": threads}
    return xgboost.train(settings, data, num_boost_round=options.rounds)


def tree_margins(trees: xgboost.Booster, values: Doubles) -> Doubles:
    """Uncalibrated log-odds, float64 of shape (rows,)."""
    if not len(values):
        return np.empty(0)
    import xgboost

    data = xgboost.DMatrix(values, nthread=1)
    return np.asarray(trees.predict(data, output_margin=True), dtype=np.float64)
