"""Split rows for calibrating and checking a propensity model, and measure it on them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Bools, Doubles
from behavior_spark.model.measures import ranking as metrics
from behavior_spark.model.propensity.baselines import fit_baselines
from behavior_spark.model.propensity.target_kind import MarginCalibrator, TargetKind

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Holdout:
    """Which rows are used for training, calibration and checking.

    Attributes:
        scheme: ``rolling_origin``, ``halves_of_last_day`` or ``users_by_hash``.
        fits: For each fit, the mask of training rows and that of rows it predicts, bool (rows,).
        calibrate: Rows to fit the calibrator on, bool (rows,).
        check: Rows to measure on, bool (rows,).
    """

    scheme: str
    fits: tuple[tuple[Bools, Bools], ...]
    calibrate: Bools
    check: Bools


def plan_holdout(
    days: npt.NDArray[np.datetime64],
    labels: Doubles,
    quarters: npt.NDArray[np.int64],
    *,
    horizon_days: int,
    target: str,
    kind: TargetKind,
) -> Holdout:
    """Choose the strictest scheme in which every part has enough of each outcome.

    Args:
        days: As-of day of each row, (rows,).
        labels: Labels, float64 (rows,).
        quarters: :func:`user_quarters` of each row, int64 (rows,).
        horizon_days: Horizon of the target.
        target: Name of the target, for the error message.
        kind: Kind of target.

    Raises:
        ModelError: No scheme has enough rows of each outcome in every part.
    """
    label_days = days + np.timedelta64(horizon_days, "D")
    last = days == days.max()
    trainable = label_days <= days.max()
    plans = []
    if trainable.any():
        checkpoint = days[trainable].max()
        before = label_days <= checkpoint
        at = days == checkpoint
        plans.append(Holdout("rolling_origin", ((before, at), (trainable, last)), at, last))
    half = quarters < 2
    plans.append(Holdout("halves_of_last_day", ((trainable, last),), last & half, last & ~half))
    plans.append(Holdout("users_by_hash", ((half, ~half),), quarters == 2, quarters == 3))
    for plan in plans:
        parts = [*(train for train, _ in plan.fits), plan.calibrate, plan.check]
        if all(kind.enough(labels[part]) for part in parts):
            return plan
    positives = int((labels > 0).sum())
    raise ModelError(
        f"target {target!r} cannot be trained: a day, or a part of its users, has {kind.shortage}",
        found=f"{positives} positives in {len(labels)} rows over {len(np.unique(days))} as-of days",
        fix="check the target's condition, or give it more days, more users or a longer horizon",
    )


def holdout_metrics(
    frame: pd.DataFrame,
    labels: Doubles,
    weights: Doubles,
    margins: Doubles,
    holdout: Holdout,
    calibrator: MarginCalibrator,
    *,
    kind: TargetKind,
    baseline_columns: dict[str, str],
    resamples: int,
) -> dict[str, Any]:
    """Measures of the model and its baselines on the checked rows, with bootstrap intervals.

    Args:
        frame: All rows.
        labels: Labels, float64 (rows,).
        weights: Number of rows that each row represents, float64 (rows,).
        margins: Margins by models that were not trained on the row, float64 (rows,).
        holdout: Split of the rows.
        calibrator: Fitted on ``holdout.calibrate``.
        kind: Kind of target.
        baseline_columns: Column of each baseline by role; empty: no baselines.
        resamples: Bootstrap resamples; a tenth, at least 50, above 200,000 checked rows.

    Returns:
        ``holdout`` and ``baselines``; JSON values.
    """
    check, train = holdout.check, holdout.fits[-1][0]
    checked = _CheckedRows(
        kind,
        labels[check],
        weights[check],
        resamples if check.sum() <= 200_000 else max(50, resamples // 10),
    )
    positive = checked.labels > 0
    result: dict[str, Any] = {
        "holdout": {
            "rows": int(check.sum()),
            "positives": int(positive.sum()),
            "base_rate": float(np.average(positive, weights=checked.weights)),
            **checked.measures(margins[check], calibrator.predict(margins[check])),
        },
        "baselines": {},
    }
    baselines = fit_baselines(
        frame[train], labels[train], baseline_columns, weights=weights[train], kind=kind
    )
    for name, baseline in baselines.items():
        scores = baseline.scores(frame[check])
        predictions = kind.from_margins(scores)
        result["baselines"][name] = {
            **checked.measures(scores, predictions),
            **checked.gain(margins[check], calibrator.predict(margins[check]), scores, predictions),
        }
    return result


@dataclass(frozen=True)
class _CheckedRows:
    """The rows on which a model and its baselines are measured."""

    kind: TargetKind
    labels: Doubles
    weights: Doubles
    resamples: int

    def measures(self, margins: Doubles, predictions: Doubles) -> dict[str, dict[str, float]]:
        """Each measure with its interval."""
        measured = {}
        for measure in self.kind.measures:
            values = predictions if measure.of == "prediction" else margins
            low, high = metrics.bootstrap_interval(
                measure.metric, self.labels, values, weights=self.weights, resamples=self.resamples
            )
            value = measure.metric(self.labels, values, weights=self.weights)
            measured[measure.name] = {"value": value, "low": low, "high": high}
        return measured

    def gain(
        self,
        margins: Doubles,
        predictions: Doubles,
        baseline_margins: Doubles,
        baseline_predictions: Doubles,
    ) -> dict[str, dict[str, float]]:
        """The kind's first measure of the model minus that of the baseline, paired bootstrap."""
        measure = self.kind.measures[0]
        pair = (margins, baseline_margins)
        if measure.of == "prediction":
            pair = (predictions, baseline_predictions)
        difference = metrics.paired_bootstrap_difference(
            measure.metric, self.labels, *pair, weights=self.weights, resamples=self.resamples
        )
        interval = dict(zip(("value", "low", "high"), difference, strict=True))
        return {f"{measure.name}_gain_of_model": interval}


def user_quarters(users: pd.Series[Any]) -> npt.NDArray[np.int64]:
    """A number from 0 to 3 for each user by a hash of the id, the same in every run; int64 (n,)."""
    digests = (hashlib.sha256(str(user).encode()).digest()[0] for user in users)
    return np.fromiter(digests, dtype=np.int64, count=len(users)) % 4
