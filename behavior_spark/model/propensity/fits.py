"""Fit one target's learner to parts of its training rows, in memory or on disk."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, cast

import numpy as np

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Doubles, Floats
from behavior_spark.model.propensity.holdout import Holdout
from behavior_spark.model.propensity.learner import FittedLearner, Learner
from behavior_spark.model.propensity.matrix_on_disk import (
    Matrix,
    MatrixOnDisk,
    blocks_of,
    rows_of,
)
from behavior_spark.model.propensity.prior_shift import folds_of_season, offsets_by_day
from behavior_spark.model.propensity.target_kind import TargetKind
from behavior_spark.model.propensity.training_rows import TrainingRows


class Fit:
    """A learner with its settings and the loss of a kind of target."""

    def __init__(self, target: str, kind: TargetKind, learner: Learner, options: Any) -> None:
        if kind.loss not in learner.losses:
            raise ModelError(
                f"the learner {learner.name!r} cannot learn target {target!r} of kind {kind.name}",
                found=f"it minimises {', '.join(sorted(learner.losses))}, not {kind.loss}",
                fix="choose another training.learner",
            )
        self.kind, self.learner, self.loss = kind, learner, kind.loss
        self.options = learner.make_options() if options is None else options

    def __call__(self, values: Matrix, labels: Doubles, weights: Doubles) -> FittedLearner:
        """The learner fitted to rows; arguments as of :meth:`.learner.Learner.fit`.

        Raises:
            ModelError: The values are on disk, and the learner reads none from there.
        """
        if isinstance(values, MatrixOnDisk) and not getattr(self.learner, "reads_disk", False):
            raise ModelError(
                f"the learner {self.learner.name!r} cannot learn from rows on disk",
                found=f"{len(values):,} rows",
                fix="lower training.max_rows, raise training.rows_in_memory, or use xgboost",
            )
        return self.learner.fit(
            cast(Floats, values), labels, weights=weights, options=self.options, loss=self.loss
        )

    def offsets(
        self, rows: TrainingRows, recent_days: int | None, horizon_days: int
    ) -> dict[str, float]:
        """What models that knew only earlier days were off by, by day (rolling time folds).

        A day without enough earlier rows is left out.
        """
        every_day = [date.fromisoformat(str(day)) for day in np.unique(rows.days)]
        offsets: dict[str, float] = {}
        for day in folds_of_season(every_day, horizon_days=horizon_days):
            known = rows.days <= np.datetime64(day - timedelta(days=horizon_days))
            at = rows.days == np.datetime64(day)
            if not known.any():
                continue
            earlier = rows.where(known).of_last(recent_days)
            if not self.kind.enough(earlier.labels) or not self.kind.enough(rows.labels[at]):
                continue
            fitted = self(earlier.values, earlier.labels, earlier.weights)
            said = self.kind.from_margins(_margins(fitted, rows_of(rows.values, at)))
            offsets |= offsets_by_day(
                said, rows.labels[at], rows.days[at], weights=rows.weights[at]
            )
        return offsets

    def unseen_margins(self, rows: TrainingRows, holdout: Holdout) -> Doubles:
        """Margins of rows by models that were not trained on them, float64 (rows,).

        NaN for rows that no fit of the holdout predicts.
        """
        margins = np.full(len(rows.labels), np.nan)
        for train, predict in holdout.fits:
            known = rows_of(rows.values, train)
            fitted = self(known, rows.labels[train], rows.weights[train])
            margins[predict] = _margins(fitted, rows_of(rows.values, predict))
        return margins


def _margins(fitted: FittedLearner, values: Matrix) -> Doubles:
    """Margins of all rows, a block after the other, float64 (rows,)."""
    if not len(values):
        return np.empty(0)
    return np.concatenate([fitted.margins(block) for block in blocks_of(values)])
