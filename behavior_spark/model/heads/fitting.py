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
    """Logistic regression with L2, as the kind of head has it, calibrated, with its metrics.

    The strength of L2 is what held-out texts like best (``choice_loss``); then temperature or
    thresholds are fitted on the same texts (``calibrate``). Metrics come from those texts too: none
    was learned from, yet a little optimism remains. Where ``split.refit``, the weights are fitted
    once more at the end, on all texts, with what was chosen; the metrics stay those of before.

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
        weights = _minimise(
            split.rules, weights, scaled[train], targets[train], strength, weighting
        )
        loss = 0.0
        if held.any():
            loss = split.rules.choice_loss(
                _logits(weights, scaled[check]), targets[check], weighting
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
    head = split.rules.calibrate(head, held[read], split.targets[split.validation][read])
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

    ``balanced``: as the kind of head balances labels, by their frequency among the texts to learn
    from; ``sqrt``: its root.
    """
    if how == "none":
        return None
    weights = split.rules.balanced_weights(split.targets[~split.validation], len(split.labels))
    if how == "sqrt":
        weights = np.sqrt(weights)
    return torch.from_numpy(weights.astype(np.float32))


def _head(split: TaskSplit, weights: torch.Tensor, scale: float, backbone_digest: str) -> Head:
    """A head that is not calibrated yet, of weights [labels, dimension + 1] for scaled vectors."""
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
    """The ``classification_report`` of held-out texts."""
    given = head.rules.given(head.probabilities(embeddings), head.thresholds)
    return classification_report(head.labels, head.rules.truth(targets, len(head.labels)), given)


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
