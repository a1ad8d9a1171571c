"""Features of more training rows than fit in memory: a matrix in a file, read in blocks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from behavior_spark.model.arrays import Bools, Floats, Integers

BLOCK_ROWS = 65_536


@dataclass(frozen=True, eq=False)
class MatrixOnDisk:
    """Rows and columns of a matrix in a file; choosing others copies nothing.

    Attributes:
        stored: The file's matrix, float32 (stored rows, stored columns), mapped into memory.
        rows: Rows of it that are meant, in order, int64 (rows,).
        columns: Columns of it, int64 (columns,).
    """

    stored: npt.NDArray[np.float32]
    rows: Integers
    columns: Integers

    @classmethod
    def read(cls, path: Path, *, columns: int) -> MatrixOnDisk:
        """The matrix of a file of float32, row by row."""
        rows = path.stat().st_size // (4 * columns)
        if not rows:
            stored = np.empty((0, columns), dtype=np.float32)
        else:
            stored = np.memmap(path, dtype=np.float32, mode="r", shape=(rows, columns))
        return cls(stored, np.arange(rows), np.arange(columns))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return len(self.rows), len(self.columns)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, rows: Bools | Integers) -> MatrixOnDisk:
        """Some of the rows, by a mask (rows,) or by number."""
        return replace(self, rows=self.rows[rows])

    def with_columns(self, columns: Bools) -> MatrixOnDisk:
        """The columns of a mask (columns,)."""
        return replace(self, columns=self.columns[columns])

    def blocks(self, size: int = BLOCK_ROWS) -> Iterator[Floats]:
        """The rows in order, float32 (up to ``size``, columns) each."""
        for start in range(0, len(self.rows), size):
            yield self.stored[self.rows[start : start + size]][:, self.columns]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Floats:
        """All of it in memory: only of few rows."""
        del copy
        whole = self.stored[self.rows][:, self.columns]
        return whole if dtype is None else whole.astype(dtype)


Matrix = Floats | MatrixOnDisk


def blocks_of(values: Matrix) -> Iterator[Floats]:
    """The rows of a matrix in blocks; of one in memory all at once."""
    if isinstance(values, MatrixOnDisk):
        yield from values.blocks()
    else:
        yield values


def rows_of(values: Matrix, rows: Bools | Integers) -> Matrix:
    """Some rows of a matrix, by a mask or by number."""
    return values.take(rows) if isinstance(values, MatrixOnDisk) else values[rows]


def columns_of(values: Matrix, columns: Bools) -> Matrix:
    """Some columns of a matrix, by a mask."""
    if isinstance(values, MatrixOnDisk):
        return values.with_columns(columns)
    return values[:, columns]
