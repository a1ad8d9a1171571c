"""Heads: linear classifiers on embeddings. On stored embeddings they need no forward pass."""

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
    """Decides which texts belong to any class; see ``behavior_spark.model.heads.scope``.

    Attributes:
        examples: float32 [m, dimension], unit vectors of training texts.
        threshold: A text with a lower closeness gets no label.
    """

    examples: Floats
    threshold: float

    def closeness(self, embeddings: Floats, probabilities: Floats) -> Floats:
        """Largest cosine to an example, plus a share of the top probability; float32 [n]."""
        norms = np.maximum(np.linalg.norm(embeddings, axis=1), 1e-12)
        cosine = (embeddings @ self.examples.T).max(axis=1) / norms
        closeness: Floats = cosine + np.float32(PROBABILITY_SHARE) * probabilities.max(axis=1)
        return closeness


@dataclass(frozen=True, eq=False)
class Head:
    """One linear classifier over embeddings of one encoder.

    Attributes:
        name: Letters, digits, ``_`` and ``-``; also the name of its folder in a text model.
        labels: Distinct labels, at least as many as its kind needs.
        kind: Name of the kind of head, such as ``single_label`` or ``multi_label``.
        weight: float32 [labels, dimension].
        bias: float32 [labels].
        thresholds: float32 [labels], 0.5 unless tuned. With several labels a text, a label is
            predicted if its probability is at or above its threshold; with one, the label with
            the largest probability in proportion to its threshold.
        temperature: Divisor of the logits (Guo et al. 2017, "On Calibration of Modern Neural
            Networks", arXiv 1706.04599).
        backbone_digest: Digest of the encoder whose embeddings this head reads.
        metrics: Metrics on held-out texts; JSON values.
        trained_through: ISO day of the last training label; None if labels have no day.
        scope: Decides which texts get a label at all; None: every text does.

    Raises:
        ModelError: The name is not valid, shapes do not agree, or numbers are not finite.
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
        """Loss, probabilities and predictions of its kind."""
        return find_head_kind(self.kind)

    @property
    def dimension(self) -> int:
        """Length of the embeddings this head reads."""
        return int(self.weight.shape[1])

    @cached_property
    def digest(self) -> str:
        """Digest of everything that an output depends on, name and encoder included.

        16 hex characters.
        """
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
        """Probabilities, float32 [n, labels], of embeddings, float32 [n, dimension].

        A row of NaN gives a row of NaN.

        Raises:
            ModelError: The embeddings do not have the head's dimension.
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
        """Probabilities and predicted labels of embeddings, float32 [n, dimension].

        Returns:
            Probabilities, float32 [n, labels], and the number of the predicted label, int64 [n];
            -1 if no label reaches its threshold, the row is NaN, or the head abstains.
        """
        probabilities = self.probabilities(embeddings)
        embedded = ~np.isnan(probabilities).any(axis=1)
        codes = self.rules.top(probabilities, self.thresholds)
        if self.scope is not None and embedded.any():
            closeness = self.scope.closeness(embeddings[embedded], probabilities[embedded])
            codes[np.flatnonzero(embedded)[closeness < np.float32(self.scope.threshold)]] = -1
        return probabilities, codes

    def confidence(self, probabilities: Floats) -> Floats:
        """Probability of the label that the head decides for, float32 [n], from [n, labels].

        The largest probability in a row without a decision. Abstention by scope changes nothing.
        """
        codes = self.rules.top(probabilities, self.thresholds)
        decided = np.where(codes < 0, probabilities.argmax(axis=1), codes)
        confidence: Floats = probabilities[np.arange(len(probabilities)), decided]
        return confidence

    def decide(self, probabilities: Floats) -> list[str | None]:
        """The predicted label of each row of probabilities [n, labels], None without one.

        Unlike :meth:`answer` it does not abstain by scope.
        """
        best = self.rules.top(probabilities, self.thresholds).tolist()
        return [None if index < 0 else self.labels[index] for index in best]

    def decide_all(self, probabilities: Floats) -> list[list[str]]:
        """All predicted labels of each row of probabilities [n, labels]; no abstention by scope."""
        predicted = self.rules.predict(probabilities, self.thresholds)
        return [[self.labels[int(column)] for column in np.flatnonzero(row)] for row in predicted]

    def save(self, folder: Path) -> None:
        """Write head.safetensors and head.json to ``folder``, which is created if missing."""
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
            ModelError: A file is missing or damaged, or the digest does not match.
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
        tensors = {"weight": self.weight, "bias": self.bias, "thresholds": self.thresholds}
        return tensors if self.scope is None else tensors | {"examples": self.scope.examples}


def _kind_facts(kind: str) -> dict[str, Any]:
    """The kind in the form that is stored and digested.

    The first two kinds have the form they had when they were the only ones.
    """
    facts: dict[str, Any] = {"multi_label": kind == MULTI_LABEL}
    return facts if kind in (SINGLE_LABEL, MULTI_LABEL) else facts | {"kind": kind}


def _kind_of(content: Mapping[str, Any]) -> str:
    """Name of the kind, from stored content with the entries of ``_kind_facts``."""
    return str(content.get("kind") or (MULTI_LABEL if content["multi_label"] else SINGLE_LABEL))


def _scope(threshold: float | None, examples: Floats | None) -> Scope | None:
    if (threshold is None) != (examples is None):
        raise ValueError("a scope has a threshold and examples")
    return None if threshold is None or examples is None else Scope(examples, float(threshold))


def softmax(logits: Floats) -> Floats:
    """Softmax over the last axis, float32 [n, labels], without overflow for large logits."""
    exponentials: Floats = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: Floats = exponentials / exponentials.sum(axis=1, keepdims=True)
    return probabilities.astype(np.float32)


def sigmoid(logits: Floats) -> Floats:
    """Sigmoid of each entry, float32, without overflow for large logits."""
    exponentials = np.exp(-np.abs(logits))
    probabilities: Floats = np.where(
        logits >= 0, 1.0 / (1.0 + exponentials), exponentials / (1.0 + exponentials)
    )
    return probabilities.astype(np.float32)
