"""Will this user do it? Boosted trees, calibrated on later days, with their reasons.

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
says which. Trees: XGBoost (Chen & Guestrin 2016); reasons: TreeSHAP (Lundberg et al. 2020).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt

from behavior_spark.errors import ModelError
from behavior_spark.model import ranking_metrics as metrics
from behavior_spark.model.calibration import CalibrationChoice, Calibrator, fit_calibrator

if TYPE_CHECKING:
    import pandas as pd
    import xgboost

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Reason = tuple[str, float | None, float]

BOOSTER_FILE, MODEL_FILE = "booster.ubj", "model.json"
SMALL_ENOUGH_FOR_ONE_THREAD = 100_000
MEASURES: dict[str, metrics.Metric] = {
    "roc_auc": metrics.roc_auc,
    "average_precision": metrics.average_precision,
    "lift_at_10pct": metrics.lift_at,
    "expected_calibration_error": metrics.expected_calibration_error,
}


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


@dataclass(frozen=True)
class Baseline:
    """Logistic regression on standardised log1p columns, kept as plain coefficients.

    Null recency means "never" and becomes `never`; other nulls are zero.
    """

    columns: tuple[str, ...]
    recency: str
    never: float
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float

    def scores(self, frame: pd.DataFrame) -> FloatArray:
        """Log-odds, float64 of shape (rows,)."""
        design = _log_columns(frame, self.columns, self.recency, self.never)
        scaled = (design - np.array(self.centre)) / np.array(self.scale)
        return np.asarray(scaled @ np.array(self.weights) + self.intercept, dtype=np.float64)


@dataclass(frozen=True)
class PropensityModel:
    """A trained model of one target. Rows keep their order; batches do not matter.

    Attributes:
        target: Name of the target.
        features: Columns the trees read, in order; nulls and NaN are "not known".
        options: How it was trained.
        calibrator: From margin to probability.
        baselines: `recency` and `recency_frequency_value`, where columns were given.
        metrics: `holdout` (each measure with `value`, `low`, `high`), `baselines`.
        metadata: Scheme, as-of days, rows and positives.
        trained_through: First day after everything it learned from: a backtest of an
            as-of day before it would be peeking.
        fingerprint: Of the feature and target definitions, as the caller gave it.
        booster: XGBoost's own bytes (UBJ).
    """

    target: str
    features: tuple[str, ...]
    options: TrainingOptions
    calibrator: Calibrator
    baselines: dict[str, Baseline]
    metrics: dict[str, Any]
    metadata: dict[str, Any]
    trained_through: str
    fingerprint: str
    booster: bytes = field(repr=False)

    def margins(self, frame: pd.DataFrame) -> FloatArray:
        """Uncalibrated log-odds, float64 of shape (rows,)."""
        return _margins(self._trees, _matrix(frame, self.features, self.target))

    def probabilities(self, frame: pd.DataFrame) -> FloatArray:
        """Calibrated probabilities, float64 of shape (rows,)."""
        return self.calibrator.predict(self.margins(frame))

    def baseline_scores(self, frame: pd.DataFrame, name: str) -> FloatArray:
        """Log-odds of a baseline, float64 of shape (rows,)."""
        if name not in self.baselines:
            known = ", ".join(self.baselines) or "none"
            raise ModelError(f"no baseline {name!r}", found=known, fix="ask for one of those")
        return self.baselines[name].scores(frame)

    def reasons(self, frame: pd.DataFrame, *, top: int = 3) -> list[list[Reason]]:
        """Per row the `top` (feature, value, contribution to the margin), largest first."""
        values = _matrix(frame, self.features, self.target)
        if not len(values):
            return []
        import xgboost

        data = xgboost.DMatrix(values, nthread=1)
        shares = self._trees.predict(data, pred_contribs=True)[:, :-1].astype(np.float64)
        best = np.argsort(-np.abs(shares), axis=1, kind="stable")[:, :top]
        return [
            [
                (
                    self.features[column],
                    None if np.isnan(values[row, column]) else float(values[row, column]),
                    float(shares[row, column]),
                )
                for column in columns
                if shares[row, column] != 0
            ]
            for row, columns in enumerate(best)
        ]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of everything above; the same model has the same digest."""
        return _digest(self._description(), self.booster)

    def save(self, folder: str | Path) -> Path:
        """Write `booster.ubj` and `model.json` to `folder`, whole or not at all."""
        target = Path(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        retired = staged.with_name(staged.name + ".old")
        staged.mkdir()
        try:
            (staged / BOOSTER_FILE).write_bytes(self.booster)
            text = json.dumps(self._description() | {"digest": self.digest}, indent=1)
            (staged / MODEL_FILE).write_text(text + "\n", encoding="utf-8")
            if target.exists():
                target.rename(retired)
            staged.rename(target)
        finally:
            shutil.rmtree(staged, ignore_errors=True)
            shutil.rmtree(retired, ignore_errors=True)
        return target

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The model `save` wrote; its digest is checked."""
        source = Path(folder)
        try:
            text = (source / MODEL_FILE).read_bytes()
            booster = (source / BOOSTER_FILE).read_bytes()
        except OSError as error:
            raise ModelError(
                f"no propensity model at {source}",
                found=error.strerror,
                fix="run train-propensity, or correct the path",
            ) from error
        return cls._restore(text, booster, origin=str(source))

    def to_bytes(self) -> bytes:
        """One block of bytes: a Spark closure carries it to the workers."""
        text = json.dumps(self._description() | {"digest": self.digest}).encode()
        return len(text).to_bytes(8, "big") + text + self.booster

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The model `to_bytes` packed; its digest is checked."""
        end = 8 + int.from_bytes(data[:8], "big")
        return cls._restore(data[8:end], data[end:], origin="bytes")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self).from_bytes, (self.to_bytes(),)

    @cached_property
    def _trees(self) -> xgboost.Booster:
        import xgboost

        trees = xgboost.Booster({"nthread": 1})
        trees.load_model(bytearray(self.booster))
        return trees

    def _description(self) -> dict[str, Any]:
        return {
            "format": 1,
            "target": self.target,
            "features": list(self.features),
            "options": asdict(self.options),
            "calibrator": self.calibrator.to_json(),
            "baselines": {name: asdict(each) for name, each in self.baselines.items()},
            "metrics": self.metrics,
            "metadata": self.metadata,
            "trained_through": self.trained_through,
            "fingerprint": self.fingerprint,
        }

    @classmethod
    def _restore(cls, text: bytes, booster: bytes, *, origin: str) -> Self:
        problem = f"the propensity model from {origin} is damaged or was changed"
        try:
            data = json.loads(text)
            stated = data.pop("digest")
            model = cls(
                target=data["target"],
                features=tuple(data["features"]),
                options=TrainingOptions(**data["options"]),
                calibrator=Calibrator.from_json(data["calibrator"]),
                baselines={name: _baseline(each) for name, each in data["baselines"].items()},
                metrics=data["metrics"],
                metadata=data["metadata"],
                trained_through=data["trained_through"],
                fingerprint=data["fingerprint"],
                booster=booster,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ModelError(problem, found=type(error).__name__, fix="train it again") from error
        if stated != _digest(data, booster):
            raise ModelError(problem, found="its digest does not match", fix="train it again")
        return model


def train_propensity_model(
    frame: pd.DataFrame,
    *,
    target: str,
    features: Sequence[str],
    label: str,
    as_of: str,
    horizon_days: int,
    user: str = "user_id",
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
    _require(frame, [*features, *named.values(), label, as_of, user], target)
    frame, days, labels = _ordered(frame, target, label=label, as_of=as_of, user=user)
    values = _matrix(frame, features, target)
    quarters = _user_quarters(frame[user])
    holdout = _plan_holdout(days, labels, quarters, horizon_days=horizon_days, target=target)

    margins = np.full(len(labels), np.nan)
    for train, apply in holdout.fits:
        trees = _fit_trees(values[train], labels[train], options)
        margins[apply] = _margins(trees, values[apply])
    calibrator = fit_calibrator(
        margins[holdout.calibrate], labels[holdout.calibrate], kind=calibration
    )
    quality = _holdout_metrics(
        frame, labels, margins, holdout, calibrator, baseline_columns=named, resamples=resamples
    )
    unseen = ~np.isnan(margins)
    all_days = np.unique(days)
    last = date.fromisoformat(str(all_days[-1]))
    return PropensityModel(
        target=target,
        features=tuple(features),
        options=options,
        calibrator=fit_calibrator(margins[unseen], labels[unseen], kind=calibration),
        baselines=_fit_baselines(frame, labels, named),
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
        booster=bytes(_fit_trees(values, labels, options).save_raw("ubj")),
    )


@dataclass(frozen=True)
class _Holdout:
    """Row masks: each fit trains on its first and is applied to its second."""

    scheme: str
    fits: tuple[tuple[BoolArray, BoolArray], ...]
    calibrate: BoolArray
    check: BoolArray


def _plan_holdout(
    days: npt.NDArray[np.datetime64],
    labels: FloatArray,
    quarters: npt.NDArray[np.int64],
    *,
    horizon_days: int,
    target: str,
) -> _Holdout:
    """The first scheme, strictest first, in which every part has both outcomes."""
    known = days + np.timedelta64(horizon_days, "D")
    last = days == days.max()
    past = known <= days.max()
    plans = []
    if past.any():
        checkpoint = days[past].max()
        before = known <= checkpoint
        at = days == checkpoint
        plans.append(_Holdout("rolling_origin", ((before, at), (past, last)), at, last))
    half = quarters < 2
    plans.append(_Holdout("halves_of_last_day", ((past, last),), last & half, last & ~half))
    plans.append(_Holdout("users_by_hash", ((half, ~half),), quarters == 2, quarters == 3))
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


def _holdout_metrics(
    frame: pd.DataFrame,
    labels: FloatArray,
    margins: FloatArray,
    holdout: _Holdout,
    calibrator: Calibrator,
    *,
    baseline_columns: dict[str, str],
    resamples: int,
) -> dict[str, Any]:
    check, train = holdout.check, holdout.fits[-1][0]
    truth = labels[check]
    draws = resamples if truth.size <= 200_000 else max(50, resamples // 10)
    probabilities = calibrator.predict(margins[check])
    result: dict[str, Any] = {
        "holdout": {
            "rows": int(truth.size),
            "positives": int(truth.sum()),
            "base_rate": float(truth.mean()),
            **_measured(truth, margins[check], probabilities, draws),
        },
        "baselines": {},
    }
    for name, baseline in _fit_baselines(frame[train], labels[train], baseline_columns).items():
        scores = baseline.scores(frame[check])
        difference = metrics.paired_bootstrap_difference(
            metrics.roc_auc, truth, margins[check], scores, resamples=draws
        )
        result["baselines"][name] = {
            **_measured(truth, scores, 1 / (1 + np.exp(-scores)), draws),
            "roc_auc_gain_of_model": dict(zip(("value", "low", "high"), difference, strict=True)),
        }
    return result


def _measured(
    truth: FloatArray, scores: FloatArray, probabilities: FloatArray, draws: int
) -> dict[str, dict[str, float]]:
    """Ranking by score (calibration may tie users); calibration by probability."""
    measured = {}
    for name, metric in MEASURES.items():
        values = probabilities if name == "expected_calibration_error" else scores
        low, high = metrics.bootstrap_interval(metric, truth, values, resamples=draws)
        measured[name] = {"value": metric(truth, values), "low": low, "high": high}
    return measured


def _fit_trees(values: FloatArray, labels: FloatArray, options: TrainingOptions) -> xgboost.Booster:
    import xgboost

    small = len(labels) < SMALL_ENOUGH_FOR_ONE_THREAD
    threads = options.threads or (1 if small else os.cpu_count() or 1)
    data = xgboost.DMatrix(values, label=labels, nthread=threads)
    settings = options.parameters() | {"nthread": threads}
    return xgboost.train(settings, data, num_boost_round=options.rounds)


def _margins(trees: xgboost.Booster, values: FloatArray) -> FloatArray:
    if not len(values):
        return np.empty(0)
    import xgboost

    data = xgboost.DMatrix(values, nthread=1)
    return np.asarray(trees.predict(data, output_margin=True), dtype=np.float64)


def _fit_baselines(
    frame: pd.DataFrame, labels: FloatArray, named: dict[str, str]
) -> dict[str, Baseline]:
    if not named:
        return {}
    recency = named["recency"]
    everything = (recency, named["frequency"], named["value"])
    return {
        "recency": _fit_baseline(frame, labels, (recency,), recency),
        "recency_frequency_value": _fit_baseline(frame, labels, everything, recency),
    }


def _fit_baseline(
    frame: pd.DataFrame, labels: FloatArray, columns: tuple[str, ...], recency: str
) -> Baseline:
    from sklearn.linear_model import LogisticRegression

    observed = _matrix(frame, (recency,), "baseline")
    never = 2 * float(np.nanmax(observed)) + 1 if np.isfinite(observed).any() else 1.0
    design = _log_columns(frame, columns, recency, never)
    centre, scale = design.mean(axis=0), design.std(axis=0)
    scale[scale == 0] = 1.0
    fitted = LogisticRegression(max_iter=1000).fit((design - centre) / scale, labels)
    return Baseline(
        columns=columns,
        recency=recency,
        never=never,
        centre=tuple(centre.tolist()),
        scale=tuple(scale.tolist()),
        weights=tuple(fitted.coef_[0].tolist()),
        intercept=float(fitted.intercept_[0]),
    )


def _baseline(data: dict[str, Any]) -> Baseline:
    plain: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
    }
    return Baseline(**plain)


def _log_columns(
    frame: pd.DataFrame, columns: tuple[str, ...], recency: str, never: float
) -> FloatArray:
    raw = _matrix(frame, columns, "baseline").astype(np.float64)
    filler = np.array([never if column == recency else 0.0 for column in columns])
    filled = np.where(np.isnan(raw), filler, raw)
    return np.asarray(np.sign(filled) * np.log1p(np.abs(filled)), dtype=np.float64)


def _require(frame: pd.DataFrame, columns: Sequence[str], target: str) -> None:
    missing = [column for column in dict.fromkeys(columns) if column not in frame.columns]
    if missing:
        raise ModelError(
            f"columns that target {target!r} needs are not in the features",
            found=f"{len(missing)} missing: " + ", ".join(missing[:10]),
            fix="rebuild the features, or retrain with today's definitions",
        )


def _matrix(frame: pd.DataFrame, columns: Sequence[str], target: str) -> Any:
    """float32 (rows, columns) as XGBoost reads it; decimals, bools and nulls are fine."""
    _require(frame, columns, target)
    values = np.empty((len(frame), len(columns)), dtype=np.float32)
    limit = np.finfo(np.float32).max
    for index, column in enumerate(columns):
        numbers = frame[column].astype("float64").to_numpy(dtype=np.float64, na_value=np.nan)
        values[:, index] = np.clip(numbers, -limit, limit)
    return values


def _ordered(
    frame: pd.DataFrame, target: str, *, label: str, as_of: str, user: str
) -> tuple[pd.DataFrame, npt.NDArray[np.datetime64], FloatArray]:
    """Rows by day and user, so that no row order changes the model."""
    import pandas as pd

    days = pd.to_datetime(frame[as_of]).to_numpy(dtype="datetime64[D]")
    users = frame[user].astype(str).to_numpy(dtype=object)
    order = np.lexsort((users, days)) if len(frame) else np.empty(0, dtype=np.int64)
    truth = pd.to_numeric(frame[label], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    repeated = int(pd.DataFrame({"day": days, "user": users}).duplicated().sum())
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


def _user_quarters(users: pd.Series[Any]) -> npt.NDArray[np.int64]:
    """A stable number 0..3 for each user, by hash."""
    digests = (hashlib.sha256(str(each).encode()).digest()[0] for each in users)
    return np.fromiter(digests, dtype=np.int64, count=len(users)) % 4


def _digest(description: dict[str, Any], booster: bytes) -> str:
    canonical = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode() + b"\0" + booster).hexdigest()
