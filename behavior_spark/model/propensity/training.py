"""Will this user do it, or how much? Train a model and calibrate it on later days.

Training rolls forward in time. With as-of days d1 < ... < dn, each judged by what
happened in `horizon_days` after it, and "before c" meaning days whose horizon ended by c:

1. A is fitted before day c and gives margins on c; B is fitted before dn and gives
   margins on dn. c is the latest day before dn in that sense, so with days at least one
   horizon apart A sees d1..d(n-2), c is d(n-1), and B sees d1..d(n-1).
2. The holdout metrics are B's on dn, calibrated with A's margins on c: nothing of dn or
   later is used, just as in a real night.
3. The model that is kept is fitted on all days; its calibrator on the margins of A and B.

With too few days (or none with enough of each outcome) the last day is calibrated and checked by
halves of its users, and with one day the users are split by hash; `metadata["scheme"]`
says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Bools, Doubles, Floats
from behavior_spark.model.propensity.baselines import fit_baselines
from behavior_spark.model.propensity.feature_matrix import feature_matrix, require_columns
from behavior_spark.model.propensity.holdout import (
    Holdout,
    holdout_metrics,
    plan_holdout,
    user_quarters,
)
from behavior_spark.model.propensity.learner import (
    DEFAULT_LEARNER,
    FittedLearner,
    Learner,
    find_learner,
)
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.target_kind import (
    DEFAULT_KIND,
    MarginCalibrator,
    TargetKind,
    find_target_kind,
)

if TYPE_CHECKING:
    import pandas as pd


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
) -> PropensityModel:
    """Train, calibrate and check the model of one target.

    Args:
        frame: One row per user and as-of day whose horizon has passed, in any order.
        target: Name of the target, for messages and files.
        features: Numeric columns; null, NaN: not known.
        label: Column of what happened within the horizon, as the kind of target counts it: for
            ``does`` 0/1 or bool.
        as_of: Column of the as-of day (date, timestamp or ISO string).
        horizon_days: Days after as_of that the label looks at.
        user: Column of the user id.
        weight: Column of how many rows a row stands for; by default one.
        kind: Kind of target.
        learner: What learns it.
        options: Settings of the learner (its ``make_options``); by default its own.
        calibration: `auto`, `platt`, `isotonic` or `identity`, for kinds that choose.
        baseline_columns: Columns under `recency`, `frequency` and `value`; none: no baselines.
        fingerprint: Of the definitions behind the columns, kept with the model.
        resamples: Bootstrap resamples of each interval (a tenth of it, at least 50, above
            200,000 holdout rows).

    Returns:
        The fitted model with its holdout metrics.

    Raises:
        ConfigError: There is no such kind or learner.
        ModelError: The rows cannot be learned from, or the learner cannot learn the kind.
    """
    target_kind = find_target_kind(kind)
    fit = _Fit(target, target_kind, find_learner(learner), options)
    named = dict(baseline_columns or {})
    needed = [*features, *named.values(), label, as_of, user, *([weight] if weight else [])]
    require_columns(frame, needed, target)
    frame, days, labels = _ordered(
        frame, target, label=label, as_of=as_of, user=user, kind=target_kind
    )
    values = feature_matrix(frame, features, target)
    weights = np.ones(len(labels)) if weight is None else frame[weight].to_numpy(np.float64)
    holdout = plan_holdout(
        days, labels, user_quarters(frame[user]), horizon_days=horizon_days, target=target,
        kind=target_kind,
    )  # fmt: skip
    margins = fit.unseen_margins(values, labels, weights, holdout)

    def calibrated(rows: Bools) -> MarginCalibrator:
        return target_kind.fit_calibrator(
            margins[rows], labels[rows], weights=weights[rows], choice=calibration
        )

    quality = holdout_metrics(
        frame, labels, weights, margins, holdout, calibrated(holdout.calibrate),
        kind=target_kind, baseline_columns=named, resamples=resamples,
    )  # fmt: skip
    all_days = np.unique(days)
    last = date.fromisoformat(str(all_days[-1]))
    return PropensityModel(
        target=target,
        kind=target_kind,
        learner=fit.learner,
        features=tuple(features),
        options=fit.options,
        calibrator=calibrated(~np.isnan(margins)),
        baselines=fit_baselines(frame, labels, named, weights=weights, kind=target_kind),
        metrics=quality,
        metadata={
            "scheme": holdout.scheme,
            "as_of_days": [str(day) for day in all_days],
            "holdout_days": [str(day) for day in np.unique(days[holdout.check])],
            "horizon_days": horizon_days,
            "rows": len(labels),
            "positives": int((labels > 0).sum()),
        },
        trained_through=str(last + timedelta(days=horizon_days)),
        fingerprint=fingerprint,
        learned=fit(values, labels, weights).to_bytes(),
    )


class _Fit:
    """A learner with its settings and the loss of a kind of target."""

    def __init__(self, target: str, kind: TargetKind, learner: Learner, options: Any) -> None:
        if kind.loss not in learner.losses:
            raise ModelError(
                f"the learner {learner.name!r} cannot learn target {target!r} of kind {kind.name}",
                found=f"it minimises {', '.join(sorted(learner.losses))}, not {kind.loss}",
                fix="choose another training.learner",
            )
        self.learner, self.loss = learner, kind.loss
        self.options = learner.make_options() if options is None else options

    def __call__(self, values: Floats, labels: Doubles, weights: Doubles) -> FittedLearner:
        return self.learner.fit(
            values, labels, weights=weights, options=self.options, loss=self.loss
        )

    def unseen_margins(
        self, values: Floats, labels: Doubles, weights: Doubles, holdout: Holdout
    ) -> Doubles:
        """Margins of rows by models that have not seen them; NaN for rows without."""
        margins = np.full(len(labels), np.nan)
        for train, apply in holdout.fits:
            fitted = self(values[train], labels[train], weights[train])
            margins[apply] = fitted.margins(values[apply])
        return margins


def _ordered(
    frame: pd.DataFrame, target: str, *, label: str, as_of: str, user: str, kind: TargetKind
) -> tuple[pd.DataFrame, npt.NDArray[np.datetime64], Doubles]:
    """Rows by day and user, so that no row order changes the model."""
    import pandas as pd

    days = pd.to_datetime(frame[as_of]).to_numpy(dtype="datetime64[D]")
    users = frame[user].astype(str).to_numpy(dtype=object)
    order = np.lexsort((users, days)) if len(frame) else np.empty(0, dtype=np.int64)
    truth = pd.to_numeric(frame[label], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    # Not by pandas, which reads a string to its first NUL.
    repeated = len(users) - len(set(zip(days.tolist(), users.tolist(), strict=True)))
    unlabelled = int((~kind.are_labels(truth)).sum())
    if repeated or unlabelled:
        raise ModelError(
            f"training rows of target {target!r} must be one a user and day, labelled "
            f"{kind.label_words}",
            found=f"{repeated} repeated, {unlabelled} without label",
            fix="train on as-of days whose horizon has passed, one row a user and day",
        )
    if not kind.enough(truth):
        raise ModelError(
            f"target {target!r} has {kind.shortage}",
            found=f"{int((truth > 0).sum())} positives in {len(truth)} rows",
            fix="check the target's condition and horizon, or train on other as-of days",
        )
    return frame.iloc[order], days[order], truth[order]
