"""Heads on an encoder that stays as it is: from stored embeddings, in the precision that holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Floats
from behavior_spark.model.encoder.devices import is_native, no_gpu
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.encoder.model_folder import (
    EncoderOptions,
    Precision,
    backbone_digest,
    effective_options,
    resolve_model_folder,
)
from behavior_spark.model.heads.fitting import Weighting, fit_head, head_of, with_scope
from behavior_spark.model.heads.head import Head
from behavior_spark.model.heads.labelled import TaskSplit
from behavior_spark.model.heads.precision import SAMPLE, check_precision

CHUNK = 2048  # texts embedded between two calls of progress

Tell = Callable[[str, int, int], None]
# Embeddings, float32 [dimension], that are stored for a backbone's digest, by text.
Stored = Callable[[str, Sequence[str]], Mapping[str, Floats]]


@dataclass(frozen=True)
class Place:
    """How an encoder is loaded, where embeddings may be stored, and who is told of progress.

    Attributes:
        options: The encoder's; their precision is not read where it is to be chosen.
        choose_precision: Let a self-check choose between bf16 and fp32.
        device: As for :meth:`Encoder.load`.
        stored: Looks embeddings up.
        tell: Called with a stage, how much is done, and how much there is.
    """

    options: EncoderOptions
    choose_precision: bool
    device: str | None
    stored: Stored | None
    tell: Tell


@dataclass(frozen=True)
class Fitted:
    """Heads, and the encoder they read.

    Attributes:
        options: The encoder's, in the precision chosen.
        heads: By name.
        check: The record of the precision's self-check, to keep with the model.
        stored: Texts whose embedding was stored.
    """

    options: EncoderOptions
    heads: dict[str, Head]
    check: dict[str, Any] = field(default_factory=dict)
    stored: int = 0


class _Embedder:
    """Embeds texts by one encoder, which is loaded when a text is not in the store."""

    def __init__(self, source: str, place: Place, precision: Precision) -> None:
        folder = resolve_model_folder(source)
        chosen = replace(place.options, precision=precision)
        self.options = effective_options(folder, chosen)
        self.digest = backbone_digest(source, self.options)
        self.stored = 0
        self._source, self._place = source, place

    def __call__(self, texts: Sequence[str]) -> Floats:
        """float32 [n, dimension], NaN where a text could not be embedded; each is read once."""
        different = list(dict.fromkeys(texts))
        found = dict(self._place.stored(self.digest, different)) if self._place.stored else {}
        self.stored += len(found)
        missing = [text for text in different if text not in found]
        if missing:
            encoder = Encoder.load(self._source, self.options, device=self._place.device)
            for start in range(0, len(missing), CHUNK):
                chunk = missing[start : start + CHUNK]
                found.update(zip(chunk, encoder.embed(chunk).embeddings, strict=True))
                self._place.tell("embed", min(start + CHUNK, len(missing)), len(missing))
        return np.stack([found[text] for text in texts]).astype(np.float32, copy=False)


def fit_heads(
    source: str, place: Place, splits: Sequence[TaskSplit], *, class_weights: Weighting = "none"
) -> Fitted:
    """A logistic head per task on the encoder's embeddings.

    Raises:
        ModelError: The encoder cannot be used, or no text of a task could be embedded.
    """

    def make(embed: _Embedder) -> dict[str, Head]:
        heads = {}
        vectors = _by_split(embed, splits, [split.texts for split in splits])
        for done, split in enumerate(splits, start=1):
            own = vectors[split.name]
            good: npt.NDArray[np.bool_] = np.asarray(np.isfinite(own).all(axis=1))
            usable = _keep_rows(split, good)
            heads[split.name] = fit_head(
                usable, own[good], backbone_digest=embed.digest, class_weights=class_weights
            )
            place.tell("heads", done, len(splits))
        return heads

    return _in_precision(source, place, splits, make)


def trained_heads(
    source: str,
    place: Place,
    splits: Sequence[TaskSplit],
    layers: Mapping[str, tuple[Floats, Floats]],
) -> Fitted:
    """The heads that were trained together with the encoder at ``source``, calibrated.

    Args:
        source: The trained encoder.
        place: As for :func:`fit_heads`.
        splits: The tasks; only held-out texts are read, and all where a head is to abstain.
        layers: For each task the weight [labels, dimension] and the bias [labels].
    """

    def make(embed: _Embedder) -> dict[str, Head]:
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

    return _in_precision(source, place, splits, make)


def _in_precision(
    source: str,
    place: Place,
    splits: Sequence[TaskSplit],
    make: Callable[[_Embedder], dict[str, Head]],
) -> Fitted:
    """What ``make`` makes, in the precision that the options name or that a self-check chooses."""
    first: Precision = place.options.precision
    if place.choose_precision:
        first = "bf16" if is_native("bf16", device_of(place.device)) else "fp32"
    embed = _Embedder(source, place, first)
    heads = make(embed)
    if not place.choose_precision:
        return Fitted(embed.options, heads, stored=embed.stored)
    held = [t for s in splits for t, out in zip(s.texts, s.validation, strict=True) if out]
    if len(held) < SAMPLE:  # one flip among a few texts would say too much
        held = [text for split in splits for text in split.texts]
    check = check_precision(source, place.options, held, heads=heads, device=place.device)
    if check.precision != first:
        embed = _Embedder(source, place, check.precision)
        heads = make(embed)
    return Fitted(embed.options, heads, {"precision": check.as_dict()}, embed.stored)


def _by_split(
    embed: _Embedder, splits: Sequence[TaskSplit], texts: Sequence[list[str]]
) -> dict[str, Floats]:
    """Embeddings of each task's texts; a text of several tasks is read once."""
    vectors = embed([text for own in texts for text in own])
    edges = np.cumsum([0, *map(len, texts)])
    return {
        split.name: vectors[first:last]
        for split, first, last in zip(splits, edges, edges[1:], strict=False)
    }


def device_of(device: str | None) -> torch.device:
    """The device that a name, or none, stands for.

    Raises:
        ModelError: A GPU is named, and torch finds none.
    """
    available = torch.cuda.is_available()
    if device and device.startswith("cuda") and not available:
        raise no_gpu("text.device is cuda")
    return torch.device(device or ("cuda" if available else "cpu"))


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
