"""Train an encoder further on texts without labels, and save it as an encoder of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from behavior_spark.config.pretraining import Pretraining
from behavior_spark.files import publish_folder, staging_path, write_json
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.encoder.model_folder import (
    PRETRAINING_RECORD,
    EncoderOptions,
    backbone_digest,
    trained_through,
)
from behavior_spark.model.pretraining.corpus import Corpus
from behavior_spark.model.pretraining.loop import Outcome, PretrainingTask, train_on_corpus
from behavior_spark.model.pretraining.masked_words import MaskedWords
from behavior_spark.model.pretraining.near_texts import NearTexts
from behavior_spark.model.training.checkpoint import Checkpoint, fingerprint
from behavior_spark.model.training.distributed import (
    from_first,
    own_device,
    process_group,
    rank,
    world_size,
)
from behavior_spark.model.training.finetune import save_encoder


@dataclass(frozen=True)
class PretrainedEncoder:
    """What :func:`pretrain` made.

    Attributes:
        folder: The encoder, usable as ``text.encoder``.
        digest: Of its weights, tokenizer and options; the folder's name.
        outcome: Steps, figures before and after, and the loss curve.
        new_word_head: Whether the encoder came without a head that guesses words.
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
) -> PretrainedEncoder:
    """Train the encoder further on a corpus and write ``<output_root>/<digest>/``.

    A run that was killed goes on where it was when it is called again with the same arguments
    and the same corpus. Started in several processes they share the work.

    Args:
        encoder_source: Folder or ``package:`` name of the encoder to start from.
        options: How texts are tokenised and pooled.
        corpus_folder: Parquet files with ``text``, or ``left`` and ``right`` for ``behaviour``.
        output_root: Folder for encoders.
        settings: How it learns.
        last_day: ISO day of the last text; a night of that day or earlier refuses the encoder.
        device: As for :meth:`Encoder.load`.
        progress: Called with ``pretrain``, steps done and steps there are (an estimate).

    Raises:
        ModelError: The encoder cannot be used, or there is too little to learn from.
    """
    plain = replace(options, precision="fp32")
    encoder = Encoder.load(encoder_source, plain, device=own_device(device), trainable=True)
    columns = ("left", "right") if settings.method == "behaviour" else ("text",)
    corpus = Corpus(corpus_folder, columns, settings.held_out_share)
    with process_group(encoder.device):
        run = fingerprint(encoder.digest, settings.model_dump(), last_day, corpus.row_count(),
                          corpus.sample(1, held_out=False), world_size())  # fmt: skip
        checkpoint = Checkpoint(
            output_root, run, every_seconds=settings.checkpoint_seconds, writes=rank() == 0
        )
        task: PretrainingTask[Any]
        words = MaskedWords(encoder, encoder_source, settings) if settings.method == "mlm" else None
        task = words or NearTexts(encoder, settings)
        outcome = train_on_corpus(
            encoder,
            task,
            corpus,
            settings,
            checkpoint=checkpoint,
            tell=progress or (lambda *_: None),
        )
        facts = {
            "new_word_head": words is not None and words.head.is_new,
            "packed": words is not None and encoder.inference.packs,
        }
        earlier = trained_through(encoder_source)
        record = facts | {
            "method": settings.method,
            "from": encoder_source,
            "from_digest": encoder.digest,
            "trained_through": max(filter(None, (earlier, last_day)), default=None),
            "rows": corpus.row_count(),
            "settings": settings.model_dump(),
            "outcome": asdict(outcome),
        }
        folder = from_first(lambda: _save(encoder, encoder_source, output_root, record))
        checkpoint.remove()
    return PretrainedEncoder(folder, folder.name, outcome, **facts)


def _save(encoder: Encoder, source: str, root: Path, record: dict[str, Any]) -> Path:
    """The encoder and its record, whole or not at all."""
    with staging_path(root) as staging:
        save_encoder(encoder, source, staging)
        write_json(staging / PRETRAINING_RECORD, record)
        folder = root / backbone_digest(str(staging), encoder.options)
        publish_folder(staging, folder)  # it may be there: made before by the same call
        return folder
