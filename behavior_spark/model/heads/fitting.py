"""Fit one head on fixed embeddings, calibrate it, and measure it on held-out texts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from behavior_spark.model.arrays import Bools, Floats
from behavior_spark.model.heads.head import Head, sigmoid
from behavior_spark.model.heads.labelled import TaskSplit
from behavior_spark.model.heads.scope import fit_scope

# Inverse L2 strengths tried, in the unit of logistic regression's C (sum of losses + |W|^2 / 2C).
STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
# Fewer held-out rows or positives than this say too little to move a temperature or a threshold.
MIN_CALIBRATION_ROWS = 30
MIN_THRESHOLD_POSITIVES = 5
_THRESHOLDS = np.linspace(0.05, 0.95, 91, dtype=np.float32)
_TEMPERATURES = (0.1, 10.0)

Weighting = Literal["none", "balanced", "sqrt"]


def fit_head(
    split: TaskSplit,
    embeddings: Floats,
    *,
    backbone_digest: str,
    class_weights: Weighting = "none",
) -> Head:
    """Multinomial (or per-label) logistic regression with L2, calibrated, with its metrics.

    The strength of L2 is the one with the lowest validation loss, or, for several labels a
    text, the best validation F1; then the temperature (Guo et al. 2017, arXiv 1706.04599) of a
    single-label head, or the thresholds of a multi-label head with the best F1 per label, are
    fitted on the same held-out texts. Metrics come from those texts too: none was learned from,
    yet a little optimism remains. Where ``split.refit``, the weights are fitted once more at the
    end, on all texts, with what was chosen; the metrics stay those of before.

    Args:
        split: n texts with targets.
        embeddings: float32 [n, dimension], without NaN.
        backbone_digest: Digest of the encoder that made the embeddings.
        class_weights: As for :func:`label_weights`.
    """
    held = split.validation
    weighting = label_weights(split, class_weights)
    scale = float(1.0 / max(1e-12, np.linalg.norm(embeddings[~held], axis=1).mean()))
    scaled = torch.from_numpy(embeddings * np.float32(scale))
    targets = torch.from_numpy(split.targets)
    train, check = torch.from_numpy(~held), torch.from_numpy(held)
    best: tuple[float, float, torch.Tensor] | None = None
    weights = torch.zeros(len(split.labels), embeddings.shape[1] + 1)
    for strength in STRENGTHS:
        weights = _minimise(weights, scaled[train], targets[train], strength, weighting)
        loss = _held_out_loss(weights, scaled[check], targets[check], weighting)
        if best is None or loss < best[0]:
            best = (loss, strength, weights)
    loss, strength, weights = best or (0.0, 1.0, weights)
    head = _head(split, weights, scale, backbone_digest)
    head = calibrate(head, embeddings[held], split.targets[held])
    head = with_scope(split, head, embeddings)
    metrics = head_metrics(head, split, embeddings[held]) | {"inverse_l2": strength}
    if split.refit:
        weights = _minimise(weights, scaled, targets, strength, weighting)
        whole = _head(split, weights, scale, backbone_digest)
        head = replace(head, weight=whole.weight, bias=whole.bias)
        metrics["fitted_on"] = "all labelled texts, after the choices"
    return replace(head, metrics=metrics)


def head_of(
    split: TaskSplit, weight: Floats, bias: Floats, held: Floats, *, backbone_digest: str
) -> Head:
    """A head whose weights were trained with its encoder, calibrated, with its metrics.

    Args:
        split: The task.
        weight: float32 [labels, dimension].
        bias: float32 [labels].
        held: float32 [held-out texts, dimension] of the trained encoder; a row may be NaN.
        backbone_digest: Digest of that encoder.
    """
    weights = torch.from_numpy(np.concatenate([weight, bias[:, None]], axis=1))
    head = _head(split, weights, 1.0, backbone_digest)
    read: Bools = np.asarray(np.isfinite(held).all(axis=1))
    head = calibrate(head, held[read], split.targets[split.validation][read])
    return replace(head, metrics=head_metrics(head, split, held))


def with_scope(split: TaskSplit, head: Head, embeddings: Floats) -> Head:
    """``head`` as it is, or one that abstains where the task asks for it.

    Args:
        split: The task; its ``abstain`` is the share of held-out texts without an answer.
        head: Calibrated.
        embeddings: float32 [n, dimension] of all its texts; a row may be NaN.
    """
    if split.abstain is None:
        return head
    read: Bools = np.asarray(np.isfinite(embeddings).all(axis=1))
    train, held = read & ~split.validation, read & split.validation
    numbers = split.targets[train].astype(np.int64)
    return fit_scope(head, embeddings[train], numbers, embeddings[held], false_alarms=split.abstain)


def label_weights(split: TaskSplit, how: Weighting) -> torch.Tensor | None:
    """float32 [labels]: what a label counts in the loss; None: all count the same.

    ``balanced`` is one over a label's frequency among the texts to learn from, ``sqrt`` its
    root; for several labels a text they weigh the positives, by negatives over positives.
    """
    if how == "none":
        return None
    learned = split.targets[~split.validation]
    count = len(split.labels)
    if split.multi_label:
        positives = np.maximum(learned.sum(axis=0), 1.0)
        weights = np.maximum(len(learned) - positives, 1.0) / positives
    else:
        found = np.bincount(learned.astype(np.int64), minlength=count)
        weights = len(learned) / (count * np.maximum(found, 1.0))
    if how == "sqrt":
        weights = np.sqrt(weights)
    return torch.from_numpy(weights.astype(np.float32))


def _head(split: TaskSplit, weights: torch.Tensor, scale: float, backbone_digest: str) -> Head:
    """A head that is not calibrated yet, of weights [labels, dimension + 1] for scaled vectors."""
    return Head(
        name=split.name,
        labels=split.labels,
        multi_label=split.multi_label,
        weight=weights[:, :-1].numpy() * np.float32(scale),
        bias=weights[:, -1].numpy(),
        thresholds=np.full(len(split.labels), 0.5, dtype=np.float32),
        temperature=1.0,
        backbone_digest=backbone_digest,
        trained_through=split.trained_through,
    )


def _held_out_loss(
    weights: torch.Tensor,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    weighting: torch.Tensor | None,
) -> float:
    """What the strength of L2 is chosen by: the loss, or one less F1 at the best thresholds."""
    if not len(inputs):
        return 0.0
    if targets.ndim == 1:
        return float(_loss(weights, inputs, targets, weighting))
    probabilities = sigmoid((inputs @ weights[:, :-1].T + weights[:, -1]).numpy())
    truth = targets.numpy().astype(bool)
    said = probabilities >= best_thresholds(probabilities, truth)
    names = tuple(str(i) for i in range(truth.shape[1]))
    return 1.0 - float(classification_report(names, truth, said)["f1"])


def calibrate(head: Head, embeddings: Floats, targets: npt.NDArray[Any]) -> Head:
    """``head`` with temperature or thresholds fitted; unchanged where the texts are too few."""
    if head.multi_label:
        chosen = best_thresholds(head.probabilities(embeddings), targets.astype(bool))
        return replace(head, thresholds=chosen)
    if len(targets) < MIN_CALIBRATION_ROWS:
        return head
    logits = embeddings.astype(np.float64) @ head.weight.T.astype(np.float64) + head.bias

    def loss(log_temperature: float) -> float:
        scaled = logits / math.exp(log_temperature)
        top = scaled.max(axis=1)
        normaliser = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        return float(np.mean(normaliser - scaled[np.arange(len(targets)), targets]))

    low, high = (math.log(value) for value in _TEMPERATURES)
    return replace(head, temperature=math.exp(_golden_section(loss, low, high)))


def best_thresholds(probabilities: Floats, truth: Bools) -> Floats:
    """float32 [labels]: per column the threshold with the best F1, 0.5 where positives are few.

    The F1 of a threshold is the mean of two: the one seen, and the one expected if each
    probability were true (Lipton et al. 2014, arXiv 1402.1892), which a few positives more or
    less move little. For the second the probabilities are first moved to the frequency of the
    label, since class weights raise them.
    """
    chosen = np.full(probabilities.shape[1], 0.5, dtype=np.float32)
    for column in np.flatnonzero(truth.sum(axis=0) >= MIN_THRESHOLD_POSITIVES):
        positive = truth[:, column]
        expected = _at_frequency(probabilities[:, column], int(positive.sum()))
        said = probabilities[:, column, None] >= _THRESHOLDS
        hits = positive @ said.astype(np.float64) + expected @ said.astype(np.float64)
        f1 = hits / np.maximum(1, said.sum(axis=0) + positive.sum())
        best = np.flatnonzero(f1 >= f1.max() - 1e-12)
        chosen[column] = _THRESHOLDS[best[len(best) // 2]]  # the middle of a plateau
    return chosen


def _at_frequency(probabilities: Floats, positives: int) -> npt.NDArray[np.float64]:
    """Probabilities of one label, all logits moved alike so that they add up to its positives."""
    within = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    logits = np.log(within / (1 - within))

    def surplus(move: float) -> float:
        return abs(float((1 / (1 + np.exp(-logits - move))).sum()) - positives)

    return np.asarray(1 / (1 + np.exp(-logits - _golden_section(surplus, -20.0, 20.0))))


def measure(head: Head, embeddings: Floats, targets: npt.NDArray[Any]) -> dict[str, Any]:
    """Accuracy, precision, recall and F1 (macro and per class) over held-out texts.

    Macro values average labels that are present in the truth or in the answers. Accuracy of a
    multi-label head counts a row only where every label is right.
    """
    probabilities = head.probabilities(embeddings)
    if head.multi_label:
        truth, said = targets.astype(bool), probabilities >= head.thresholds
    else:
        columns = np.arange(len(head.labels))
        truth = targets[:, None] == columns
        said = probabilities.argmax(axis=1)[:, None] == columns
    return classification_report(head.labels, truth, said)


def classification_report(labels: tuple[str, ...], truth: Bools, said: Bools) -> dict[str, Any]:
    """The figures of :func:`measure` from two bool tables [n, labels]."""
    hits = (truth & said).sum(axis=0).astype(float)
    answers, positives = said.sum(axis=0), truth.sum(axis=0)
    precision = hits / np.maximum(1, answers)
    recall = hits / np.maximum(1, positives)
    f1 = 2 * hits / np.maximum(1, answers + positives)
    present = (answers + positives) > 0

    def macro(values: npt.NDArray[Any]) -> float:
        return float(values[present].mean()) if present.any() else 0.0

    return {
        "accuracy": float((truth == said).all(axis=1).mean()) if len(truth) else 0.0,
        "precision": macro(precision),
        "recall": macro(recall),
        "f1": macro(f1),
        "per_class": {
            label: {
                "rows": int(positives[i]),
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
            }
            for i, label in enumerate(labels)
        },
    }


def head_metrics(head: Head, split: TaskSplit, held: Floats) -> dict[str, Any]:
    """What a head records of itself, from embeddings of its held-out texts, in their order."""
    out = split.validation
    metrics = {
        "rows": {"train": int((~out).sum()), "validation": int(out.sum())},
        "measured_on": "validation",
        **measure(head, np.nan_to_num(held), split.targets[out]),
        "dropped_rows": split.dropped,
        "dropped_labels": split.dropped_labels,
    }
    if split.undated:
        metrics["undated_rows"] = split.undated
    return metrics


def _minimise(
    start: torch.Tensor,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    strength: float,
    weighting: torch.Tensor | None,
) -> torch.Tensor:
    """Weights [labels, dimension + 1] (bias last, not penalised) by L-BFGS from ``start``."""
    weights = start.clone().requires_grad_(True)
    penalty = 1.0 / (2.0 * strength * len(inputs))
    optimiser = torch.optim.LBFGS(
        [weights],
        max_iter=200,
        tolerance_grad=1e-5,
        tolerance_change=1e-8,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = _loss(weights, inputs, targets, weighting)
        loss = loss + penalty * weights[:, :-1].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return weights.detach()


def _loss(
    weights: torch.Tensor,
    inputs: torch.Tensor,
    targets: torch.Tensor,
    weighting: torch.Tensor | None,
) -> torch.Tensor:
    return task_loss(inputs @ weights[:, :-1].T + weights[:, -1], targets, weighting)


def task_loss(
    logits: torch.Tensor,
    targets: torch.Tensor,
    weighting: torch.Tensor | None = None,
    *,
    smoothing: float = 0.0,
) -> torch.Tensor:
    """Mean over rows: cross-entropy for label numbers, summed binary loss for 0/1 tables.

    Args:
        logits: [n, labels].
        targets: int64 [n], or float32 [n, labels].
        weighting: float32 [labels], as :func:`label_weights` gives.
        smoothing: Of the labels of cross-entropy.
    """
    if targets.ndim == 1:
        return cross_entropy(logits, targets, weight=weighting, label_smoothing=smoothing)
    loss = binary_cross_entropy_with_logits(logits, targets, pos_weight=weighting)
    return loss * targets.shape[1]


def _golden_section(loss: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one valley is lowest, within 1e-3."""
    ratio = (math.sqrt(5.0) - 1.0) / 2.0
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > 1e-3:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = loss(right)
    return (low + high) / 2.0
