"""Train the propensity model of one target, and calibrate it on later days.

Training uses rolling origins. Let d1 < ... < dn be the as-of days; the label of a day covers the
`horizon_days` after it. A day is "before c" if its horizon ends on c or earlier.

1. Model A is trained on days before c and predicts c. Model B is trained on days before dn and
   predicts dn. c is the latest day before dn. If days are at least one horizon apart, A is
   trained on d1..d(n-2), c is d(n-1), and B is trained on d1..d(n-1).
2. Holdout metrics are those of B on dn, calibrated with the margins of A on c. They use nothing
   of dn or later, like predictions of a night.
3. The final model is trained on all days; its calibrator is fitted to the margins of A and B.

With too few days (or days with too little of an outcome), half of the users of the last day are
used for calibration and half for checking. With one day, users are split by hash.
`metadata["scheme"]` is the scheme that was used.

A model that is not clearly better than chance (``verdict``) is not kept: the base rate of all
training rows takes its place, for everybody. Its metrics are still those of what was tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_spark.model.arrays import Bools, Doubles
from behavior_spark.model.propensity.baselines import fit_baselines
from behavior_spark.model.propensity.calibration import Calibrator
from behavior_spark.model.propensity.feature_matrix import require_columns, varying_columns
from behavior_spark.model.propensity.fits import Fit
from behavior_spark.model.propensity.holdout import (
    Holdout,
    holdout_metrics,
    plan_holdout,
    user_quarters,
)
from behavior_spark.model.propensity.learner import (
    BASE_RATE,
    DEFAULT_LEARNER,
    FittedLearner,
    Learner,
    find_learner,
)
from behavior_spark.model.propensity.matrix_on_disk import Matrix, MatrixOnDisk, columns_of
from behavior_spark.model.propensity.model import PropensityModel, verdict_in
from behavior_spark.model.propensity.prior_shift import season_offset
from behavior_spark.model.propensity.sketch import Sketch
from behavior_spark.model.propensity.target_kind import (
    DEFAULT_KIND,
    MarginCalibrator,
    TargetKind,
    find_target_kind,
)
from behavior_spark.model.propensity.training_rows import TrainingRows

if TYPE_CHECKING:
    import pandas as pd

# Rows that sketches are made from, where features are on disk.
_SKETCHED_ROWS = 500_000


def train_propensity_model(
    frame: pd.DataFrame,
    *,
    target: str,
    features: Sequence[str],
    label: str,
    as_of: str,
    horizon_days: int,
    user: str = "user_id",
    weight: str | None = None,
    kind: str = DEFAULT_KIND,
    learner: str = DEFAULT_LEARNER,
    options: Any = None,
    calibration: str = "auto",
    baseline_columns: dict[str, str] | None = None,
    fingerprint: str = "",
    resamples: int = 1000,
    recent_days: int | None = None,
    prior_shift: str = "none",
    matrix: Matrix | None = None,
) -> PropensityModel:
    """Train, calibrate and check the model of one target.

    Args:
        frame: One row per user and as-of day whose horizon has passed, in any order.
        target: Name of the target, for messages and files.
        features: Numeric columns; null and NaN are missing values. Those that are the same in all
            rows are not learned from; ``metadata`` counts them.
        label: Column of the outcome within the horizon, in the form of the kind of target; for
            ``does`` 0/1 or bool.
        as_of: Column of the as-of day (date, timestamp or ISO string).
        horizon_days: Number of days after as_of that the label covers.
        user: Column of the user id.
        weight: Column of the number of rows that a row represents; by default 1.
        kind: Name of the kind of target.
        learner: Name of the learner.
        options: Settings of the learner (from its ``make_options``); by default its defaults.
        calibration: `auto`, `platt`, `isotonic` or `identity`; some kinds ignore it.
        baseline_columns: Columns by role (`recency`, `frequency`, `value`, `past`); None: no
            baselines.
        fingerprint: Fingerprint of the feature and target definitions, stored with the model.
        resamples: Bootstrap resamples of each interval (a tenth of it, at least 50, above
            200,000 holdout rows).
        recent_days: Number of the last as-of days that are learned; earlier ones are only for the
            offsets of ``prior_shift``. None: all.
        prior_shift: ``season``: predictions are sigmoid(margin + offset of the night) in place of a
            calibrator, where the target is yes or no and days are far enough apart to measure
            offsets (see ``prior_shift.season_offset``); ``none``.
        matrix: The features of the frame's rows, in the order of ``features``, where they are too
            many for memory (``MatrixOnDisk``); None: they are columns of the frame.

    Returns:
        The fitted model with its holdout metrics.

    Raises:
        ConfigError: There is no such kind or learner.
        ModelError: Columns are missing, the rows cannot be trained on, or the learner does not
            have the kind's loss.
    """
    target_kind = find_target_kind(kind)
    fit = Fit(target, target_kind, find_learner(learner), options)
    baseline_columns, declared = dict(baseline_columns or {}), len(features)
    own = features if matrix is None else []
    needed = [*own, *baseline_columns.values(), label, as_of, user]
    require_columns(frame, [*needed, *([weight] if weight else [])], target)
    every_row = TrainingRows.of(
        frame, target, features=features, label=label, as_of=as_of, user=user, weight=weight,
        kind=target_kind, matrix=matrix,
    )  # fmt: skip
    features, every_row = _without_constants(every_row, features, recent_days)
    rows = every_row.of_last(recent_days)
    holdout = plan_holdout(
        rows.days, rows.labels, user_quarters(rows.frame[user]), horizon_days=horizon_days,
        target=target, kind=target_kind,
    )  # fmt: skip
    seasonal = prior_shift == "season" and fit.loss == "logistic"
    seasonal = seasonal and holdout.scheme == "rolling_origin"
    calibration_of = _Calibration(
        rows, fit.unseen_margins(rows, holdout), target_kind, calibration,
        fit.offsets(every_row, recent_days, horizon_days) if seasonal else {}, horizon_days,
    )  # fmt: skip
    margins, offsets = calibration_of.margins, calibration_of.offsets
    measured = holdout_metrics(
        rows.frame, rows.frame[user].astype(str), rows.labels, rows.weights, margins, holdout,
        calibration_of.before_the_last_day(holdout.calibrate),
        kind=target_kind, baseline_columns=baseline_columns, resamples=resamples,
    )  # fmt: skip
    verdict = verdict_in(measured)
    if verdict is not None and verdict.better_than_chance != "yes":
        learned = _learn_base_rate(rows, fit)
    else:
        fitted = fit(rows.values, rows.labels, rows.weights)
        learned = _Learned(
            fit.learner, fit.options, tuple(features), calibration_of.every_margin(), fitted
        )
    return PropensityModel(
        target=target,
        kind=target_kind,
        learner=learned.learner,
        features=learned.features,
        options=learned.options,
        calibrator=learned.calibrator,
        baselines=fit_baselines(
            rows.frame, rows.labels, baseline_columns, weights=rows.weights, kind=target_kind
        ),
        metrics=measured,
        metadata=_metadata(rows, holdout, horizon_days)
        | {"constant_features": declared - len(features)}
        | {"sketches": _sketches(rows, margins, holdout, learned)}
        | ({"offsets": offsets} if offsets and learned.features else {}),
        trained_through=str(rows.last_day + timedelta(days=horizon_days)),
        fingerprint=fingerprint,
        learned=learned.fitted.to_bytes(),
    )


def _without_constants(
    every_row: TrainingRows, features: Sequence[str], recent_days: int | None
) -> tuple[list[str], TrainingRows]:
    """The features that differ in the rows of the last days, and all rows with these alone."""
    varying = varying_columns(every_row.of_last(recent_days).values)
    if not varying.any():  # a learner needs a column
        varying = np.ones_like(varying)
    names = [name for name, varies in zip(features, varying, strict=True) if varies]
    return names, replace(every_row, values=columns_of(every_row.values, varying))


@dataclass(frozen=True, eq=False)
class _Calibration:
    """How margins become predictions.

    Attributes:
        rows: The training rows.
        margins: Margins by models that had not seen the row, float64 (rows,); NaN where none.
        kind: The kind of target, which fits calibrators.
        choice: `auto`, `platt`, `isotonic` or `identity`.
        offsets: Offsets by as-of day, where nights have an offset in place of a calibrator.
        horizon_days: Days after an as-of day until its outcomes, and so its offset, are known.
    """

    rows: TrainingRows
    margins: Doubles
    kind: TargetKind
    choice: str
    offsets: Mapping[str, float]
    horizon_days: int

    def before_the_last_day(self, mask: Bools) -> MarginCalibrator:
        """Learned from the rows of a mask, (rows,), or from the offsets before the last day."""
        last = self.rows.last_day
        latest = str(last - timedelta(days=self.horizon_days))
        known = {day: offset for day, offset in self.offsets.items() if day <= latest}
        if known:
            return Calibrator("platt", intercept=season_offset(known, last))
        return self._fitted(mask)

    def every_margin(self) -> MarginCalibrator:
        """Learned from all margins."""
        return self._fitted(~np.isnan(self.margins))

    def _fitted(self, mask: Bools) -> MarginCalibrator:
        if self.offsets:
            return Calibrator("identity")
        rows = self.rows
        return self.kind.fit_calibrator(
            self.margins[mask], rows.labels[mask], weights=rows.weights[mask], choice=self.choice
        )


def _metadata(rows: TrainingRows, holdout: Holdout, horizon_days: int) -> dict[str, Any]:
    """Scheme, days, and numbers of rows and positives, as JSON values."""
    return {
        "scheme": holdout.scheme,
        "as_of_days": [str(day) for day in np.unique(rows.days)],
        "holdout_days": [str(day) for day in np.unique(rows.days[holdout.check])],
        "horizon_days": horizon_days,
        "rows": len(rows.labels),
        "positives": int((rows.labels > 0).sum()),
    }


def _sketches(
    rows: TrainingRows, margins: Doubles, holdout: Holdout, learned: _Learned
) -> dict[str, Any]:
    """How scores and features are spread, as JSON values; empty if no feature has a part.

    Scores are those of the last day by a model that had not seen it, as a night's are; their mean
    is that of the predictions.
    """
    if not learned.features:
        return {}
    last, weights = holdout.ranked, rows.weights
    predictions = learned.calibrator.predict(margins[last])
    values, of_values = rows.values, weights
    if isinstance(values, MatrixOnDisk):  # spread over all days and users, for rows are in order
        some = np.linspace(0, len(values) - 1, min(len(values), _SKETCHED_ROWS)).astype(np.int64)
        values, of_values = np.asarray(values.take(some)), weights[some]
    return {
        "score": Sketch.of(margins[last], weights=weights[last], mean_of=predictions).to_json(),
        "features": {
            name: Sketch.of(values[:, index], weights=of_values).to_json()
            for index, name in enumerate(learned.features)
        },
    }


@dataclass(frozen=True)
class _Learned:
    """What a model predicts with."""

    learner: Learner
    options: Any
    features: tuple[str, ...]
    calibrator: MarginCalibrator
    fitted: FittedLearner


def _learn_base_rate(rows: TrainingRows, fit: Fit) -> _Learned:
    """The base rate of all training rows, for everybody; no feature has a part in it."""
    learner = find_learner(BASE_RATE)
    options = learner.make_options()
    nothing = np.empty((len(rows.labels), 0), dtype=np.float32)  # it reads no feature
    fitted = learner.fit(
        nothing, rows.labels, weights=rows.weights, options=options, loss=fit.kind.loss
    )
    calibrator = fit.kind.fit_calibrator(
        fitted.margins(nothing), rows.labels, weights=rows.weights, choice="identity"
    )
    return _Learned(learner, options, (), calibrator, fitted)
