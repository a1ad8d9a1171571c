"""Fit heads on a frozen encoder, with stored embeddings where there are any.

The precision is given, or chosen by a self-check (:mod:`behavior_spark.model.heads.precision`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Bools, Floats
from behavior_spark.model.encoder.devices import is_native, no_gpu
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.encoder.failures import FAILURES, MOST_FAILED, refuse_all_failed
from behavior_spark.model.encoder.model_folder import (
    backbone_digest,
    effective_options,
    resolve_model_folder,
)
from behavior_spark.model.encoder.options import EncoderOptions, Precision
from behavior_spark.model.heads.fitting import fit_head, head_of, suspects_in, with_scope
from behavior_spark.model.heads.head import Head
from behavior_spark.model.heads.label_doubts import LabelDoubt, label_doubts
from behavior_spark.model.heads.label_errors import Suspect
from behavior_spark.model.heads.labelled import TaskSplit
from behavior_spark.model.heads.logistic_regression import Weighting
from behavior_spark.model.heads.precision import SAMPLE, check_precision

CHUNK = 2048  # number of texts embedded between two reports of progress

Tell = Callable[[str, int, int], None]
# From the digest of an encoder and texts to the stored embeddings by text, float32 [dimension].
Stored = Callable[[str, Sequence[str]], Mapping[str, Floats]]
# Keeps embeddings, float32 [n, dimension], of n texts by the encoder with a digest.
Keep = Callable[[str, Sequence[str], Floats], None]
# Texts of which heads are fitted to compare precisions by, unless a task has more labels.
PILOT_TEXTS = 1024


@dataclass(frozen=True)
class EncoderSetup:
    """How to load an encoder, look up stored embeddings, and report progress.

    Attributes:
        options: Options of the encoder; their precision is ignored with ``choose_precision``.
        choose_precision: Let a self-check choose between bf16 and fp32.
        device: As for :meth:`Encoder.load`.
        stored: Looks up stored embeddings; None if there are none.
        tell: Called with a stage, the amount done, and the total.
        keep: Keeps what was embedded, for a later ``stored``; None if it is not kept.
        max_failed_share: Training stops where the encoder fails on a larger share of the texts.
    """

    options: EncoderOptions
    choose_precision: bool
    device: str | None
    stored: Stored | None
    tell: Tell
    keep: Keep | None = None
    max_failed_share: float = MOST_FAILED


@dataclass(frozen=True)
class FittedHeads:
    """Heads, and the options of the encoder whose embeddings they read.

    Attributes:
        options: Options of the encoder, with the chosen precision.
        heads: Heads by name.
        check: Result of the self-check of precision, for the model's metadata; empty without one.
        stored: Number of texts whose embedding was read from the store.
        embedded: Number of texts that were embedded.
    """

    options: EncoderOptions
    heads: dict[str, Head]
    check: dict[str, Any] = field(default_factory=dict)
    stored: int = 0
    embedded: int = 0


class _Embedder:
    """Embeds texts with one encoder, each text once.

    The encoder is loaded only if an embedding is not stored.
    """

    def __init__(self, source: str, setup: EncoderSetup, precision: Precision) -> None:
        folder = resolve_model_folder(source)
        chosen = replace(setup.options, precision=precision)
        self.options = effective_options(folder, chosen)
        self.digest = backbone_digest(source, self.options)
        self.stored = self.embedded = 0
        self._source, self._setup = source, setup
        self._known: dict[str, Floats] = {}

    def __call__(self, texts: Sequence[str]) -> Floats:
        """Embeddings, float32 [n, dimension]; NaN for a text that could not be embedded."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new and self._setup.stored:
            stored = self._setup.stored(self.digest, new)
            self._known.update((text, stored[text]) for text in new if text in stored)
            missing = [text for text in new if text not in stored]
            self.stored += len(new) - len(missing)
            new = missing
        if new:
            self._embed(new, of=len(set(texts)))
        return np.stack([self._known[text] for text in texts]).astype(np.float32, copy=False)

    def _embed(self, texts: list[str], *, of: int) -> None:
        """Embed texts, of so many of which the others are known and good."""
        encoder = Encoder.load(self._source, self.options, device=self._setup.device)
        failed = 0
        for start in range(0, len(texts), CHUNK):
            chunk = texts[start : start + CHUNK]
            done = encoder.embed(chunk)
            self._known.update(zip(chunk, done.embeddings, strict=True))
            failed += sum(error in FAILURES for error in done.errors)
            self._setup.tell("embed", min(start + CHUNK, len(texts)), len(texts))
        refuse_all_failed(
            failed,
            of,
            limit=self._setup.max_failed_share,
            cause=encoder.last_failure,
            kept="of this training",
        )
        self.embedded += len(texts)
        if self._setup.keep:
            vectors = np.stack([self._known[text] for text in texts])
            self._setup.keep(self.digest, texts, vectors)


def fit_heads(
    source: str,
    setup: EncoderSetup,
    splits: Sequence[TaskSplit],
    *,
    class_weights: Weighting = "none",
) -> FittedHeads:
    """Fit one logistic head per task on the embeddings of a frozen encoder.

    Args:
        source: Folder or ``package:`` name of the encoder.
        setup: How to load it.
        splits: The tasks.
        class_weights: See :func:`.logistic_regression.label_weights`.

    Raises:
        ModelError: The encoder cannot be used, fails on too many texts, or no text of a task to
            learn from could be embedded.
    """

    def make(embed: _Embedder, splits: Sequence[TaskSplit]) -> dict[str, Head]:
        heads = {}
        vectors = _by_split(embed, splits, [split.texts for split in splits])
        for done, split in enumerate(splits, start=1):
            usable, usable_vectors = _embedded_rows(split, vectors[split.name])
            heads[split.name] = fit_head(
                usable,
                usable_vectors,
                backbone_digest=embed.digest,
                class_weights=class_weights,
            )
            setup.tell("heads", done, len(splits))
        return heads

    return _in_precision(source, setup, splits, make)


def doubted_labels(
    source: str,
    setup: EncoderSetup,
    splits: Sequence[TaskSplit],
    *,
    class_weights: Weighting = "none",
) -> dict[str, list[LabelDoubt]]:
    """For each task its labelled texts that a person should look at; no model is made.

    Of kinds with several labels a text, equal texts with different labels are all that is found.

    Args:
        source: Folder or ``package:`` name of the encoder.
        setup: How to load it; its precision is used as it is.
        splits: The tasks. All texts are judged, held-out ones too.
        class_weights: See :func:`.logistic_regression.label_weights`.

    Raises:
        ModelError: The encoder cannot be used, or fails on too many texts.
    """
    embed = _Embedder(source, setup, setup.options.precision)
    judged = [split for split in splits if split.rules.exclusive]
    vectors = _by_split(embed, judged, [split.texts for split in judged]) if judged else {}
    doubts = {}
    for done, split in enumerate(splits, start=1):
        suspects: list[Suspect] = []
        if split.name in vectors:
            split, usable_vectors = _embedded_rows(split, vectors[split.name])
            suspects = suspects_in(split, usable_vectors, class_weights=class_weights)
        doubts[split.name] = label_doubts(split.texts, split.label_sets, suspects)
        setup.tell("heads", done, len(splits))
    return doubts


def trained_heads(
    source: str,
    setup: EncoderSetup,
    splits: Sequence[TaskSplit],
    layers: Mapping[str, tuple[Floats, Floats]],
) -> FittedHeads:
    """Calibrate and measure heads that were trained together with the encoder at ``source``.

    Args:
        source: Folder of the trained encoder.
        setup: How to load it.
        splits: The tasks; only held-out texts are embedded, or all texts of a task with
            ``abstain``.
        layers: For each task the weight [labels, dimension] and the bias [labels].
    """

    def make(embed: _Embedder, splits: Sequence[TaskSplit]) -> dict[str, Head]:
        held = [[s.texts[row] for row in np.flatnonzero(s.validation)] for s in splits]
        vectors = _by_split(embed, splits, held)
        heads = {
            split.name: head_of(
                split, *layers[split.name], vectors[split.name], backbone_digest=embed.digest
            )
            for split in splits
        }
        return heads | {
            split.name: with_scope(split, heads[split.name], embed(split.texts))
            for split in splits
            if split.abstain is not None
        }

    return _in_precision(source, setup, splits, make)


def _in_precision(
    source: str,
    setup: EncoderSetup,
    splits: Sequence[TaskSplit],
    make: Callable[[_Embedder, Sequence[TaskSplit]], dict[str, Head]],
) -> FittedHeads:
    """Call ``make`` with an embedder in the given precision, or in that which a check chooses.

    With ``choose_precision`` on a device that computes in bf16, the check compares labels by heads
    made in fp32 of at most ``PILOT_TEXTS`` of each task. All texts are then embedded in the chosen
    precision alone.
    """
    if not setup.choose_precision:
        embed = _Embedder(source, setup, setup.options.precision)
        heads = make(embed, splits)
        return FittedHeads(embed.options, heads, stored=embed.stored, embedded=embed.embedded)
    embed, pilot, embedded = _Embedder(source, setup, "fp32"), {}, 0
    if is_native("bf16", device_of(setup.device)):
        pilot = make(embed, [_pilot(split) for split in splits])
    held = [t for s in splits for t, out in zip(s.texts, s.validation, strict=True) if out]
    if len(held) < SAMPLE:  # among few texts, one changed label is too large a share
        held = [text for split in splits for text in split.texts]
    check = check_precision(source, setup.options, held, heads=pilot, device=setup.device)
    if check.precision != "fp32":
        embed, embedded = _Embedder(source, setup, check.precision), embed.embedded
    heads = make(embed, splits)
    found = {"precision": check.as_dict()}
    return FittedHeads(embed.options, heads, found, embed.stored, embedded + embed.embedded)


def _pilot(split: TaskSplit) -> TaskSplit:
    """The task with about ``PILOT_TEXTS`` texts: two to learn of each label, others by chance."""
    rows = np.random.default_rng(0).permutation(len(split.texts))[:PILOT_TEXTS]
    learned = split.truth & ~split.validation[:, None]
    needed = [np.flatnonzero(column)[:2] for column in learned.T]
    held = np.flatnonzero(split.validation)[:1]
    rows = np.unique(np.concatenate([rows, held, *needed]))
    return replace(
        split,
        texts=[split.texts[row] for row in rows],
        targets=split.targets[rows],
        validation=split.validation[rows],
        abstain=None,
        refit=False,
        baselines={},
    )


def _by_split(
    embed: _Embedder, splits: Sequence[TaskSplit], texts: Sequence[list[str]]
) -> dict[str, Floats]:
    """Embeddings of each task's texts; a text that several tasks share is embedded once."""
    vectors = embed([text for task_texts in texts for text in task_texts])
    edges = np.cumsum([0, *map(len, texts)])
    return {
        split.name: vectors[start:stop]
        for split, start, stop in zip(splits, edges, edges[1:], strict=False)
    }


def device_of(device: str | None) -> torch.device:
    """The torch device of a name; without a name the GPU if there is one, else the CPU.

    Raises:
        ModelError: The name is of a GPU, and torch finds none.
    """
    available = torch.cuda.is_available()
    if device and device.startswith("cuda") and not available:
        raise no_gpu("text.device is cuda")
    return torch.device(device or ("cuda" if available else "cpu"))


def _embedded_rows(split: TaskSplit, vectors: Floats) -> tuple[TaskSplit, Floats]:
    """The rows of a task whose text could be embedded, and their vectors; others are counted.

    Args:
        split: n texts.
        vectors: float32 [n, dimension]; a row of a text that could not be embedded is NaN.
    """
    embedded: Bools = np.asarray(np.isfinite(vectors).all(axis=1))
    if embedded.all():
        return split, vectors
    if not (embedded & ~split.validation).any():
        raise ModelError(
            f"no text of the task {split.name!r} could be embedded",
            fix="see the warnings in the log; a smaller max_length needs less memory",
        )
    kept = replace(
        split,
        texts=[text for text, ok in zip(split.texts, embedded, strict=True) if ok],
        targets=split.targets[embedded],
        validation=split.validation[embedded],
        dropped={**split.dropped, "not_embedded": int((~embedded).sum())},
        baselines=None,
    )
    return kept, vectors[embedded]
