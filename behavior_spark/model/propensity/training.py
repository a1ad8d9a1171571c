"""Will this user do it? Train boosted trees and calibrate them on later days.

Training rolls forward in time. With as-of days d1 < ... < dn, each judged by what
happened in `horizon_days` after it, and "before c" meaning days whose horizon ended by c:

1. A is fitted before day c and gives margins on c; B is fitted before dn and gives
   margins on dn. c is the latest day before dn in that sense, so with days at least one
   horizon apart A sees d1..d(n-2), c is d(n-1), and B sees d1..d(n-1).
2. The holdout metrics are B's on dn, calibrated with A's margins on c: nothing of dn or
   later is used, just as in a real night.
3. The model that is kept is fitted on all days; its calibrator on the margins of A and B.

With too few days (or none with both outcomes) the last day is calibrated and checked by
halves of its users, and with one day the users are split by hash; `metadata["scheme"]`
says which.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Doubles
from behavior_spark.model.propensity.baselines import fit_baselines
from behavior_spark.model.propensity.calibration import CalibrationChoice, fit_calibrator
from behavior_spark.model.propensity.feature_matrix import feature_matrix, require_columns
from behavior_spark.model.propensity.holdout import holdout_metrics, plan_holdout, user_quarters
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.trees import TrainingOptions, fit_trees, tree_margins

if TYPE_CHECKING:
    import pandas as pd


__all__ = ["TrainingOptions", "train_propensity_model"]


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
    options: TrainingOptions | None = None,
    calibration: CalibrationChoice = "auto",
    baseline_columns: dict[str, str] | None = None,
    fingerprint: str = "",
    resamples: int = 1000,
) -> PropensityModel:
    """Train, calibrate and check the model of one target.

    Args:
        frame: One row per user and as-of day whose horizon has passed, in any order.
        target: Name of the target, for messages and files.
        features: Numeric columns; null, NaN: not known.
        label: Column of 0/1 or bool: the user did it within the horizon.
        as_of: Column of the as-of day (date, timestamp or ISO string).
        horizon_days: Days after as_of that the label looks at.
        user: Column of the user id.
        weight: Column of how many rows a row stands for; by default one.
        options: Settings of the trees.
        calibration: `auto`, `platt`, `isotonic` or `identity`.
        baseline_columns: Columns under `recency`, `frequency` and `value`; none: no baselines.
        fingerprint: Of the definitions behind the columns, kept with the model.
        resamples: Bootstrap resamples of each interval (a tenth of it, at least 50, above
            200,000 holdout rows).

    Returns:
        The fitted model with its holdout metrics.
    """
    options = options or TrainingOptions()
    named = dict(baseline_columns or {})
    needed = [*features, *named.values(), label, as_of, user, *([weight] if weight else [])]
    require_columns(frame, needed, target)
    frame, days, labels = _ordered(frame, target, label=label, as_of=as_of, user=user)
    values = feature_matrix(frame, features, target)
    weights = np.ones(len(labels)) if weight is None else frame[weight].to_numpy(np.float64)
    quarters = user_quarters(frame[user])
    holdout = plan_holdout(days, labels, quarters, horizon_days=horizon_days, target=target)

    margins = np.full(len(labels), np.nan)
    for train, apply in holdout.fits:
        trees = fit_trees(values[train], labels[train], options, weights=weights[train])
        margins[apply] = tree_margins(trees, values[apply])
    calibrator = fit_calibrator(
        margins[holdout.calibrate],
        labels[holdout.calibrate],
        kind=calibration,
        weights=weights[holdout.calibrate],
    )
    quality = holdout_metrics(
        frame, labels, weights, margins, holdout, calibrator, baseline_columns=named,
        resamples=resamples,
    )  # fmt: skip
    unseen = ~np.isnan(margins)
    all_days = np.unique(days)
    last = date.fromisoformat(str(all_days[-1]))
    return PropensityModel(
        target=target,
        features=tuple(features),
        options=options,
        calibrator=fit_calibrator(
            margins[unseen], labels[unseen], kind=calibration, weights=weights[unseen]
        ),
        baselines=fit_baselines(frame, labels, named, weights=weights),
        metrics=quality,
        metadata={
            "scheme": holdout.scheme,
            "as_of_days": [str(day) for day in all_days],
            "holdout_days": [str(day) for day in np.unique(days[holdout.check])],
            "horizon_days": horizon_days,
            "rows": len(labels),
            "positives": int(labels.sum()),
        },
        trained_through=str(last + timedelta(days=horizon_days)),
        fingerprint=fingerprint,
        booster=bytes(fit_trees(values, labels, options, weights=weights).save_raw("ubj")),
    )


def _ordered(
    frame: pd.DataFrame, target: str, *, label: str, as_of: str, user: str
) -> tuple[pd.DataFrame, npt.NDArray[np.datetime64], Doubles]:
    """Rows by day and user, so that no row order changes the model."""
    import pandas as pd

    days = pd.to_datetime(frame[as_of]).to_numpy(dtype="datetime64[D]")
    users = frame[user].astype(str).to_numpy(dtype=object)
    order = np.lexsort((users, days)) if len(frame) else np.empty(0, dtype=np.int64)
    truth = pd.to_numeric(frame[label], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    # Not by pandas, which reads a string to its first NUL.
    repeated = len(users) - len(set(zip(days.tolist(), users.tolist(), strict=True)))
    if repeated or not np.isin(truth, (0.0, 1.0)).all():
        raise ModelError(
            f"training rows of target {target!r} must be one a user and day, labelled 0 or 1",
            found=f"{repeated} repeated, {int((~np.isin(truth, (0.0, 1.0))).sum())} without label",
            fix="train on as-of days whose horizon has passed, one row a user and day",
        )
    if not 0 < truth.sum() < len(truth):
        raise ModelError(
            f"target {target!r} has one outcome only",
            found=f"{int(truth.sum())} positives in {len(truth)} rows",
            fix="check the target's condition and horizon, or train on other as-of days",
        )
    return frame.iloc[order], days[order], truth[order]
