"""Convert feature columns of a table to a matrix for learners and baselines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Bools, Floats

if TYPE_CHECKING:
    import pandas as pd


def require_columns(frame: pd.DataFrame, columns: Sequence[str], target: str) -> None:
    """Check that the frame has all columns.

    Raises:
        ModelError: Columns are missing; the message names them.
    """
    missing = [column for column in dict.fromkeys(columns) if column not in frame.columns]
    if missing:
        raise ModelError(
            f"columns that target {target!r} needs are not in the features",
            found=f"{len(missing)} missing: " + ", ".join(missing[:10]),
            fix="rebuild the features, or retrain with today's definitions",
        )


def feature_matrix(frame: pd.DataFrame, columns: Sequence[str], target: str) -> Any:
    """Feature columns as float32 (rows, columns); nulls become NaN, large values are clipped.

    Args:
        frame: Table with the columns; they may be decimals, bools and nullable numbers.
        columns: Columns to read, in order.
        target: Name of the target, for the error message.

    Raises:
        ModelError: A column is missing.
    """
    require_columns(frame, columns, target)
    values = np.empty((len(frame), len(columns)), dtype=np.float32)
    limit = np.finfo(np.float32).max
    for index, column in enumerate(columns):
        numbers = frame[column].astype("float64").to_numpy(dtype=np.float64, na_value=np.nan)
        values[:, index] = np.clip(numbers, -limit, limit)
    return values


def varying_columns(values: Floats) -> Bools:
    """Whether each column differs between rows, bool [columns]; missing differs from any number.

    Args:
        values: float32 (rows, columns) of :func:`feature_matrix`.
    """
    missing = np.isnan(values)
    differs = np.fmin.reduce(values, axis=0) < np.fmax.reduce(values, axis=0)
    return np.asarray(differs | (missing.any(axis=0) & ~missing.all(axis=0)))
