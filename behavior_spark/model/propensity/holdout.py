"""Split rows for calibrating and checking a propensity model, and measure it on them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Bools, Doubles
from behavior_spark.model.measures.bootstrap import bootstrap_interval
from behavior_spark.model.propensity.baselines import fit_baselines
from behavior_spark.model.propensity.target_kind import MarginCalibrator, Measure, TargetKind
from behavior_spark.model.propensity.verdict import CHANCE, TargetVerdict, judge

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Holdout:
    """Which rows are used for training, calibration and checking.

    Attributes:
        scheme: ``rolling_origin``, ``halves_of_last_day`` or ``users_by_hash``.
        fits: For each fit, the mask of training rows and that of rows it predicts, bool (rows,).
        calibrate: Rows to fit the calibrator on, bool (rows,).
        check: Rows to measure predictions on, bool (rows,).
    """

    scheme: str
    fits: tuple[tuple[Bools, Bools], ...]
    calibrate: Bools
    check: Bools

    @property
    def ranked(self) -> Bools:
        """Rows to measure margins on, bool (rows,): all that the last fit predicts.

        Some of them may be rows that the calibrator is fitted on, which changes no margin.
        """
        return self.fits[-1][1]


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
    users: npt.ArrayLike,
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
    """Measures of the model and its baselines on held-out rows, and the verdict.

    Args:
        frame: All rows.
        users: User of each row, (rows,).
        labels: Labels, float64 (rows,).
        weights: Number of rows that each row represents, float64 (rows,).
        margins: Margins by models that were not trained on the row, float64 (rows,).
        holdout: Split of the rows.
        calibrator: Fitted on ``holdout.calibrate``.
        kind: Kind of target.
        baseline_columns: Column of each baseline by role; empty: no baselines.
        resamples: Bootstrap resamples; a tenth, at least 50, above 200,000 held-out rows.

    Returns:
        ``holdout``, ``baselines`` and ``verdict`` (``TargetVerdict.to_json``, or None); JSON
        values.
    """
    ranked, train = holdout.ranked, holdout.fits[-1][0]
    _, user_numbers = np.unique(np.asarray(users, dtype=object), return_inverse=True)
    measured = _HeldOut(
        kind, holdout, user_numbers, labels, weights,
        resamples if ranked.sum() <= 200_000 else max(50, resamples // 10),
    )  # fmt: skip
    positive = labels[ranked] > 0
    result: dict[str, Any] = {
        "holdout": {
            "rows": int(ranked.sum()),
            "positives": int(positive.sum()),
            "base_rate": float(np.average(positive, weights=weights[ranked])),
            **measured.figures(margins, calibrator.predict(margins)),
        },
        "baselines": {},
    }
    baselines = fit_baselines(
        frame[train], labels[train], baseline_columns, weights=weights[train], kind=kind
    )
    first, rivals = kind.measures[0], {}
    for name, baseline in baselines.items():
        scores = baseline.scores(frame)
        predictions = kind.from_margins(scores)
        result["baselines"][name] = measured.figures(scores, predictions)
        rivals[name] = scores if first.of == "margin" else predictions
    own = margins if first.of == "margin" else calibrator.predict(margins)
    verdict = measured.verdict(first, own, rivals)
    for name, gain in verdict.gains.items() if verdict else ():
        if name != CHANCE:
            result["baselines"][name][f"{first.name}_gain_of_model"] = gain.figures()
    return result | {"verdict": verdict.to_json() if verdict else None}


@dataclass(frozen=True, eq=False)
class _HeldOut:
    """The rows on which a model and its baselines are measured."""

    kind: TargetKind
    holdout: Holdout
    users: npt.NDArray[np.int64]
    labels: Doubles
    weights: Doubles
    resamples: int

    def figures(self, margins: Doubles, predictions: Doubles) -> dict[str, dict[str, float]]:
        """Each measure with its interval, of margins and predictions, float64 (rows,)."""
        figures = {}
        for measure in self.kind.measures:
            rows = self._rows(measure)
            values = (predictions if measure.of == "prediction" else margins)[rows]
            labels, weights = self.labels[rows], self.weights[rows]
            low, high = bootstrap_interval(
                measure.metric, labels, values, weights=weights, users=self.users[rows],
                resamples=self.resamples,
            )  # fmt: skip
            value = measure.metric(labels, values, weights=weights)
            figures[measure.name] = {"value": value, "low": low, "high": high}
        return figures

    def verdict(
        self, measure: Measure, model: Doubles, rivals: Mapping[str, Doubles]
    ) -> TargetVerdict | None:
        """The model beside chance and its rivals, by what the measure measures of all rows."""
        rows = self._rows(measure)
        return judge(
            measure, self.labels[rows], model[rows],
            {name: scores[rows] for name, scores in rivals.items()},
            weights=self.weights[rows], users=self.users[rows], resamples=self.resamples,
        )  # fmt: skip

    def _rows(self, measure: Measure) -> Bools:
        return self.holdout.check if measure.of == "prediction" else self.holdout.ranked


def user_quarters(users: pd.Series[Any]) -> npt.NDArray[np.int64]:
    """A number from 0 to 3 for each user by a hash of the id, the same in every run; int64 (n,)."""
    digests = (hashlib.sha256(str(user).encode()).digest()[0] for user in users)
    return np.fromiter(digests, dtype=np.int64, count=len(users)) % 4
