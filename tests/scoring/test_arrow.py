"""Arrow columns made from arrays, and batches gathered."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from behavior_spark.scoring.arrow import gather, list_array, map_array, matrix_of


def test_a_list_array_keeps_values_and_missing_rows() -> None:
    matrix = np.arange(12, dtype=np.float32).reshape(4, 3)
    missing = np.array([False, True, False, True])
    assert list_array(matrix, missing=missing).to_pylist() == [
        [0.0, 1.0, 2.0], None, [6.0, 7.0, 8.0], None,
    ]  # fmt: skip
    whole = list_array(matrix, missing=np.zeros(4, dtype=bool))
    assert whole.to_pylist() == matrix.tolist()
    assert (matrix_of(whole.slice(1, 2), 2) == matrix[1:3]).all()


def test_a_map_array_has_every_key_in_every_row() -> None:
    found = map_array(np.array([[0.25, 0.75], [1.0, 0.0]]), ["a", "b"]).to_pylist()
    assert found == [[("a", 0.25), ("b", 0.75)], [("a", 1.0), ("b", 0.0)]]


@given(sizes=st.lists(st.integers(0, 7), max_size=12), rows=st.integers(1, 10))
def test_gathered_batches_hold_the_same_rows_and_are_large(sizes: list[int], rows: int) -> None:
    starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    batches = [
        pa.RecordBatch.from_pydict({"n": list(range(start, start + size))})
        for start, size in zip(starts, sizes, strict=False)
    ]
    found = list(gather(iter(batches), rows=rows, size=1 << 30))
    assert [n for batch in found for n in batch.column("n").to_pylist()] == list(range(sum(sizes)))
    assert all(len(batch) >= rows for batch in found[:-1])
    assert all(0 < len(batch) < rows + 7 for batch in found)


def test_batches_are_given_on_when_they_are_large_in_bytes() -> None:
    batch = pa.RecordBatch.from_pydict({"text": ["x" * 1000] * 10})
    found = list(gather(iter([batch] * 4), rows=1000, size=15_000))
    assert [len(each) for each in found] == [20, 20]
