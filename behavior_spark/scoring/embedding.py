"""Embed texts in Spark workers, on CPU or GPU, in one ``mapInArrow`` stage."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BooleanType,
    DoubleType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from behavior_spark.model.encoder.failures import FAILURES, refuse_failures
from behavior_spark.schemas import TEXT_EMBEDDINGS
from behavior_spark.scoring.ahead import map_ahead, one_behind
from behavior_spark.scoring.arrow import gather, list_array
from behavior_spark.scoring.workers import EncoderRecipe

if TYPE_CHECKING:
    from behavior_spark.model.encoder.embedding import EmbeddingBatch
    from behavior_spark.model.encoder.encoder import Encoder
    from behavior_spark.model.encoder.tokens import Tokens

# The texts of a window are sorted by length together. Where texts are packed, more rows do not
# reduce padding further, but need more memory.
WINDOW_ROWS, WINDOW_BYTES = 8192, 32 << 20

T = TypeVar("T")

_SECONDS = ("load", "read", "tokenize", "model", "return")
WORK = StructType(
    [
        *[StructField(f"{name}_s", DoubleType()) for name in _SECONDS],
        StructField("tokens", LongType()),
        StructField("tokens_run", LongType()),
        StructField("words_read", LongType()),
        StructField("unknown", LongType()),
        StructField("cause", StringType()),
        StructField("started", DoubleType()),
        StructField("ended", DoubleType()),
        StructField("native", BooleanType()),
    ]
)
STAGE = StructType([*TEXT_EMBEDDINGS.schema.fields, StructField("work", WORK)])
_WORK_TYPE = pa.struct(
    [
        *[(f"{name}_s", pa.float64()) for name in _SECONDS],
        ("tokens", pa.int64()),
        ("tokens_run", pa.int64()),
        ("words_read", pa.int64()),
        ("unknown", pa.int64()),
        ("cause", pa.string()),
        ("started", pa.float64()),
        ("ended", pa.float64()),
        ("native", pa.bool_()),
    ]
)
_ARROW = pa.schema(
    [
        ("text_hash", pa.string()),
        ("backbone_digest", pa.string()),
        ("embedding", pa.list_(pa.float32())),
        ("token_count", pa.int32()),
        ("truncated", pa.bool_()),
        ("error", pa.string()),
        ("scored_at", pa.timestamp("us", tz="UTC")),
        ("work", _WORK_TYPE),
    ]
)


def embed(
    frame: DataFrame,
    recipe: EncoderRecipe,
    *,
    at: dt.datetime,
    profile: Any = None,
    max_failed_share: float = 1.0,
) -> DataFrame:
    """Embed ``text`` of each row: columns of ``text_embeddings``, and ``work``.

    A row that cannot be embedded gets an error and a null embedding; other rows are not affected.
    Each task adds a last row without ``text_hash`` whose ``work`` holds the task's seconds and
    counts. :func:`observed` sums these up and removes the rows.

    Args:
        frame: ``text_hash, text``; no null ``text_hash``.
        recipe: The encoder.
        at: When the model ran, UTC.
        profile: A Spark resource profile for this stage.
        max_failed_share: A task stops where a larger share of the texts that its model read, at
            least 20, fails.

    Raises:
        ModelError: In the worker: the encoder cannot be used, or too many texts fail.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        work, windows = _Work(), gather(batches, rows=WINDOW_ROWS, size=WINDOW_BYTES)
        first = work.timed("read", lambda: next(windows, None))
        if first is None:
            return
        encoder, work.native = work.timed("load", partial(_loaded, recipe))
        tokenized = _tokenized(chain([first], windows), encoder, work)
        for batch, done in _embedded(tokenized, encoder, recipe.token_budget, work):
            work.tokens += int(done.token_counts.sum())
            work.tokens_run += done.tokens_run
            work.count(done, cause=encoder.last_failure)
            refuse_failures(
                work.failed, work.tried, limit=max_failed_share, cause=encoder.last_failure
            )
            start = time.monotonic()
            yield _record_batch(batch.column("text_hash"), done, recipe.digest, at)
            work.seconds["return"] += time.monotonic() - start
        yield work.record_batch()

    return frame.select("text_hash", "text").mapInArrow(run, STAGE, False, profile)


def observed(scored: DataFrame, observation: Observation) -> DataFrame:
    """The rows of texts that ``embed`` returned; totals of ``work`` go to ``observation``."""
    sums = [*[f"{name}_s" for name in _SECONDS], "tokens", "tokens_run", "words_read", "unknown"]
    totals = {
        **_counts_of_texts(),
        "cause": F.max("work.cause"),
        "emulated": F.count_if(~F.col("work.native")),
        **{name: F.sum(f"work.{name}") for name in sums},
        "started": F.min("work.started"),
        "ended": F.max("work.ended"),
    }
    watched = scored.observe(observation, *[total.alias(name) for name, total in totals.items()])
    return watched.where(F.col("text_hash").isNotNull()).drop("work")


def stored_counts() -> dict[str, Column]:
    """Those aggregates of ``observed`` that stored rows of texts give."""
    return {**_counts_of_texts(), "tokens": F.sum("token_count")}


def _counts_of_texts() -> dict[str, Column]:
    return {
        "texts": F.count("text_hash"),
        "errors": F.count_if(F.col("error").isNotNull()),
        "failed": F.count_if(F.col("error").isin(*FAILURES)),
        "truncated": F.count_if("truncated"),
    }


def check_on_worker(frame: DataFrame, recipe: EncoderRecipe) -> DataFrame:
    """Run a precision self-check on ``text``: one row, its JSON in the column ``found``.

    Args:
        frame: ``text``; a few hundred rows.
        recipe: The encoder in fp32.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from behavior_spark.model.heads.precision import check_precision

        texts = [text for batch in batches for text in batch.column("text").to_pylist() if text]
        device = str(recipe.load().device)
        check = check_precision(recipe.source, recipe.options, texts, device=device)
        yield pa.RecordBatch.from_pydict({"found": [json.dumps(check.as_dict())]})

    return frame.select("text").coalesce(1).mapInArrow(run, "found string")


def _loaded(recipe: EncoderRecipe) -> tuple[Encoder, bool]:
    """The encoder, and whether the device runs its precision natively. May import torch first."""
    encoder = recipe.load()
    return encoder, encoder.runs_natively


def _tokenized(
    windows: Iterator[pa.RecordBatch], encoder: Encoder, work: _Work
) -> Iterator[tuple[pa.RecordBatch, Tokens]]:
    """Windows with their token ids, prepared in threads ahead of the model."""

    def prepare(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, Tokens, float]:
        start = time.monotonic()
        tokens = encoder.prepare(batch.column("text"))
        return batch, tokens, time.monotonic() - start

    def read() -> Iterator[pa.RecordBatch]:
        while (batch := work.timed("read", lambda: next(windows, None))) is not None:
            yield batch

    for batch, tokens, seconds in map_ahead(prepare, read(), workers=encoder.tokenizer_threads):
        work.seconds["tokenize"] += seconds
        yield batch, tokens


def _embedded(
    tokenized: Iterator[tuple[pa.RecordBatch, Tokens]],
    encoder: Encoder,
    token_budget: int | None,
    work: _Work,
) -> Iterator[tuple[pa.RecordBatch, EmbeddingBatch]]:
    """Windows with their embeddings; the result of each is taken after the next is started."""
    begin = partial(encoder.begin, token_budget=token_budget)
    begun = ((batch, work.timed("model", partial(begin, tokens))) for batch, tokens in tokenized)
    for batch, finish in one_behind(begun):
        yield batch, work.timed("model", finish)


def _record_batch(
    keys: pa.Array, done: EmbeddingBatch, digest: str, at: dt.datetime
) -> pa.RecordBatch:
    rows = len(keys)
    failed = np.array([error is not None for error in done.errors], dtype=bool)
    return pa.RecordBatch.from_arrays(
        [
            keys.cast(pa.string()),
            pa.repeat(digest, rows),
            list_array(done.embeddings, missing=failed),
            pa.array(done.token_counts, type=pa.int32()),
            pa.array(done.truncated),
            pa.array(done.errors, type=pa.string()),
            pa.repeat(pa.scalar(at, pa.timestamp("us", tz="UTC")), rows),
            pa.nulls(rows, _WORK_TYPE),
        ],
        schema=_ARROW,
    )


@dataclass
class _Work:
    """Seconds and counts of one task; ``record_batch`` is its last row."""

    tokens: int = 0
    tokens_run: int = 0
    words_read: int = 0
    unknown: int = 0
    tried: int = 0
    failed: int = 0
    cause: str | None = None
    native: bool = True

    def __post_init__(self) -> None:
        self.started = time.time()
        self.seconds = dict.fromkeys(_SECONDS, 0.0)

    def timed(self, name: str, action: Callable[[], T]) -> T:
        """Return ``action()``, and add its seconds to the total of ``name``."""
        start = time.monotonic()
        result = action()
        self.seconds[name] += time.monotonic() - start
        return result

    def count(self, done: EmbeddingBatch, *, cause: str | None) -> None:
        """Add what became of a window's texts."""
        failed = sum(error in FAILURES for error in done.errors)
        self.tried += failed + sum(error is None for error in done.errors)
        self.failed += failed
        self.words_read += done.words_read
        self.unknown += done.unknown
        if failed:
            self.cause = cause

    def record_batch(self) -> pa.RecordBatch:
        content = {f"{name}_s": value for name, value in self.seconds.items()} | {
            "tokens": self.tokens,
            "tokens_run": self.tokens_run,
            "words_read": self.words_read,
            "unknown": self.unknown,
            "cause": self.cause,
            "started": self.started,
            "ended": time.time(),
            "native": self.native,
        }
        nulls = [pa.nulls(1, field.type) for field in _ARROW][:-1]
        return pa.RecordBatch.from_arrays(
            [*nulls, pa.array([content], type=_WORK_TYPE)], schema=_ARROW
        )
