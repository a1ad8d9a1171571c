"""What a user's texts say: shares of labels, and closeness to each target's items."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DecimalType, StringType, StructField, StructType

from behavior_spark.features.declared import DOUBLE, LONG, Feature, label_slugs

# Similarities are kept to six decimals, as exact numbers: their sums do not depend on
# the order of rows, so that two runs give the same table.
_SIMILARITY = DecimalType(9, 6)


def text_features(
    heads: Mapping[str, Sequence[str]], similar_to: Sequence[str], windows: Sequence[int]
) -> list[Feature]:
    """The features that :func:`build_texts` gives.

    Args:
        heads: Labels of each classification head.
        similar_to: Targets that have items to be close to.
        windows: Days before as_of.
    """
    features = []
    for days in windows:
        window = f"in the {days} days before as_of"
        features.append(Feature(f"text_count_{days}d", LONG, f"texts {window}"))
        for target in similar_to:
            features += [
                Feature(f"text_similarity_{target}_{days}d", DOUBLE, "mean cosine similarity of "
                        f"texts {window} to the items of {target}", zero=False),
                Feature(f"text_similarity_max_{target}_{days}d", DOUBLE, "largest cosine "
                        f"similarity of a text {window} to the items of {target}", zero=False),
            ]  # fmt: skip
        for head, labels in heads.items():
            features += [
                Feature(f"{head}_{part}_share_{days}d", DOUBLE,
                        f"share of texts {window} whose {head} is {label}", zero=False)
                for label, part in label_slugs(labels).items()
            ]  # fmt: skip
    return features


def labels_by_text(scores: DataFrame, heads: Mapping[str, str]) -> DataFrame:
    """One row per text_hash with a column ``label_<head>`` for each head.

    Args:
        scores: ``text_scores``.
        heads: Digest of each head.
    """
    wanted = scores.where(F.col("head_digest").isin(*heads.values()))
    return wanted.groupBy("text_hash").agg(
        *[
            F.max(F.when(F.col("head_digest") == digest, F.col("label"))).alias(f"label_{head}")
            for head, digest in heads.items()
        ]
    )


def similarities_by_text(embeddings: DataFrame, directions: np.ndarray) -> DataFrame:
    """One row per text_hash with ``similarities``: cosine to each direction.

    Args:
        embeddings: ``text_hash, embedding`` (unit vectors), one row per text.
        directions: [directions, dimension], unit vectors; a row of zeros gives nulls.
    """
    schema = StructType(
        [
            StructField("text_hash", StringType()),
            StructField("similarities", ArrayType(_SIMILARITY)),
        ]
    )
    known = np.linalg.norm(directions, axis=1) > 0
    # In double precision: a float32 product depends on the size of the batch by more than
    # the sixth decimal bears.
    directions = directions.astype(np.float64)

    def compare(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            cosine = np.zeros((len(batch), len(directions)))
            if known.any():
                vectors = batch.column("embedding").flatten().to_numpy(zero_copy_only=False)
                matrix = vectors.reshape(len(batch), directions.shape[1]).astype(np.float64)
                cosine = np.round(matrix @ directions.T, 6)
            mask = np.broadcast_to(~known, cosine.shape).ravel()
            values = pa.array(cosine.ravel(), mask=mask).cast(pa.decimal128(9, 6), safe=False)
            offsets = pa.array(np.arange(len(batch) + 1, dtype=np.int32) * len(directions))
            yield pa.RecordBatch.from_arrays(
                [batch.column("text_hash"), pa.ListArray.from_arrays(offsets, values)],
                names=["text_hash", "similarities"],
            )

    scored = embeddings.where(F.col("embedding").isNotNull()).select("text_hash", "embedding")
    return scored.mapInArrow(compare, schema)


def build_texts(
    seen: DataFrame,
    *,
    heads: Mapping[str, Sequence[str]],
    similar_to: Sequence[str],
    windows: Sequence[int],
) -> DataFrame:
    """One row per (as_of, user_id) with the text features.

    Args:
        seen: Texts as seen by each as_of (``as_seen``), joined with ``label_<head>`` columns
            and ``similarities``: for each as_of_index in turn one for each target.
        heads: Labels of each head.
        similar_to: Targets in the order of the similarities.
        windows: Days before as_of.
    """
    columns: list[Column] = []
    for days in windows:
        inside = F.col("days_ago") <= days
        columns.append(F.count_if(inside).alias(f"text_count_{days}d"))
        for index, target in enumerate(similar_to):
            place = F.col("as_of_index") * len(similar_to) + index + 1
            close = F.when(inside, F.try_element_at("similarities", place))
            count, total = F.count(close), F.sum(close).cast("double")
            columns += [
                F.round(F.try_divide(total, count), 6).alias(f"text_similarity_{target}_{days}d"),
                F.max(close).cast("double").alias(f"text_similarity_max_{target}_{days}d"),
            ]
        for head, labels in heads.items():
            label = F.col(f"label_{head}")
            scored = F.count_if(inside & label.isNotNull())
            columns += [
                F.try_divide(F.count_if(inside & (label == name)).cast("double"), scored).alias(
                    f"{head}_{part}_share_{days}d"
                )
                for name, part in label_slugs(labels).items()
            ]
    return seen.groupBy("as_of", "user_id").agg(*columns)
