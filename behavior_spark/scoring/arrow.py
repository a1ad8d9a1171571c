"""Convert numpy arrays to Arrow columns and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa


def list_array(matrix: np.ndarray, *, missing: np.ndarray) -> pa.ListArray:
    """A float32 matrix [rows, width] as an Arrow list array without copying row by row.

    Args:
        matrix: Values.
        missing: bool [rows]; rows that are True become null.
    """
    kept = np.ascontiguousarray(matrix[~missing] if missing.any() else matrix, dtype=np.float32)
    widths = np.where(missing, 0, matrix.shape[1])
    offsets = np.concatenate([[0], np.cumsum(widths)]).astype(np.int32)
    values = pa.array(kept.ravel())
    if not missing.any():
        return pa.ListArray.from_arrays(pa.array(offsets), values)
    starts = pa.array(offsets, mask=np.append(missing, False))
    return pa.ListArray.from_arrays(starts, values)


def matrix_of(column: pa.Array, rows: int) -> np.ndarray:
    """An Arrow list column without nulls as float32 [rows, width]."""
    flat = column.flatten().to_numpy(zero_copy_only=False)
    return np.asarray(flat, dtype=np.float32).reshape(rows, -1)


def map_array(matrix: np.ndarray, keys: Sequence[str]) -> pa.MapArray:
    """A matrix [rows, keys] as an Arrow map array of float32: every row has every key."""
    rows, width = matrix.shape
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * width)
    names = pa.array(list(keys), type=pa.string()).take(
        pa.array(np.tile(np.arange(width, dtype=np.int32), rows))
    )
    return pa.MapArray.from_arrays(offsets, names, pa.array(matrix.astype(np.float32).ravel()))


def gather(batches: Iterator[pa.RecordBatch], *, rows: int, size: int) -> Iterator[pa.RecordBatch]:
    """Concatenate batches until each has at least ``rows`` rows or ``size`` bytes.

    The last batch may have fewer.

    Args:
        batches: Batches of one schema; those without rows are dropped.
        rows: Rows from which a batch is yielded.
        size: Bytes from which a batch is yielded.
    """
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        if not len(batch):
            continue
        waiting.append(batch)
        if sum(map(len, waiting)) >= rows or sum(b.nbytes for b in waiting) >= size:
            yield _joined(waiting)
            waiting = []
    if waiting:
        yield _joined(waiting)


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]
