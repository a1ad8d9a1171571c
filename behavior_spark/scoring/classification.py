"""Apply heads to stored embeddings: a matrix product, without a forward pass of the encoder."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from behavior_spark.model.heads.head import Head
from behavior_spark.schemas import TEXT_SCORES
from behavior_spark.scoring.arrow import map_array, matrix_of


def classify(embeddings: DataFrame, heads: Sequence[Head], *, at: dt.datetime) -> DataFrame:
    """Apply every head to every embedding in one pass: columns of ``text_scores``.

    Where a head abstains, the label is null and the probabilities are still given.

    Args:
        embeddings: ``text_hash, embedding``; rows without an embedding are left out.
        heads: Heads to apply; Spark sends their weights to the workers with the function.
        at: When the heads ran, UTC.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if not len(batch):
                continue
            matrix = matrix_of(batch.column("embedding"), len(batch))
            for head in heads:
                yield _record_batch(batch.column("text_hash"), matrix, head, at)

    known = embeddings.where("embedding IS NOT NULL").select("text_hash", "embedding")
    return known.mapInArrow(run, TEXT_SCORES.schema)


def _record_batch(
    keys: pa.Array, matrix: np.ndarray, head: Head, at: dt.datetime
) -> pa.RecordBatch:
    probabilities, codes = head.answer(matrix)
    rows = len(keys)
    labels = pa.array(head.labels, type=pa.string())
    return pa.RecordBatch.from_arrays(
        [
            keys,
            pa.repeat(head.digest, rows),
            pa.repeat(head.name, rows),
            labels.take(pa.array(codes, mask=codes < 0)),
            pa.array(head.confidence(probabilities), type=pa.float32()),
            map_array(probabilities, head.labels),
            pa.repeat(pa.scalar(at, pa.timestamp("us", tz="UTC")), rows),
        ],
        names=TEXT_SCORES.names,
    )
