"""Boosted trees: XGBoost (Chen and Guestrin 2016, arXiv 1603.02754)."""

from __future__ import annotations

import json
import math
import os
import tempfile
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_spark.model.arrays import Doubles, Floats
from behavior_spark.model.propensity.learner import Learner, Loss
from behavior_spark.model.propensity.matrix_on_disk import Matrix, MatrixOnDisk
from behavior_spark.model.propensity.tree_contributions import TreeContributions
from behavior_spark.model.propensity.tree_steps import TreeSteps

if TYPE_CHECKING:
    import xgboost


SMALL_ENOUGH_FOR_ONE_THREAD = 100_000
_OBJECTIVES: dict[Loss, str] = {
    "logistic": "binary:logistic",
    "poisson": "count:poisson",
    "tweedie": "reg:tweedie",
}
# Amounts are divided by a unit so that their mean is this number, about the Hessian of a row with
# a yes-or-no outcome. So settings such as min_child_weight have the same effect in any currency.
_MEAN_AMOUNT = 0.25
_LOG_UNIT = "log_unit"
# A leaf needs no larger share of the Hessian of all rows than this, whatever min_child_weight says:
# else a few hundred rows with a rare outcome give trees without a split.
_LEAST_LEAF_SHARE = 0.04


@dataclass(frozen=True)
class TrainingOptions:
    """Settings of the boosted trees; the defaults are the same for every log and target.

    In rolling-origin checks (a shop, July to September 2011; a forum, May and June 2018) nearby
    settings gave similar results. With `min_child_weight` above 10, trees for the forum's first
    weeks (about 200 users) had no split; small training sets lower it (`least_leaf`). `threads=0`
    means one thread below 100,000 rows and all cores above; the trees do not depend on the number
    of threads.
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
        """The settings under XGBoost's names, without objective, threads and rounds."""
        return {
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


@dataclass(frozen=True)
class FittedTrees:
    """Fitted trees in XGBoost's binary format (UBJ). Predictions use one thread."""

    content: bytes

    def margins(self, values: Floats) -> Doubles:
        """Margins, float64 (rows,): log-odds, or the logarithm of the mean."""
        if not len(values):
            return np.empty(0)
        return self._predict(values, output_margin=True) + self._log_unit

    def contributions(self, values: Floats) -> Doubles:
        """SHAP values, float64 (rows, features), without the bias.

        TreeSHAP: Lundberg et al. 2020, doi 10.1038/s42256-019-0138-9. From tables, which are made
        once for a process; of trees that are too deep for them by XGBoost.
        """
        if not len(values):
            return np.empty(values.shape)
        tables = contribution_tables(self.content)
        if tables is not None:
            return tables.contributions(values)
        return self._predict(values, pred_contribs=True)[:, :-1]

    @cached_property
    def steps(self) -> TreeSteps:
        """The trees as step functions of one feature."""
        return TreeSteps.of(_trees_of(self._booster))

    def to_bytes(self) -> bytes:
        """The trees in XGBoost's binary format."""
        return self.content

    def _predict(self, values: Floats, **flags: bool) -> Doubles:
        import xgboost

        data = xgboost.DMatrix(values, nthread=1)
        return np.asarray(self._booster.predict(data, **flags), dtype=np.float64)

    @cached_property
    def _log_unit(self) -> float:
        return float(self._booster.attr(_LOG_UNIT) or 0.0)

    @cached_property
    def _booster(self) -> xgboost.Booster:
        import xgboost

        booster = xgboost.Booster({"nthread": 1})
        booster.load_model(bytearray(self.content))
        return booster


def _trees_of(booster: xgboost.Booster) -> list[dict[str, Any]]:
    model = json.loads(booster.save_raw("json"))
    trees: list[dict[str, Any]] = model["learner"]["gradient_booster"]["model"]["trees"]
    return trees


@lru_cache(maxsize=32)
def contribution_tables(content: bytes) -> TreeContributions | None:
    """Tables of contributions of fitted trees; one process makes them once for a model."""
    return TreeContributions.of(_trees_of(FittedTrees(content)._booster))


@dataclass(frozen=True)
class BoostedTrees:
    """The learner ``xgboost``; see ``Learner``."""

    name: str = "xgboost"
    file: str = "booster.ubj"
    losses: frozenset[Loss] = frozenset(_OBJECTIVES)
    reads_disk: bool = True

    def make_options(self, **changes: Any) -> TrainingOptions:
        """Settings with defaults except for ``changes``."""
        return TrainingOptions(**changes)

    def fit(
        self,
        values: Matrix,
        labels: Doubles,
        *,
        weights: Doubles | None = None,
        options: TrainingOptions,
        loss: Loss = "logistic",
    ) -> FittedTrees:
        """Fit boosted trees; see :meth:`.learner.Learner.fit`.

        Of values on disk XGBoost keeps a byte for each in files of its own (external memory:
        ``ExtMemQuantileDMatrix``); the trees are not quite those of the same rows in memory,
        because quantiles of streams are approximate.
        """
        import xgboost

        small = len(labels) < SMALL_ENOUGH_FOR_ONE_THREAD
        threads = options.threads or (1 if small else os.cpu_count() or 1)
        unit = 1.0
        if loss == "tweedie":
            unit = float(np.average(labels, weights=weights)) / _MEAN_AMOUNT
            labels = labels / unit
        settings = {
            "objective": _OBJECTIVES[loss],
            **options.parameters(),
            "min_child_weight": least_leaf(labels, weights, options=options, loss=loss),
            "nthread": threads,
        }
        if isinstance(values, MatrixOnDisk):
            booster = _train_from_disk(values, labels, weights, settings, options.rounds)
        else:
            data = xgboost.DMatrix(values, label=labels, weight=weights, nthread=threads)
            booster = xgboost.train(settings, data, num_boost_round=options.rounds)
        if unit != 1.0:
            booster.set_attr(**{_LOG_UNIT: repr(math.log(unit))})
        return FittedTrees(bytes(booster.save_raw("ubj")))

    def load(self, content: bytes) -> FittedTrees:
        """The trees from their bytes."""
        return FittedTrees(content)


def _train_from_disk(
    values: MatrixOnDisk,
    labels: Doubles,
    weights: Doubles | None,
    settings: dict[str, Any],
    rounds: int,
) -> xgboost.Booster:
    """Trees of rows that are read in blocks; XGBoost's own files are removed afterwards."""
    import xgboost

    class Blocks(xgboost.DataIter):  # type: ignore[misc]
        """Blocks of rows with their labels and weights."""

        def __init__(self, folder: str) -> None:
            super().__init__(cache_prefix=str(Path(folder, "trees")), on_host=False)
            self.reset()

        def reset(self) -> None:
            self._blocks, self._start = values.blocks(), 0

        def next(self, input_data: Any) -> bool:
            block = next(self._blocks, None)
            if block is None:
                return False
            part = slice(self._start, self._start + len(block))
            self._start = part.stop
            weight = None if weights is None else weights[part]
            input_data(data=block, label=labels[part], weight=weight)
            return True

    with tempfile.TemporaryDirectory(prefix="behavior-trees-") as folder:
        data = xgboost.ExtMemQuantileDMatrix(Blocks(folder), nthread=settings["nthread"])
        booster = xgboost.train(settings, data, num_boost_round=rounds)
        del data  # it holds its files open
    return booster


def least_leaf(
    labels: Doubles, weights: Doubles | None, *, options: TrainingOptions, loss: Loss
) -> float:
    """Smallest Hessian of a leaf: ``min_child_weight``, or 4 % of all rows' if that is less.

    Args:
        labels: Labels, float64 (rows,), as they are learned.
        weights: How often each row counts, float64 (rows,); None: once.
        options: Settings.
        loss: Loss, which says what the Hessian of a row is, at the mean of all labels.
    """
    mean = float(np.average(labels, weights=weights))
    of_row = mean * (1 - mean) if loss == "logistic" else mean
    total = of_row * (len(labels) if weights is None else float(weights.sum()))
    return min(options.min_child_weight, _LEAST_LEAF_SHARE * total)


LEARNER: Learner = BoostedTrees()
