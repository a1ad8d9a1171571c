"""Baselines that a model must beat: linear models of recency, frequency and value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from behavior_spark.model.arrays import Doubles
from behavior_spark.model.propensity.feature_matrix import feature_matrix
from behavior_spark.model.propensity.target_kind import TargetKind

if TYPE_CHECKING:
    import pandas as pd

BASELINES = {
    "recency": ("recency",),
    "recency_frequency_value": ("recency", "frequency", "value"),
}
OWN_PAST = {"own_past": ("past",)}


@dataclass(frozen=True)
class Baseline:
    """A linear model of standardised log1p columns, stored as coefficients.

    Attributes:
        columns: Columns that it reads.
        recency: Name of the recency column; empty without one.
        never: Value for a null recency, which means "never"; other nulls are 0.
        centre: Mean of each column after log1p.
        scale: Standard deviation of each column after log1p.
        weights: Coefficient of each standardised column.
        intercept: Intercept of the margin.
    """

    columns: tuple[str, ...]
    recency: str
    never: float
    centre: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float

    def scores(self, frame: pd.DataFrame) -> Doubles:
        """Margins on the same scale as the model's, float64 (rows,)."""
        design = _log_columns(frame, self.columns, self.recency, self.never)
        scaled = (design - np.array(self.centre)) / np.array(self.scale)
        return np.asarray(scaled @ np.array(self.weights) + self.intercept, dtype=np.float64)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The baseline from the JSON values of its ``asdict``."""
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in data.items()
        }
        return cls(**plain)


def fit_baselines(
    frame: pd.DataFrame,
    labels: Doubles,
    named: dict[str, str],
    *,
    weights: Doubles,
    kind: TargetKind,
) -> dict[str, Baseline]:
    """Fit the baselines of a kind of target whose columns are all given.

    Args:
        frame: Training rows.
        labels: Labels, float64 (rows,).
        named: Column by role: ``recency`` (null means never), ``frequency``, ``value``, ``past``.
        weights: Number of rows that each row represents, float64 (rows,).
        kind: Kind of target.
    """
    return {
        name: _fit_baseline(
            frame,
            labels,
            weights,
            tuple(named[key] for key in keys),
            named.get("recency", ""),
            kind,
        )
        for name, keys in kind.baselines.items()
        if all(key in named for key in keys)
    }


def _fit_baseline(
    frame: pd.DataFrame,
    labels: Doubles,
    weights: Doubles,
    columns: tuple[str, ...],
    recency: str,
    kind: TargetKind,
) -> Baseline:
    never = 1.0
    if recency:
        observed = feature_matrix(frame, (recency,), "baseline")
        never = 2 * float(np.nanmax(observed)) + 1 if np.isfinite(observed).any() else 1.0
    design = _log_columns(frame, columns, recency, never)
    centre, scale = design.mean(axis=0), design.std(axis=0)
    scale[scale == 0] = 1.0
    coefficients, intercept = kind.fit_linear((design - centre) / scale, labels, weights=weights)
    return Baseline(
        columns=columns,
        recency=recency,
        never=never,
        centre=tuple(centre.tolist()),
        scale=tuple(scale.tolist()),
        weights=tuple(coefficients.tolist()),
        intercept=intercept,
    )


def _log_columns(
    frame: pd.DataFrame, columns: tuple[str, ...], recency: str, never: float
) -> Doubles:
    raw = feature_matrix(frame, columns, "baseline").astype(np.float64)
    filler = np.array([never if column == recency else 0.0 for column in columns])
    filled = np.where(np.isnan(raw), filler, raw)
    return np.asarray(np.sign(filled) * np.log1p(np.abs(filled)), dtype=np.float64)
