"""Score texts: every distinct text once ever per backbone, every head once per embedding."""

from __future__ import annotations

import datetime as dt
import math
import time

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.run import Run
from behavior_spark.pipelines.text_model import ActiveTextModel, active_text_model
from behavior_spark.schemas import ITEMS, TEXT_EMBEDDINGS, TEXT_SCORES, TEXTS
from behavior_spark.scoring.texts import classify, distinct_texts, embed, not_scored, one_per_text

PARTITION_TEXTS = 4096


def score_texts_stage(run: Run) -> ActiveTextModel | None:
    """Embed the texts and item titles that are new, then apply the heads that are."""
    model = active_text_model(run.settings, run.as_of)
    if model is None:
        run.note("text.encoder is not set: texts are stored, not scored")
        return None
    for note in model.notes:
        run.note(note)
    run.models["backbone"] = model.digest
    with run.stage("embed texts"):
        _embed_new(run, model)
    if model.heads:
        with run.stage("classify texts"):
            _classify_new(run, model)
    return model


def stored_embeddings(run: Run, digest: str) -> DataFrame:
    """``text_hash, embedding`` of a backbone, one row per text."""
    stored = run.warehouse.read(TEXT_EMBEDDINGS).where(F.col("backbone_digest") == digest)
    return one_per_text(stored).select("text_hash", "embedding")


def pending_texts(run: Run, digest: str) -> DataFrame:
    """Distinct texts and item titles known before the night that the backbone has not read."""
    midnight = F.lit(run.as_of).cast("timestamp")
    texts = run.warehouse.read(TEXTS).where(F.col("arrived_at") < midnight)
    items = run.warehouse.read(ITEMS).where(F.col("valid_from") < midnight)
    both = distinct_texts(texts, hash_column="text_hash", text_column="text").unionByName(
        distinct_texts(items, hash_column="title_hash", text_column="title")
    )
    distinct = distinct_texts(both, hash_column="text_hash", text_column="text")
    stored = run.warehouse.read(TEXT_EMBEDDINGS).where(F.col("backbone_digest") == digest)
    return not_scored(distinct, stored)


def _embed_new(run: Run, model: ActiveTextModel) -> None:
    """Embed what is pending, chunk by chunk: each chunk is committed, a killed run resumes."""
    pending = pending_texts(run, model.digest)
    with spark_errors("counting new texts"):
        total = pending.count()
    run.figures["texts_scored"] = total
    if total == 0:
        run.warehouse.create(TEXT_EMBEDDINGS)
        run.say("no new text")
        return
    text = run.settings.text
    chunks = math.ceil(total / text.chunk_texts)
    run.say(f"{total:,} new texts")
    start = time.monotonic()
    for chunk in range(chunks):
        # Which chunk a text is in depends on its hash alone, so a chunk that was committed
        # is simply not pending any more.
        part = pending.where(F.pmod(F.xxhash64("text_hash"), F.lit(chunks)) == chunk)
        size = min(total, text.chunk_texts)
        # Sorted, so that the same texts meet in the same batches: a rerun elsewhere gives the
        # same vectors to the last bit on the same kind of processor.
        spread = part.repartition(_partitions(run, size), "text_hash").sortWithinPartitions(
            "text_hash"
        )
        scored = embed(
            spread,
            source=model.source,
            options=model.options,
            digest=model.digest,
            token_budget=text.token_budget,
            at=dt.datetime.now(dt.UTC),
        )
        with spark_errors("embedding texts"):
            run.warehouse.append(
                scored, TEXT_EMBEDDINGS, transaction=(f"{run.run_id}/{model.digest}", chunk)
            )
        done = min(total, (chunk + 1) * text.chunk_texts)
        seconds = time.monotonic() - start
        left = seconds / done * (total - done)
        run.say(f"{done:,} of {total:,} texts, {done / seconds:,.0f} a second, {left:,.0f} s left")
    failed = (
        run.warehouse.read(TEXT_EMBEDDINGS)
        .where((F.col("backbone_digest") == model.digest) & F.col("error").isNotNull())
        .groupBy("error")
        .count()
    )
    for row in failed.collect():
        run.note(f"{row['count']:,} texts have no embedding: {row['error']}")


def _classify_new(run: Run, model: ActiveTextModel) -> None:
    """Apply each head to the stored embeddings it has not read: no forward pass."""
    embeddings = stored_embeddings(run, model.digest)
    for name, head in model.heads.items():
        run.models[f"head_{name}"] = head.digest
        stored = run.warehouse.read(TEXT_SCORES).where(F.col("head_digest") == head.digest)
        scores = classify(not_scored(embeddings, stored), head, at=dt.datetime.now(dt.UTC))
        with spark_errors(f"classifying texts by {name}"):
            run.warehouse.append(
                scores, TEXT_SCORES, transaction=(f"{run.run_id}/{head.digest}", 0)
            )


def _partitions(run: Run, texts: int) -> int:
    """Enough tasks for all cores, each with a large Arrow batch where there are enough texts."""
    cores = int(run.spark.conf.get("spark.sql.shuffle.partitions") or 200)
    return max(1, min(cores, math.ceil(texts / PARTITION_TEXTS * 4)))
