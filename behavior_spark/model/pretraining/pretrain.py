"""Train an encoder further on texts without labels, and save it as a new encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from behavior_spark.config.pretraining import Pretraining
from behavior_spark.files import publish_folder, staging_path, write_json
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.encoder.folder_files import PRETRAINING_RECORD
from behavior_spark.model.encoder.model_folder import backbone_digest, trained_through
from behavior_spark.model.encoder.options import EncoderOptions
from behavior_spark.model.encoder.saving import save_encoder
from behavior_spark.model.pretraining.corpus import Corpus
from behavior_spark.model.pretraining.loop import Outcome, PretrainingTask, train_on_corpus
from behavior_spark.model.pretraining.masked_words import MaskedWords
from behavior_spark.model.pretraining.near_texts import NearTexts
from behavior_spark.model.training.checkpoint import FOLDER, Checkpoint, fingerprint
from behavior_spark.model.training.distributed import (
    from_first,
    own_device,
    process_group,
    rank,
    world_size,
)
from behavior_spark.shared_folder import SharedFolder


@dataclass(frozen=True)
class PretrainedEncoder:
    """The result of :func:`pretrain`.

    Attributes:
        folder: Folder of the new encoder, for ``text.encoder``.
        digest: Digest of its weights, tokenizer and options; the folder's name.
        outcome: Steps, figures before and after, and the loss curve.
        new_word_head: Whether the encoder had no head for masked words, and got a new one.
        packed: Whether texts were packed without padding.
    """

    folder: Path
    digest: str
    outcome: Outcome
    new_word_head: bool = False
    packed: bool = False


def pretrain(
    encoder_source: str,
    options: EncoderOptions,
    corpus_folder: Path,
    output_root: Path,
    *,
    settings: Pretraining,
    last_day: str | None = None,
    device: str | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    checkpoints: SharedFolder | None = None,
) -> PretrainedEncoder:
    """Train the encoder further on a corpus and write ``<output_root>/<digest>/``.

    A killed run continues from its checkpoint when it is called again with the same arguments
    and the same corpus. Started in several processes, they share the work.

    Args:
        encoder_source: Folder or ``package:`` name of the encoder to start from.
        options: How texts are tokenised and pooled.
        corpus_folder: Parquet files with ``text``, or ``left`` and ``right`` for ``behaviour``.
        output_root: Folder in which the encoder's folder is written.
        settings: Method, epochs, rates and batch sizes.
        last_day: ISO day of the last text; a night of that day or earlier refuses the encoder.
        device: As for :meth:`Encoder.load`.
        progress: Called with ``pretrain``, the steps done and their estimated number.
        checkpoints: Folder of the checkpoints of this run and others; default
            ``<output_root>/.training``.

    Raises:
        ModelError: The encoder cannot be used, or there are too few texts to learn from.
    """
    plain = replace(options, precision="fp32")
    encoder = Encoder.load(encoder_source, plain, device=own_device(device), trainable=True)
    columns = ("left", "right") if settings.method == "behaviour" else ("text",)
    corpus = Corpus(corpus_folder, columns, settings.held_out_share)
    with process_group(encoder.device):
        run = fingerprint(encoder.digest, settings.model_dump(), last_day, corpus.row_count(),
                          corpus.sample(1, held_out=False), world_size())  # fmt: skip
        checkpoint = Checkpoint(
            checkpoints or SharedFolder(output_root / FOLDER),
            run,
            every_seconds=settings.checkpoint_seconds,
            writes=rank() == 0,
        )
        task: PretrainingTask[Any]
        words = MaskedWords(encoder, encoder_source, settings) if settings.method == "mlm" else None
        task = words or NearTexts(encoder, settings)
        tell = progress or (lambda *_: None)
        outcome = train_on_corpus(encoder, task, corpus, settings, checkpoint=checkpoint, tell=tell)
        facts = {
            "new_word_head": words is not None and words.head.is_new,
            "packed": words is not None and encoder.inference.packs,
        }
        record = facts | _record(encoder_source, encoder, corpus, settings, last_day, outcome)
        folder = from_first(lambda: _save(encoder, encoder_source, output_root, record))
        checkpoint.remove()
    return PretrainedEncoder(folder, folder.name, outcome, **facts)


def _record(
    source: str,
    encoder: Encoder,
    corpus: Corpus,
    settings: Pretraining,
    last_day: str | None,
    outcome: Outcome,
) -> dict[str, Any]:
    """The record of a pretraining, as JSON values."""
    earlier = trained_through(source)
    return {
        "method": settings.method,
        "from": source,
        "from_digest": encoder.digest,
        "trained_through": max(filter(None, (earlier, last_day)), default=None),
        "rows": corpus.row_count(),
        "settings": settings.model_dump(),
        "outcome": asdict(outcome),
    }


def _save(encoder: Encoder, source: str, root: Path, record: dict[str, Any]) -> Path:
    """Write the encoder and its record to a folder named by its digest, all or nothing."""
    with staging_path(root) as staging:
        save_encoder(encoder, source, staging)
        write_json(staging / PRETRAINING_RECORD, record)
        folder = root / backbone_digest(str(staging), encoder.options)
        publish_folder(staging, folder)  # an earlier, equal call may have published it
        return folder
