"""Which rows a propensity model is calibrated and checked on, and how it does there."""

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
from behavior_spark.model.propensity.calibration import Calibrator

if TYPE_CHECKING:
    import pandas as pd


MEASURES: dict[str, metrics.Metric] = {
    "roc_auc": metrics.roc_auc,
    "average_precision": metrics.average_precision,
    "lift_at_10pct": metrics.lift_at,
    "expected_calibration_error": metrics.expected_calibration_error,
}


@dataclass(frozen=True)
class Holdout:
    """Row masks: each fit trains on its first and is applied to its second."""

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
) -> Holdout:
    """The first scheme, strictest first, in which every part has both outcomes."""
    known = days + np.timedelta64(horizon_days, "D")
    last = days == days.max()
    past = known <= days.max()
    plans = []
    if past.any():
        checkpoint = days[past].max()
        before = known <= checkpoint
        at = days == checkpoint
        plans.append(Holdout("rolling_origin", ((before, at), (past, last)), at, last))
    half = quarters < 2
    plans.append(Holdout("halves_of_last_day", ((past, last),), last & half, last & ~half))
    plans.append(Holdout("users_by_hash", ((half, ~half),), quarters == 2, quarters == 3))
    for plan in plans:
        parts = [*(train for train, _ in plan.fits), plan.calibrate, plan.check]
        if all(0 < labels[part].sum() < part.sum() for part in parts):
            return plan
    positives = int(labels.sum())
    raise ModelError(
        f"target {target!r} cannot be trained: too few users of one outcome",
        found=f"{positives} positives in {len(labels)} rows over {len(np.unique(days))} as-of days",
        fix="check the target's condition, or give it more days, more users or a longer horizon",
    )


def holdout_metrics(
    frame: pd.DataFrame,
    labels: Doubles,
    weights: Doubles,
    margins: Doubles,
    holdout: Holdout,
    calibrator: Calibrator,
    *,
    baseline_columns: dict[str, str],
    resamples: int,
) -> dict[str, Any]:
    """Each measure of the model and its baselines on the checked rows, with its interval."""
    check, train = holdout.check, holdout.fits[-1][0]
    truth, counts = labels[check], weights[check]
    draws = resamples if truth.size <= 200_000 else max(50, resamples // 10)
    probabilities = calibrator.predict(margins[check])
    result: dict[str, Any] = {
        "holdout": {
            "rows": int(truth.size),
            "positives": int(truth.sum()),
            "base_rate": float(np.average(truth, weights=counts)),
            **_measured(truth, margins[check], probabilities, counts, draws),
        },
        "baselines": {},
    }
    baselines = fit_baselines(frame[train], labels[train], baseline_columns, weights=weights[train])
    for name, baseline in baselines.items():
        scores = baseline.scores(frame[check])
        difference = metrics.paired_bootstrap_difference(
            metrics.roc_auc, truth, margins[check], scores, weights=counts, resamples=draws
        )
        result["baselines"][name] = {
            **_measured(truth, scores, 1 / (1 + np.exp(-scores)), counts, draws),
            "roc_auc_gain_of_model": dict(zip(("value", "low", "high"), difference, strict=True)),
        }
    return result


def _measured(
    truth: Doubles,
    scores: Doubles,
    probabilities: Doubles,
    counts: Doubles,
    draws: int,
) -> dict[str, dict[str, float]]:
    """Ranking by score (calibration may tie users); calibration by probability."""
    measured = {}
    for name, metric in MEASURES.items():
        values = probabilities if name == "expected_calibration_error" else scores
        low, high = metrics.bootstrap_interval(
            metric, truth, values, weights=counts, resamples=draws
        )
        value = metric(truth, values, weights=counts)
        measured[name] = {"value": value, "low": low, "high": high}
    return measured


def user_quarters(users: pd.Series[Any]) -> npt.NDArray[np.int64]:
    """A stable number 0..3 for each user, by hash."""
    digests = (hashlib.sha256(str(each).encode()).digest()[0] for each in users)
    return np.fromiter(digests, dtype=np.int64, count=len(users)) % 4
