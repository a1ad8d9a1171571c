"""Train heads on a frozen encoder, or the encoder and all heads together."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from behavior_spark.errors import ModelError
from behavior_spark.model.bundle import load_text_model, save_text_model, text_model_digest
from behavior_spark.model.encoder import Encoder
from behavior_spark.model.fitting import fit_head
from behavior_spark.model.heads import Floats, Head
from behavior_spark.model.labelled import LabelledTexts, TaskSplit, split_task
from behavior_spark.model.loading import quiet_transformers
from behavior_spark.model.model_folder import (
    TOKENIZER_FILES,
    EncoderOptions,
    Precision,
    resolve_model_folder,
)
from behavior_spark.model.precision import SAMPLE, check_precision, is_native
from behavior_spark.model.training import Tuning, train_together

__all__ = ["FinetuneResult", "LabelledTexts", "Progress", "finetune"]

Progress = Callable[[str, int, int], None]

CHUNK = 2048  # texts embedded between two calls of progress


@dataclass(frozen=True)
class FinetuneResult:
    """What :func:`finetune` made.

    Attributes:
        folder: The text model, ready for ``load_text_model``.
        digest: Its digest, also the folder's name.
        metrics: Per task what its head records.
    """

    folder: Path
    digest: str
    metrics: dict[str, dict[str, Any]] = field(default_factory=dict)


def finetune(
    encoder_source: str,
    options: EncoderOptions,
    tasks: list[LabelledTexts],
    output_root: Path,
    *,
    mode: Literal["head", "full"] = "head",
    epochs: int = 3,
    learning_rate: float = 2e-5,
    batch_size: int = 32,
    validation_share: float = 0.15,
    seed: int = 0,
    max_examples: int | None = None,
    choose_precision: bool = False,
    device: str | None = None,
    progress: Progress | None = None,
) -> FinetuneResult:
    """Learn one head per task and write ``<output_root>/<digest>/``; the same seed, the same model.

    ``head`` keeps the encoder and embeds each text once. ``full`` starts from those heads and
    then trains everything (Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features",
    arXiv 2202.10054), keeps the epoch with the best mean validation macro-F1, the frozen start
    included, and fits the heads again on the tuned encoder's embeddings. Where no epoch beats the
    frozen start, the encoder stays as it was, so that stored embeddings remain good.

    Args:
        encoder_source: Folder or ``package:`` name of the encoder to start from.
        options: How texts become vectors.
        tasks: One per head, with different names.
        output_root: Folder for model folders.
        mode: ``head`` or ``full``.
        epochs: Passes over the texts in ``full``.
        learning_rate: Peak rate of the encoder in ``full``.
        batch_size: Texts per step in ``full``.
        validation_share: Share of different texts held out.
        seed: Order of texts, dropout, and the choice of ``max_examples``.
        max_examples: At most so many texts per task.
        choose_precision: Let a self-check choose between bf16 and fp32, and record it.
        device: As for :meth:`Encoder.load`.
        progress: Called with a stage (``embed`` in texts, ``train`` in steps, ``heads``), how
            much is done, and how much there is.

    Raises:
        ModelError: The encoder cannot be used, or a task has too little to learn from.
    """
    _check_arguments(tasks, mode=mode, epochs=epochs, batch_size=batch_size)
    splits = [
        split_task(task, validation_share=validation_share, seed=seed, max_examples=max_examples)
        for task in tasks
    ]
    tell: Progress = progress or (lambda _stage, _done, _total: None)
    place = _Place(options, choose_precision, device)
    encoder, frozen, check = _fit_heads(encoder_source, place, splits, tell)
    settings: dict[str, Any] = {"mode": mode, "seed": seed, "validation_share": validation_share}
    if mode == "head":
        return _save(output_root, encoder_source, encoder, frozen, metadata=settings | check)
    settings |= {"epochs": epochs, "learning_rate": learning_rate, "batch_size": batch_size}
    plain = replace(options, precision="fp32")
    trainer = Encoder.load(encoder_source, plain, device=device, trainable=True)
    tuning = Tuning(epochs, learning_rate, batch_size, seed)
    best_epoch, scores = train_together(trainer, splits, frozen, tuning, tell)
    settings |= {"best_epoch": best_epoch, "macro_f1_by_epoch": scores}
    if best_epoch == 0:
        return _save(output_root, encoder_source, encoder, frozen, metadata=settings | check)
    output_root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".finetune-", dir=output_root) as scratch:
        tuned_folder = _save_encoder(trainer, encoder_source, Path(scratch) / "encoder")
        tuned, heads, check = _fit_heads(str(tuned_folder), place, splits, tell)
        heads = _share_last_day(heads)
        for name, head in heads.items():
            head.metrics["f1_frozen_encoder"] = frozen[name].metrics["f1"]
        return _save(
            output_root,
            str(tuned_folder),
            tuned,
            heads,
            metadata=settings | check,
            copy_encoder=True,
        )


def _check_arguments(
    tasks: list[LabelledTexts], *, mode: str, epochs: int, batch_size: int
) -> None:
    names = [task.name for task in tasks]
    if not tasks or len(set(names)) != len(names):
        raise ModelError("finetune needs one or more tasks with different names", found=str(names))
    if mode not in ("head", "full"):
        raise ModelError("unknown mode of finetune", found=mode, fix="head or full")
    if epochs < 1 or batch_size < 1:
        raise ModelError("epochs and batch_size must be 1 or more", found=f"{epochs}, {batch_size}")


@dataclass(frozen=True)
class _Place:
    """How an encoder is loaded, and whether its precision is still to be chosen."""

    options: EncoderOptions
    choose_precision: bool
    device: str | None

    def load(self, source: str, precision: Precision | None = None) -> Encoder:
        options = replace(self.options, precision=precision or self.options.precision)
        return Encoder.load(source, options, device=self.device)


def _fit_heads(
    source: str, place: _Place, splits: list[TaskSplit], tell: Progress
) -> tuple[Encoder, dict[str, Head], dict[str, Any]]:
    """The encoder in its precision, a head per task, and the record of the self-check."""
    if not place.choose_precision:
        encoder = place.load(source)
        return encoder, _heads_on(encoder, splits, tell), {}
    encoder = place.load(source, "fp32")
    if is_native("bf16", encoder.device):
        encoder = place.load(source, "bf16")
    heads = _heads_on(encoder, splits, tell)
    held = [t for s in splits for t, out in zip(s.texts, s.validation, strict=True) if out]
    if len(held) < SAMPLE:  # one flip among a few texts would say too much
        held = [text for split in splits for text in split.texts]
    check = check_precision(source, place.options, held, heads=heads, device=place.device)
    if check.precision != encoder.options.precision:
        encoder = place.load(source, check.precision)
        heads = _heads_on(encoder, splits, tell)
    return encoder, heads, {"precision": check.as_dict()}


def _heads_on(encoder: Encoder, splits: list[TaskSplit], tell: Progress) -> dict[str, Head]:
    """A head per task on the encoder's embeddings; each different text is embedded once."""
    number = {text: i for i, text in enumerate(dict.fromkeys(t for s in splits for t in s.texts))}
    embedded = _embed(encoder, list(number), tell)
    heads = {}
    for done, split in enumerate(splits, start=1):
        vectors = embedded[[number[text] for text in split.texts]]
        good: npt.NDArray[np.bool_] = np.asarray(np.isfinite(vectors).all(axis=1))
        usable = _keep_rows(split, good)
        heads[split.name] = fit_head(usable, vectors[good], backbone_digest=encoder.digest)
        tell("heads", done, len(splits))
    return heads


def _embed(encoder: Encoder, texts: list[str], tell: Progress) -> Floats:
    """float32 [n, dimension], NaN where a text could not be embedded."""
    found = []
    for start in range(0, len(texts), CHUNK):
        found.append(encoder.embed(texts[start : start + CHUNK]).embeddings)
        tell("embed", min(start + CHUNK, len(texts)), len(texts))
    return np.concatenate(found)


def _keep_rows(split: TaskSplit, good: npt.NDArray[np.bool_]) -> TaskSplit:
    if good.all():
        return split
    if not (good & ~split.validation).any():
        raise ModelError(
            f"no text of the task {split.name!r} could be embedded",
            fix="see the warnings in the log; a smaller max_length needs less memory",
        )
    return replace(
        split,
        texts=[text for text, ok in zip(split.texts, good, strict=True) if ok],
        targets=split.targets[good],
        validation=split.validation[good],
        dropped={**split.dropped, "not_embedded": int((~good).sum())},
    )


def _save_encoder(encoder: Encoder, source: str, folder: Path) -> Path:
    """The tuned weights with the tokenizer files as they were, byte for byte."""
    model: Any = encoder.model
    with quiet_transformers():
        model.save_pretrained(folder)
    for name in TOKENIZER_FILES:
        path = resolve_model_folder(source) / name
        if path.exists():
            shutil.copy(path, folder / name)
    return folder


def _share_last_day(heads: dict[str, Head]) -> dict[str, Head]:
    """One backbone learned from every task, so each head has seen the last day of them all."""
    last = max((h.trained_through for h in heads.values() if h.trained_through), default=None)
    return {name: replace(head, trained_through=last) for name, head in heads.items()}


def _save(
    root: Path,
    source: str,
    encoder: Encoder,
    heads: dict[str, Head],
    *,
    metadata: dict[str, Any],
    copy_encoder: bool = False,
) -> FinetuneResult:
    digest = text_model_digest(encoder.digest, heads)
    folder = root / digest
    if folder.exists():
        load_text_model(folder)  # made before by the same call; refuse it if it was changed
    else:
        save_text_model(
            folder,
            encoder_source=source,
            options=encoder.options,
            heads=heads,
            copy_encoder=copy_encoder,
            metadata=metadata,
        )
    return FinetuneResult(folder, digest, {name: head.metrics for name, head in heads.items()})
