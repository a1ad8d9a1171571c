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
from behavior_spark.model.propensity.target_kind import MarginCalibrator, TargetKind

if TYPE_CHECKING:
    import pandas as pd


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
    kind: TargetKind,
) -> Holdout:
    """The first scheme, strictest first, in which every part can be learned from and judged on."""
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
    """Each measure of the model and its baselines on the checked rows, with its interval."""
    check, train = holdout.check, holdout.fits[-1][0]
    judged = _Judged(
        kind,
        labels[check],
        weights[check],
        resamples if check.sum() <= 200_000 else max(50, resamples // 10),
    )
    happened = judged.labels > 0
    result: dict[str, Any] = {
        "holdout": {
            "rows": int(check.sum()),
            "positives": int(happened.sum()),
            "base_rate": float(np.average(happened, weights=judged.weights)),
            **judged.measures(margins[check], calibrator.predict(margins[check])),
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
            **judged.measures(scores, predictions),
            **judged.gain(margins[check], calibrator.predict(margins[check]), scores, predictions),
        }
    return result


@dataclass(frozen=True)
class _Judged:
    """The rows a model and its baselines are judged on."""

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
        """The first measure of the model less that of the baseline, paired."""
        measure = self.kind.measures[0]
        pair = (margins, baseline_margins)
        if measure.of == "prediction":
            pair = (predictions, baseline_predictions)
        difference = metrics.paired_bootstrap_difference(
            measure.metric, self.labels, *pair, weights=self.weights, resamples=self.resamples
        )
        named = dict(zip(("value", "low", "high"), difference, strict=True))
        return {f"{measure.name}_gain_of_model": named}


def user_quarters(users: pd.Series[Any]) -> npt.NDArray[np.int64]:
    """A stable number 0..3 for each user, by hash."""
    digests = (hashlib.sha256(str(each).encode()).digest()[0] for each in users)
    return np.fromiter(digests, dtype=np.int64, count=len(users)) % 4
