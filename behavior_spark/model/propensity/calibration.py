"""Convert margins to probabilities: Platt's sigmoid or isotonic regression.

A calibrator consists of numbers and is stored as JSON, not pickled. It is fitted on margins of
rows that the model was not trained on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self, cast

import numpy as np
import numpy.typing as npt

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Doubles

CalibratorKind = Literal["platt", "isotonic", "identity"]
CalibrationChoice = Literal["auto", "platt", "isotonic", "identity"]

ENOUGH_FOR_ISOTONIC = 1_000


@dataclass(frozen=True)
class Calibrator:
    """A monotone non-decreasing map from margins (log-odds) to probabilities.

    Attributes:
        kind: `platt`: sigmoid(slope * margin + intercept); `isotonic`: linear between
            the points (`margins`, `probabilities`), constant outside; `identity`: sigmoid(margin).
        slope: Slope of Platt's sigmoid, >= 0.
        intercept: Intercept of Platt's sigmoid.
        margins: Margins of the isotonic points, ascending.
        probabilities: Probabilities of the isotonic points, non-decreasing, in (0, 1).

    >>> Calibrator("platt", slope=1.0, intercept=0.0).predict([0.0])
    array([0.5])
    """

    kind: CalibratorKind
    slope: float = 1.0
    intercept: float = 0.0
    margins: tuple[float, ...] = ()
    probabilities: tuple[float, ...] = ()

    def predict(self, margins: npt.ArrayLike) -> Doubles:
        """Probabilities, float64 of shape (n,), for margins of shape (n,)."""
        values = np.asarray(margins, dtype=np.float64)
        if self.kind == "isotonic":
            interpolated = np.interp(values, self.margins, self.probabilities)
            # Rounding may lift a value just above the next point: probabilities must not fall.
            following = np.searchsorted(self.margins, values).clip(max=len(self.margins) - 1)
            bound: Doubles = np.array(self.probabilities)[following]
            return np.asarray(np.minimum(interpolated, bound))
        return _sigmoid(self.slope * values + self.intercept)

    def to_json(self) -> dict[str, Any]:
        """JSON values, from which :meth:`from_json` restores floats exactly."""
        data: dict[str, Any] = {"kind": self.kind}
        if self.kind == "platt":
            data |= {"slope": self.slope, "intercept": self.intercept}
        if self.kind == "isotonic":
            data |= {"margins": list(self.margins), "probabilities": list(self.probabilities)}
        return data

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The calibrator that `to_json` wrote."""
        kind = data.get("kind")
        if kind not in ("platt", "isotonic", "identity"):
            raise ModelError("unknown calibrator", found=repr(kind), fix="retrain the model")
        return cls(
            kind=cast(CalibratorKind, kind),
            slope=float(data.get("slope", 1.0)),
            intercept=float(data.get("intercept", 0.0)),
            margins=tuple(float(value) for value in data.get("margins", ())),
            probabilities=tuple(float(value) for value in data.get("probabilities", ())),
        )


def fit_calibrator(
    margins: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    kind: CalibrationChoice = "auto",
    weights: npt.ArrayLike | None = None,
) -> Calibrator:
    """Fit a calibrator on rows that the model was not trained on.

    Args:
        margins: Margins of the model, shape (n,).
        labels: 0 or 1, shape (n,).
        kind: `auto` chooses isotonic regression if each class has 1,000 rows or more, else
            Platt's sigmoid, because isotonic regression overfits small samples (Niculescu-Mizil &
            Caruana 2005).
        weights: How often each row counts, shape (n,); by default once.

    Raises:
        ModelError: The kind is unknown, a margin is not finite, or labels have one class.
    """
    values = np.asarray(margins, dtype=np.float64)
    truth = np.asarray(labels, dtype=np.float64)
    counts = np.ones_like(truth) if weights is None else np.asarray(weights, dtype=np.float64)
    positives = int(truth.sum())
    negatives = truth.size - positives
    if kind == "identity":
        return Calibrator("identity")
    if kind not in ("auto", "platt", "isotonic"):
        raise ModelError(
            "unknown calibration", found=repr(kind), fix="auto, platt, isotonic or identity"
        )
    if not positives or not negatives or not np.isfinite(values).all():
        raise ModelError(
            "a calibrator needs finite margins and both classes",
            found=f"{positives} positives, {negatives} negatives",
            fix="calibrate on a day, or users, with both outcomes",
        )
    if kind == "auto":
        enough = min(positives, negatives) >= ENOUGH_FOR_ISOTONIC
        kind = "isotonic" if enough else "platt"
    fit = _fit_isotonic if kind == "isotonic" else _fit_platt
    return fit(values, truth, counts)


def _sigmoid(values: Doubles) -> Doubles:
    odds = np.exp(-np.abs(values))
    return np.where(values >= 0, 1 / (1 + odds), odds / (1 + odds))


def _fit_isotonic(margins: Doubles, labels: Doubles, counts: Doubles) -> Calibrator:
    """Isotonic regression (pool adjacent violators), clipped to [1 / (n + 2), 1 - 1 / (n + 2)]."""
    from sklearn.isotonic import IsotonicRegression

    edge = 1 / (labels.size + 2)
    fitted = IsotonicRegression(out_of_bounds="clip").fit(margins, labels, counts)
    heights = np.maximum.accumulate(np.clip(fitted.y_thresholds_, edge, 1 - edge))
    return Calibrator(
        "isotonic",
        margins=tuple(float(value) for value in fitted.X_thresholds_),
        probabilities=tuple(float(value) for value in heights),
    )


def _fit_platt(margins: Doubles, labels: Doubles, counts: Doubles) -> Calibrator:
    """Platt scaling (Platt 1999) with smoothed targets, by damped Newton (Lin et al. 2007).

    A row that stands for many counts as many, in the smoothing too.
    """
    positives = counts[labels > 0].sum()
    negatives = counts.sum() - positives
    targets = np.where(labels > 0, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    centre, spread = float(margins.mean()), float(margins.std()) or 1.0
    design = np.column_stack([(margins - centre) / spread, np.ones_like(margins)])
    flat = np.array([0.0, _logit(float(np.average(targets, weights=counts)))])
    beta = flat
    loss = _cross_entropy(design @ beta, targets, counts)
    for _ in range(100):
        predicted = _sigmoid(design @ beta)
        gradient = design.T @ (counts * (predicted - targets))
        curvature = design.T @ (design * (counts * predicted * (1 - predicted))[:, None])
        step = np.linalg.solve(curvature + 1e-10 * np.eye(2), gradient)
        scale = 1.0
        while (tried := _cross_entropy(design @ (beta - scale * step), targets, counts)) > loss:
            scale /= 2
            if scale < 1e-8:
                break
        if scale < 1e-8 or loss - tried < 1e-12 * max(loss, 1.0):
            break
        beta, loss = beta - scale * step, tried
    if beta[0] <= 0:  # margins do not rank better than chance: predict the base rate
        return Calibrator("platt", slope=0.0, intercept=float(flat[1]))
    slope = float(beta[0]) / spread
    return Calibrator("platt", slope=slope, intercept=float(beta[1]) - slope * centre)


def _cross_entropy(margins: Doubles, targets: Doubles, counts: Doubles) -> float:
    return float((counts * (np.logaddexp(0.0, margins) - targets * margins)).sum())


def _logit(probability: float) -> float:
    return float(np.log(probability / (1 - probability)))
