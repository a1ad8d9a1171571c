"""Heads: linear classifiers that read a stored embedding, so a new head needs no forward pass."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from behavior_spark.errors import ModelError
from behavior_spark.files import read_json, short_digest, write_json
from behavior_spark.model.arrays import Doubles, Floats
from behavior_spark.model.heads.kind import MULTI_LABEL, SINGLE_LABEL, HeadKind, find_head_kind

PROBABILITY_SHARE = 0.3

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


@dataclass(frozen=True, eq=False)
class Scope:
    """What lies within a head's classes; see ``behavior_spark.model.heads.scope``.

    Attributes:
        examples: float32 [m, dimension], unit vectors of texts it learned from.
        threshold: A text less close than this gets no answer.
    """

    examples: Floats
    threshold: float

    def closeness(self, embeddings: Floats, probabilities: Floats) -> Floats:
        """float32 [n]: largest cosine to an example, plus a share of the top probability."""
        norms = np.maximum(np.linalg.norm(embeddings, axis=1), 1e-12)
        cosine = (embeddings @ self.examples.T).max(axis=1) / norms
        found: Floats = cosine + np.float32(PROBABILITY_SHARE) * probabilities.max(axis=1)
        return found


@dataclass(frozen=True, eq=False)
class Head:
    """One linear classifier over embeddings of one backbone.

    Attributes:
        name: Letters, digits, ``_`` and ``-``; also the folder's name in a bundle.
        labels: Distinct labels, at least as many as its kind needs.
        kind: Name of the kind of head, such as ``single_label`` or ``multi_label``.
        weight: float32 [labels, dimension].
        bias: float32 [labels].
        thresholds: float32 [labels], probabilities from which a label counts as present, for
            kinds that read them.
        temperature: Divides the logits (Guo et al. 2017, "On Calibration of Modern Neural
            Networks", arXiv 1706.04599).
        backbone_digest: Digest of the encoder whose embeddings this head reads.
        metrics: What was measured on held-out texts; JSON values.
        trained_through: ISO day of the last label seen, None where labels carry no day.
        scope: Which texts get an answer at all; None: every text.

    Raises:
        ModelError: Shapes, labels, name or numbers do not fit each other.
    """

    name: str
    labels: tuple[str, ...]
    kind: str
    weight: Floats
    bias: Floats
    thresholds: Floats
    temperature: float
    backbone_digest: str
    metrics: dict[str, Any] = field(default_factory=dict)
    trained_through: str | None = None
    scope: Scope | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", tuple(self.labels))
        for attribute in ("weight", "bias", "thresholds"):
            array = np.array(getattr(self, attribute), dtype=np.float32, order="C")
            array.setflags(write=False)
            object.__setattr__(self, attribute, array)
        if problem := self._problem():
            raise ModelError(f"the head {self.name!r} cannot be used: {problem}")

    def _problem(self) -> str | None:
        count = len(self.labels)
        if not _NAME.fullmatch(self.name):
            return "its name may hold letters, digits, _ and - only"
        if len(set(self.labels)) != count or count < self.rules.least_labels:
            return f"it has {count} labels, {len(set(self.labels))} of them distinct"
        if self.weight.ndim != 2 or self.weight.shape[0] != count or not self.weight.shape[1]:
            return f"weight has shape {self.weight.shape} for {count} labels"
        if self.bias.shape != (count,) or self.thresholds.shape != (count,):
            return (
                f"bias has shape {self.bias.shape} and thresholds {self.thresholds.shape} "
                f"for {count} labels"
            )
        if not all(np.isfinite(array).all() for array in (self.weight, self.bias)):
            return "its weights are not all finite"
        if not ((self.thresholds >= 0) & (self.thresholds <= 1)).all():
            return "a threshold is not between 0 and 1"
        if not 0 < self.temperature < float("inf"):
            return f"its temperature is {self.temperature}"
        if self.scope is not None:
            examples = self.scope.examples
            if examples.ndim != 2 or not len(examples) or examples.shape[1] != self.dimension:
                return f"the examples of its scope have shape {examples.shape}"
            if not np.isfinite(self.scope.threshold) or not np.isfinite(examples).all():
                return "its scope is not finite"
        return None

    @cached_property
    def rules(self) -> HeadKind:
        """What its kind decides."""
        return find_head_kind(self.kind)

    @property
    def dimension(self) -> int:
        """Length of the embeddings this head reads."""
        return int(self.weight.shape[1])

    @cached_property
    def digest(self) -> str:
        """16 hex characters over all that decides an output, name and backbone included."""
        header = {
            "name": self.name,
            "labels": self.labels,
            **_kind_facts(self.kind),
            "temperature": float(self.temperature),
            "backbone_digest": self.backbone_digest,
            "shape": self.weight.shape,
        }
        if self.scope is not None:
            header["scope"] = [self.scope.examples.shape, float(self.scope.threshold)]
        arrays = b"".join(a.astype("<f4").tobytes() for a in self._tensors().values())
        return short_digest(json.dumps(header, sort_keys=True).encode() + b"\0" + arrays)

    def probabilities(self, embeddings: Floats) -> Floats:
        """float32 [n, labels] from float32 [n, dimension]; a NaN row stays NaN.

        Raises:
            ModelError: The embeddings have another dimension.
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != self.dimension:
            raise ModelError(
                f"the head {self.name!r} reads embeddings of {self.dimension} numbers",
                found=f"an array of shape {embeddings.shape}",
                fix="use the embeddings of the backbone this head was trained on",
            )
        vectors = embeddings.astype(np.float32, copy=False)
        with np.errstate(invalid="ignore"):  # NaN rows, which some BLAS libraries report
            logits = (vectors @ self.weight.T + self.bias) / np.float32(self.temperature)
        return self.rules.probabilities(logits)

    def raw_logits(self, embeddings: Floats) -> Doubles:
        """float64 [n, labels] from float32 [n, dimension], before the temperature."""
        exact = embeddings.astype(np.float64) @ self.weight.T.astype(np.float64)
        return np.asarray(exact + self.bias)

    def answer(self, embeddings: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
        """Probabilities, as :meth:`probabilities` gives them, and the number of each label.

        Returns:
            float32 [n, labels] and int64 [n]: the most probable label that may be given; -1
            where there is none, the row is NaN or the head abstains.
        """
        probabilities = self.probabilities(embeddings)
        known = ~np.isnan(probabilities).any(axis=1)
        codes = self.rules.top(probabilities, self.thresholds)
        if self.scope is not None and known.any():
            closeness = self.scope.closeness(embeddings[known], probabilities[known])
            codes[np.flatnonzero(known)[closeness < np.float32(self.scope.threshold)]] = -1
        return probabilities, codes

    def decide(self, probabilities: Floats) -> list[str | None]:
        """The label of :meth:`answer` per row of [n, labels], before any abstention; else None."""
        best = self.rules.top(probabilities, self.thresholds).tolist()
        return [None if index < 0 else self.labels[index] for index in best]

    def decide_all(self, probabilities: Floats) -> list[list[str]]:
        """Per row all labels that are given, before any abstention."""
        given = self.rules.given(probabilities, self.thresholds)
        return [[self.labels[int(column)] for column in np.flatnonzero(row)] for row in given]

    def save(self, folder: Path) -> None:
        """Write head.safetensors and head.json into ``folder``, which is made if missing."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self._tensors(), str(folder / "head.safetensors"))
        content = {
            "name": self.name,
            "labels": list(self.labels),
            **_kind_facts(self.kind),
            "thresholds": [float(value) for value in self.thresholds],
            "temperature": float(self.temperature),
            "backbone_digest": self.backbone_digest,
            "metrics": self.metrics,
            "trained_through": self.trained_through,
            "scope_threshold": None if self.scope is None else float(self.scope.threshold),
            "digest": self.digest,
        }
        write_json(folder / "head.json", content)

    @classmethod
    def load(cls, folder: Path) -> Head:
        """Read a head that :meth:`save` wrote.

        Raises:
            ModelError: A file is missing or damaged, or the digest is another.
        """
        content = read_json(folder / "head.json")
        try:
            tensors = load_file(str(folder / "head.safetensors"))
            head = cls(
                name=content["name"],
                labels=tuple(content["labels"]),
                kind=_kind_of(content),
                weight=tensors["weight"],
                bias=tensors["bias"],
                thresholds=np.array(content["thresholds"], dtype=np.float32),
                temperature=float(content["temperature"]),
                backbone_digest=content["backbone_digest"],
                metrics=content["metrics"],
                trained_through=content["trained_through"],
                scope=_scope(content.get("scope_threshold"), tensors.get("examples")),
            )
            recorded = content["digest"]
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ModelError(
                f"cannot read the head in {folder}",
                found=type(error).__name__,
                fix="restore the folder, or train and publish the head again",
            ) from error
        if head.digest != recorded:
            raise ModelError(
                f"the head in {folder} was changed after it was saved",
                found=f"digest {head.digest}, recorded {recorded}",
                fix="restore the folder, or train and publish the head again",
            )
        return head

    def _tensors(self) -> dict[str, Floats]:
        found = {"weight": self.weight, "bias": self.bias, "thresholds": self.thresholds}
        return found if self.scope is None else found | {"examples": self.scope.examples}


def _kind_facts(kind: str) -> dict[str, Any]:
    """A kind as it is stored and digested; the first two kinds as before there were others."""
    facts: dict[str, Any] = {"multi_label": kind == MULTI_LABEL}
    return facts if kind in (SINGLE_LABEL, MULTI_LABEL) else facts | {"kind": kind}


def _kind_of(content: Mapping[str, Any]) -> str:
    """The kind that ``_kind_facts`` wrote."""
    return str(content.get("kind") or (MULTI_LABEL if content["multi_label"] else SINGLE_LABEL))


def _scope(threshold: float | None, examples: Floats | None) -> Scope | None:
    if (threshold is None) != (examples is None):
        raise ValueError("a scope has a threshold and examples")
    return None if threshold is None or examples is None else Scope(examples, float(threshold))


def softmax(logits: Floats) -> Floats:
    """Softmax over the last axis of [n, labels], float32, safe for large logits."""
    shifted: Floats = np.exp(logits - logits.max(axis=1, keepdims=True))
    found: Floats = shifted / shifted.sum(axis=1, keepdims=True)
    return found.astype(np.float32)


def sigmoid(logits: Floats) -> Floats:
    """Sigmoid of each entry, float32, safe for large logits."""
    small = np.exp(-np.abs(logits))
    found: Floats = np.where(logits >= 0, 1.0 / (1.0 + small), small / (1.0 + small))
    return found.astype(np.float32)
