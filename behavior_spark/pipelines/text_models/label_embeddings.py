"""Embeddings of labelled texts: read from the warehouse or the registry, else made and kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from behavior_spark.cleaning.text import text_hash
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.arrays import Floats
from behavior_spark.model.encoder.failures import FAILURES, refuse_all_failed
from behavior_spark.model.registry.labelled_embeddings import LabelledEmbeddings
from behavior_spark.model.registry.store import ModelStore
from behavior_spark.model.registry.text_model import TextModel
from behavior_spark.pipelines.texts.scoring import stored_embeddings
from behavior_spark.runs.run import Run
from behavior_spark.schemas import TEXT_EMBEDDINGS

if TYPE_CHECKING:
    from behavior_spark.model.training.finetune import Keep, Stored

CHUNK = 2048  # texts embedded per line of progress


def look_up_with(run: Run, digest: str) -> Stored:
    """A function that looks up embeddings: in the registry, then in the warehouse's scores.

    Args:
        run: The run.
        digest: The encoder with scores in the warehouse; other encoders' are not looked for there.
    """
    key = run.settings.privacy.pseudonymise_key
    kept = LabelledEmbeddings(ModelStore(run.settings.models_path).shared)

    def look_up(encoder: str, texts: Sequence[str]) -> dict[str, Floats]:
        of_hash = {text_hash(text, key=key): text for text in texts}
        known = kept.look_up(encoder, list(of_hash))
        missing = [text for text in of_hash if text not in known]
        if encoder == digest and missing:
            known |= _scored(run, digest, missing)
        return {of_hash[name]: vector for name, vector in known.items()}

    return look_up


def keep_with(run: Run) -> Keep:
    """A function that keeps embeddings of labelled texts in the registry."""
    key = run.settings.privacy.pseudonymise_key
    kept = LabelledEmbeddings(ModelStore(run.settings.models_path).shared)

    def keep(encoder: str, texts: Sequence[str], vectors: Floats) -> None:
        kept.keep(encoder, [text_hash(text, key=key) for text in texts], vectors)

    return keep


def _scored(run: Run, digest: str, hashes: Sequence[str]) -> dict[str, Floats]:
    """Embeddings that nights made, by the text's hash."""
    if not run.warehouse.exists(TEXT_EMBEDDINGS):
        return {}
    wanted = run.spark.createDataFrame(pa.table({"text_hash": [*hashes]}), "text_hash string")
    stored = stored_embeddings(run, digest).where("embedding IS NOT NULL")
    with spark_errors("reading stored embeddings"):
        table = stored.join(wanted, "text_hash", "left_semi").toArrow()
    if not table.num_rows:
        return {}
    column = table.column("embedding").combine_chunks()
    vectors = np.asarray(column.flatten(), dtype=np.float32).reshape(table.num_rows, -1)
    return dict(zip(table.column("text_hash").to_pylist(), vectors, strict=True))


def embed_held_out(run: Run, model: TextModel, texts: list[str]) -> Floats:
    """Embeddings by the model's encoder, float32 [n, dimension]; NaN for texts it cannot embed.

    Those that were made before, by training or an evaluation, are read; new ones are kept.

    Raises:
        ModelError: The encoder cannot be used, or fails on too many of the texts.
    """
    # Imported here because it loads torch, which takes seconds.
    from behavior_spark.model.encoder.encoder_cache import cached_encoder

    device = None if run.settings.text.device == "auto" else run.settings.text.device
    digest = model.backbone_digest
    known = dict(look_up_with(run, digest="")(digest, texts))
    new = [text for text in dict.fromkeys(texts) if text not in known]
    if new or not texts:
        encoder = cached_encoder(model.encoder_source, model.options, device, digest=digest)
        if not texts:
            return np.empty((0, encoder.dimension), dtype=np.float32)
        failed = 0
        for start in range(0, len(new), CHUNK):
            chunk = new[start : start + CHUNK]
            done = encoder.embed(chunk)
            known.update(zip(chunk, done.embeddings, strict=True))
            failed += sum(error in FAILURES for error in done.errors)
            if len(new) > CHUNK:
                run.say(f"{min(start + CHUNK, len(new)):,} of {len(new):,} texts embedded")
        refuse_all_failed(
            failed,
            len(set(texts)),  # those that were kept are good; failures are not kept
            limit=run.settings.text.max_failed_share,
            cause=encoder.last_failure,
            kept="of this comparison",
        )
        keep_with(run)(digest, new, np.stack([known[text] for text in new]))
    return np.stack([known[text] for text in texts]).astype(np.float32, copy=False)
