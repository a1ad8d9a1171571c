"""Suggest approved answers for texts by their stored embeddings: one product for each group."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.types import DoubleType, StringType, StructField, StructType

from behavior_spark.model.encoder.answers import AnswerIndex

_REPLY = [
    StructField("reply_id", StringType()),
    StructField("reply_similarity", DoubleType()),
    StructField("no_reply_because", StringType()),
]


def with_replies(
    frame: DataFrame, index: AnswerIndex, *, needs: str, language: str, embedding: str
) -> DataFrame:
    """Replace three columns by ``reply_id``, ``reply_similarity`` and ``no_reply_because``.

    Args:
        frame: Any columns beside these.
        index: The answers; Spark sends them to the workers with the function.
        needs: Column of the needs that an answer must fit, an array of strings; null: none.
        language: Column of the text's language; null: every answer may do.
        embedding: Column of the embedding, an array of float; null: the text was not embedded.
    """
    read = (needs, language, embedding)
    kept = [field for field in frame.schema.fields if field.name not in read]

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if not len(batch):
                continue
            replies = index.reply(
                _vectors(batch.column(embedding), index),
                batch.column(needs).to_pylist(),
                batch.column(language).to_pylist(),
            )
            cosines = pa.array(replies.similarities, mask=np.isnan(replies.similarities))
            columns = [batch.column(field.name) for field in kept]
            columns += [pa.array(replies.ids, pa.string()), cosines,
                        pa.array(replies.reasons, pa.string())]  # fmt: skip
            names = [field.name for field in (*kept, *_REPLY)]
            yield pa.RecordBatch.from_arrays(columns, names)

    return frame.mapInArrow(run, StructType([*kept, *_REPLY]))


def _vectors(column: pa.Array, index: AnswerIndex) -> np.ndarray:
    """float32 [rows, dimension]; NaN for null, and for vectors of another length."""
    width = index.vectors.shape[1] if index.vectors.ndim == 2 else 0
    vectors = np.full((len(column), width), np.nan, dtype=np.float32)
    lengths = column.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False)
    fitting = np.flatnonzero(lengths == width) if width else np.array([], dtype=np.int64)
    if len(fitting):
        flat = column.take(pa.array(fitting)).flatten().to_numpy(zero_copy_only=False)
        vectors[fitting] = np.asarray(flat, dtype=np.float32).reshape(len(fitting), width)
    return vectors
