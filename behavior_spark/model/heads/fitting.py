"""Fit one head on fixed embeddings, calibrate it, and measure it on held-out texts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from behavior_spark.model.arrays import Bools, Floats
from behavior_spark.model.heads.head import Head
from behavior_spark.model.heads.kind import HeadKind
from behavior_spark.model.heads.labelled import TaskSplit
from behavior_spark.model.heads.scope import fit_scope
from behavior_spark.model.measures.classification_report import classification_report

# Inverse L2 strengths tried, in the unit of logistic regression's C (sum of losses + |W|^2 / 2C).
STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)

Weighting = Literal["none", "balanced", "sqrt"]


def fit_head(
    split: TaskSplit,
    embeddings: Floats,
    *,
    backbone_digest: str,
    class_weights: Weighting = "none",
) -> Head:
    """Fit a logistic regression with L2 penalty, calibrate it, and measure it.

    The loss is that of the kind of head. The strength of the penalty is the one with the lowest
    ``choice_loss`` on held-out texts; temperature or thresholds are then fitted on the same texts
    (``calibrate``), and the metrics are measured on them. No weight is fitted to these texts, but
    because choices are, the metrics are slightly too high. With ``split.refit`` the weights are
    fitted again at the end, on all texts, with the chosen strength; the metrics are not changed.

    Args:
        split: n texts with targets.
        embeddings: float32 [n, dimension], without NaN.
        backbone_digest: Digest of the encoder that computed the embeddings.
        class_weights: See :func:`label_weights`.

    Returns:
        The calibrated head, with its metrics.
    """
    held = split.validation
    weighting = label_weights(split, class_weights)
    scale = float(1.0 / max(1e-12, np.linalg.norm(embeddings[~held], axis=1).mean()))
    scaled = torch.from_numpy(embeddings * np.float32(scale))
    targets = torch.from_numpy(split.targets)
    train, validation = torch.from_numpy(~held), torch.from_numpy(held)
    best: tuple[float, float, torch.Tensor] | None = None
    weights = torch.zeros(len(split.labels), embeddings.shape[1] + 1)
    for strength in STRENGTHS:
        weights = _minimise(
            split.rules, weights, scaled[train], targets[train], strength, weighting
        )
        loss = 0.0
        if held.any():
            loss = split.rules.choice_loss(
                _logits(weights, scaled[validation]), targets[validation], weighting
            )
        if best is None or loss < best[0]:
            best = (loss, strength, weights)
    loss, strength, weights = best or (0.0, 1.0, weights)
    head = _head(split, weights, scale, backbone_digest)
    head = split.rules.calibrate(head, embeddings[held], split.targets[held])
    head = with_scope(split, head, embeddings)
    metrics = head_metrics(head, split, embeddings[held]) | {"inverse_l2": strength}
    if split.refit:
        weights = _minimise(split.rules, weights, scaled, targets, strength, weighting)
        refitted = _head(split, weights, scale, backbone_digest)
        head = replace(head, weight=refitted.weight, bias=refitted.bias)
        metrics["fitted_on"] = "all labelled texts, after the choices"
    return replace(head, metrics=metrics)


def head_of(
    split: TaskSplit, weight: Floats, bias: Floats, held: Floats, *, backbone_digest: str
) -> Head:
    """A head whose weights were trained together with its encoder; calibrated and measured.

    Args:
        split: The task.
        weight: float32 [labels, dimension].
        bias: float32 [labels].
        held: float32 [held-out texts, dimension] of the trained encoder; a row may be NaN.
        backbone_digest: Digest of that encoder.
    """
    weights = torch.from_numpy(np.concatenate([weight, bias[:, None]], axis=1))
    head = _head(split, weights, 1.0, backbone_digest)
    embedded: Bools = np.asarray(np.isfinite(held).all(axis=1))
    head = split.rules.calibrate(head, held[embedded], split.targets[split.validation][embedded])
    return replace(head, metrics=head_metrics(head, split, held))


def with_scope(split: TaskSplit, head: Head, embeddings: Floats) -> Head:
    """``head`` with a scope fitted if the task has ``abstain``, else unchanged.

    Args:
        split: The task; ``abstain`` is the share of held-out texts that get no label.
        head: A calibrated head.
        embeddings: float32 [n, dimension] of all texts of the task; a row may be NaN.
    """
    if split.abstain is None:
        return head
    embedded: Bools = np.asarray(np.isfinite(embeddings).all(axis=1))
    train, held = embedded & ~split.validation, embedded & split.validation
    numbers = split.targets[train].astype(np.int64)
    return fit_scope(head, embeddings[train], numbers, embeddings[held], false_alarms=split.abstain)


def label_weights(split: TaskSplit, how: Weighting) -> torch.Tensor | None:
    """Weight of each label in the loss, float32 [labels]; None if all weigh the same.

    ``balanced``: ``balanced_weights`` of the kind of head, from the frequency of labels in the
    training texts; ``sqrt``: their square root; ``none``: no weights.
    """
    if how == "none":
        return None
    weights = split.rules.balanced_weights(split.targets[~split.validation], len(split.labels))
    if how == "sqrt":
        weights = np.sqrt(weights)
    return torch.from_numpy(weights.astype(np.float32))


def _head(split: TaskSplit, weights: torch.Tensor, scale: float, backbone_digest: str) -> Head:
    """A head without calibration, from weights [labels, dimension + 1] for scaled vectors."""
    return Head(
        name=split.name,
        labels=split.labels,
        kind=split.kind,
        weight=weights[:, :-1].numpy() * np.float32(scale),
        bias=weights[:, -1].numpy(),
        thresholds=np.full(len(split.labels), 0.5, dtype=np.float32),
        temperature=1.0,
        backbone_digest=backbone_digest,
        trained_through=split.trained_through,
    )


def measure(head: Head, embeddings: Floats, targets: npt.NDArray[Any]) -> dict[str, Any]:
    """The ``classification_report`` of a head on embeddings [n, dimension] and their targets."""
    predicted = head.rules.predict(head.probabilities(embeddings), head.thresholds)
    return classification_report(
        head.labels, head.rules.truth(targets, len(head.labels)), predicted
    )


def head_metrics(head: Head, split: TaskSplit, held: Floats) -> dict[str, Any]:
    """Metrics to store in a head: row counts, classification report, rows and labels dropped.

    Args:
        head: A calibrated head.
        split: Its task.
        held: float32 [held-out texts, dimension], in the order of the task; a row may be NaN.
    """
    held_out = split.validation
    metrics = {
        "rows": {"train": int((~held_out).sum()), "validation": int(held_out.sum())},
        "measured_on": "validation",
        **measure(head, np.nan_to_num(held), split.targets[held_out]),
        "dropped_rows": split.dropped,
        "dropped_labels": split.dropped_labels,
    }
    if split.undated:
        metrics["undated_rows"] = split.undated
    return metrics


def _minimise(
    kind: HeadKind,
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
        loss = kind.loss(_logits(weights, inputs), targets, weighting)
        loss = loss + penalty * weights[:, :-1].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return weights.detach()


def _logits(weights: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    return inputs @ weights[:, :-1].T + weights[:, -1]
