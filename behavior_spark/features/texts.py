"""Labels and similarities of texts, by text hash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DecimalType, StringType, StructField, StructType

# Similarities are decimals with six digits: their sums do not depend on the order of rows, so that
# two runs give the same table.
EXACT = DecimalType(9, 6)


def label_column(head: str) -> str:
    """Column of the texts' label by a head."""
    return f"label_{head}"


def probabilities_column(head: str) -> str:
    """Column of the texts' label probabilities by a head."""
    return f"probabilities_{head}"


def labels_by_text(
    scores: DataFrame, heads: Mapping[str, str], *, with_probabilities: Sequence[str] = ()
) -> DataFrame:
    """One row per text_hash with a column ``label_<head>`` for each head, of its newest score.

    Args:
        scores: ``text_scores``.
        heads: Digest of each head.
        with_probabilities: Heads for which ``probabilities_<head>`` (map) is added.
    """
    head_scores = scores.where(F.col("head_digest").isin(*heads.values()))
    columns = []
    for head, digest in heads.items():
        is_head = F.col("head_digest") == digest
        # A text that was scored again has several rows; of one moment the larger label counts.
        at = F.when(is_head, F.struct("scored_at", "label"))
        columns.append(F.max_by("label", at).alias(label_column(head)))
        if head in with_probabilities:
            probabilities = F.max_by("probabilities", at)
            columns.append(probabilities.alias(probabilities_column(head)))
    return head_scores.groupBy("text_hash").agg(*columns)


def similarities_by_text(embeddings: DataFrame, directions: np.ndarray) -> DataFrame:
    """One row per text_hash with ``similarities``: cosine similarity to each direction.

    Args:
        embeddings: ``text_hash, embedding`` (unit vectors), one row per text.
        directions: [directions, dimension], unit vectors; a row of zeros gives nulls.
    """
    schema = StructType(
        [
            StructField("text_hash", StringType()),
            StructField("similarities", ArrayType(EXACT)),
        ]
    )
    has_direction = np.linalg.norm(directions, axis=1) > 0
    # In float64: a float32 product depends on the size of the batch in the sixth decimal.
    directions = directions.astype(np.float64)

    def compare(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            cosine = np.zeros((len(batch), len(directions)))
            if has_direction.any():
                vectors = batch.column("embedding").flatten().to_numpy(zero_copy_only=False)
                matrix = vectors.reshape(len(batch), directions.shape[1]).astype(np.float64)
                cosine = np.round(matrix @ directions.T, 6)
            mask = np.broadcast_to(~has_direction, cosine.shape).ravel()
            values = pa.array(cosine.ravel(), mask=mask).cast(pa.decimal128(9, 6), safe=False)
            offsets = pa.array(np.arange(len(batch) + 1, dtype=np.int32) * len(directions))
            yield pa.RecordBatch.from_arrays(
                [batch.column("text_hash"), pa.ListArray.from_arrays(offsets, values)],
                names=["text_hash", "similarities"],
            )

    scored = embeddings.where(F.col("embedding").isNotNull()).select("text_hash", "embedding")
    return scored.mapInArrow(compare, schema)
