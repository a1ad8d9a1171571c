"""Embed and classify texts in Spark workers: one Arrow stage, CPU or GPU."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.errors import ModelError
from behavior_spark.model.heads import Head
from behavior_spark.model.model_folder import EncoderOptions
from behavior_spark.schemas import TEXT_EMBEDDINGS, TEXT_SCORES


def distinct_texts(texts: DataFrame, *, hash_column: str, text_column: str) -> DataFrame:
    """Columns ``text_hash, text``, one row per distinct text; nulls left out."""
    named = texts.select(F.col(hash_column).alias("text_hash"), F.col(text_column).alias("text"))
    return (
        named.where("text_hash IS NOT NULL AND text IS NOT NULL")
        .groupBy("text_hash")
        .agg(F.min("text").alias("text"))
    )


def not_scored(frame: DataFrame, scored: DataFrame) -> DataFrame:
    """Rows whose ``text_hash`` is not in ``scored``: a key-only anti-join."""
    return frame.join(scored.select("text_hash"), "text_hash", "left_anti")


def one_per_text(frame: DataFrame) -> DataFrame:
    """One row per text_hash: two runs at once may have stored the same text twice."""
    window = Window.partitionBy("text_hash").orderBy("scored_at")
    return frame.withColumn("_n", F.row_number().over(window)).where("_n = 1").drop("_n")


def embed(
    frame: DataFrame,
    *,
    source: str,
    options: EncoderOptions,
    digest: str,
    token_budget: int | None,
    at: dt.datetime,
) -> DataFrame:
    """Embed ``text`` of each row: columns of ``text_embeddings``.

    Args:
        frame: ``text_hash, text``.
        source: Encoder folder readable by every worker, or ``package:NAME/folder``.
        options: How texts become vectors.
        digest: The backbone's digest; a worker that finds other files refuses to run.
        token_budget: Tokens in one forward pass; None: what suits the device.
        at: When the model ran, UTC.
    """
    names = TEXT_EMBEDDINGS.names

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from behavior_spark.model.encoder import cached_encoder, use_threads

        cpus, device = _task_resources()
        use_threads(cpus)
        encoder = cached_encoder(source, options, device)
        if encoder.digest != digest:
            raise ModelError(
                "this worker's encoder is not the one the driver named",
                found=f"{encoder.digest}, wanted {digest}",
                fix="put the same encoder on a path that all workers share",
            )
        for batch in batches:
            texts = batch.column("text").to_pylist()
            done = encoder.embed(texts, token_budget=token_budget)
            failed = np.array([error is not None for error in done.errors], dtype=bool)
            yield pa.RecordBatch.from_arrays(
                [
                    batch.column("text_hash"),
                    pa.repeat(digest, len(batch)),
                    list_array(done.embeddings, missing=failed),
                    pa.array(done.token_counts, type=pa.int32()),
                    pa.array(done.errors, type=pa.string()),
                    pa.repeat(pa.scalar(at, pa.timestamp("us", tz="UTC")), len(batch)),
                ],
                names=names,
            )

    return frame.select("text_hash", "text").mapInArrow(run, TEXT_EMBEDDINGS.schema)


def classify(embeddings: DataFrame, head: Head, *, at: dt.datetime) -> DataFrame:
    """Apply a head to stored embeddings: columns of ``text_scores``.

    Args:
        embeddings: ``text_hash, embedding``; rows without an embedding are left out.
        head: Weights travel with the function.
        at: When the head ran, UTC.
    """
    names, digest, labels = TEXT_SCORES.names, head.digest, list(head.labels)

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if not len(batch):
                continue
            matrix = matrix_of(batch.column("embedding"), len(batch))
            probabilities = head.probabilities(matrix)
            top = probabilities.argmax(axis=1)
            yield pa.RecordBatch.from_arrays(
                [
                    batch.column("text_hash"),
                    pa.repeat(digest, len(batch)),
                    pa.repeat(head.name, len(batch)),
                    pa.array(head.decide(probabilities), type=pa.string()),
                    pa.array(probabilities[np.arange(len(batch)), top], type=pa.float32()),
                    _probability_map(probabilities, labels),
                    pa.repeat(pa.scalar(at, pa.timestamp("us", tz="UTC")), len(batch)),
                ],
                names=names,
            )

    known = embeddings.where("embedding IS NOT NULL").select("text_hash", "embedding")
    return known.mapInArrow(run, TEXT_SCORES.schema)


def list_array(matrix: np.ndarray, *, missing: np.ndarray) -> pa.ListArray:
    """A float32 matrix [rows, width] as an Arrow list array without copying row by row.

    Args:
        matrix: Values.
        missing: bool [rows]; those rows are null.
    """
    kept = np.ascontiguousarray(matrix[~missing], dtype=np.float32)
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


def _probability_map(probabilities: np.ndarray, labels: Sequence[str]) -> pa.MapArray:
    rows, width = probabilities.shape
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * width)
    keys = pa.array(list(labels) * rows, type=pa.string())
    values = pa.array(probabilities.astype(np.float32).ravel())
    return pa.MapArray.from_arrays(offsets, keys, values)


def _task_resources() -> tuple[int, str | None]:
    """CPUs of this task, and the device Spark gave it: ``cuda:<address>`` or none."""
    context = TaskContext.get()
    if context is None:
        return 1, None
    gpu = context.resources().get("gpu")
    device = f"cuda:{gpu.addresses[0]}" if gpu and gpu.addresses else None
    return max(1, context.cpus()), device
