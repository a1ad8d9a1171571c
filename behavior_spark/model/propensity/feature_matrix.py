"""Convert feature columns of a table to a matrix for learners and baselines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Bools, Floats
from behavior_spark.model.propensity.matrix_on_disk import Matrix, blocks_of

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa


def require_columns(frame: Any, columns: Sequence[str], target: str) -> None:
    """Check that the frame, of pandas or Spark, has all columns.

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
    return _as_matrix(
        (
            frame[column].astype("float64").to_numpy(dtype=np.float64, na_value=np.nan)
            for column in columns
        ),
        shape=(len(frame), len(columns)),
    )


def matrix_of_batch(batch: pa.RecordBatch, columns: Sequence[str]) -> Floats:
    """The same of an Arrow batch whose columns are doubles, without a copy to pandas."""
    return _as_matrix(
        # Nulls become NaN.
        (batch.column(column).to_numpy(zero_copy_only=False) for column in columns),
        shape=(batch.num_rows, len(columns)),
    )


def _as_matrix(columns: Iterable[Any], *, shape: tuple[int, int]) -> Floats:
    values = np.empty(shape, dtype=np.float32)
    limit = np.finfo(np.float32).max
    for index, numbers in enumerate(columns):
        np.clip(numbers, -limit, limit, out=values[:, index], casting="same_kind")
    return values


def varying_columns(values: Matrix) -> Bools:
    """Whether each column differs between rows, bool [columns]; missing differs from any number.

    Args:
        values: float32 (rows, columns) of :func:`feature_matrix`, or on disk.
    """
    least = np.full(values.shape[1], np.nan, dtype=np.float32)
    most = least.copy()
    some_missing, all_missing = np.zeros(len(least), bool), np.ones(len(least), bool)
    for block in blocks_of(values):
        missing = np.isnan(block)
        least = np.fmin(least, np.fmin.reduce(block, axis=0))
        most = np.fmax(most, np.fmax.reduce(block, axis=0))
        some_missing |= missing.any(axis=0)
        all_missing &= missing.all(axis=0)
    return np.asarray((least < most) | (some_missing & ~all_missing))
