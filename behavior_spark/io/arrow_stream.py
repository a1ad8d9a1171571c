"""Read the rows of a frame on the driver batch by batch, as Arrow, without holding them all."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
from pyspark.sql import DataFrame


def stream_batches(frame: DataFrame) -> Iterator[pa.RecordBatch]:
    """The rows as record batches, partition by partition; the driver holds one partition's.

    Workers pack each batch into one binary value (Arrow's stream format), because Spark gives the
    driver rows one at a time: a row a batch costs as much as a row a user otherwise would.

    Args:
        frame: The rows; each partition is computed when it is asked for, after the last shuffle.
    """
    for row in frame.mapInArrow(_pack, "batch binary").toLocalIterator():
        with pa.ipc.open_stream(bytes(row["batch"])) as reader:
            yield from reader


def _pack(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as writer:
            writer.write_batch(batch)
        packed = pa.array([sink.getvalue().to_pybytes()], pa.binary())
        yield pa.RecordBatch.from_arrays([packed], names=["batch"])
