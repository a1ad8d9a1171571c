"""Fit one head on fixed embeddings, calibrate it, and measure it on held-out texts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from behavior_spark.model.arrays import Bools, Doubles, Floats
from behavior_spark.model.heads.decision_thresholds import tune_thresholds
from behavior_spark.model.heads.head import Head
from behavior_spark.model.heads.head_metrics import (
    head_metrics,
    label_findings,
    near_copies,
    suspects_of,
)
from behavior_spark.model.heads.label_errors import FEWEST_TEXTS, Suspect
from behavior_spark.model.heads.labelled import TaskSplit
from behavior_spark.model.heads.logistic_regression import Regression, Weighting, logits_of
from behavior_spark.model.heads.out_of_fold import fold_numbers
from behavior_spark.model.heads.scope import closeness_by_folds, fit_scope, often_left_out
from behavior_spark.model.heads.stated_costs import apply_costs

# Inverse L2 strengths tried, in the unit of logistic regression's C (sum of losses + |W|^2 / 2C).
STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)

# Fewer held-out texts, or fewer of a label among them, say too little to calibrate by.
FEW_HELD_OUT, FEW_OF_A_LABEL = 200, 5
# More labelled texts are not judged by folds; more texts times labels not for each strength, which
# is 24 fits.
MOST_FOR_FOLDS, MOST_CELLS_FOR_CHOICE = 20_000, 20_000


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
    (``calibrate``). If fewer than ``FEW_HELD_OUT`` texts are held out, or fewer than
    ``FEW_OF_A_LABEL`` of one of the labels, all labelled texts are used for both instead, each with
    the logits of a head that was fitted on the other folds (``out_of_fold_logits``). Thresholds of
    rare labels, where each text has one label, are chosen by these logits too if there are at most
    ``MOST_FOR_FOLDS`` texts, else on the held-out texts (``tune_thresholds``); with stated costs
    ``apply_costs`` sets the thresholds, on the same texts. The metrics
    are measured on the held-out texts. No weight is fitted to these texts, but because choices
    are, the metrics are slightly too high. With ``split.refit`` the weights are fitted again at
    the end, on all texts, with the chosen strength; the metrics are not changed.

    Args:
        split: n texts with targets.
        embeddings: float32 [n, dimension], without NaN.
        backbone_digest: Digest of the encoder that computed the embeddings.
        class_weights: See :func:`label_weights`.

    Returns:
        The calibrated head, with its metrics.
    """
    held = split.validation
    fitting = Regression.of(split, embeddings, class_weights)
    few = _few_held_out(split)
    # Few texts are calibrated by folds, and findings on labels of exclusive kinds need them.
    by_folds = len(held) <= MOST_FOR_FOLDS and (few or split.rules.exclusive)
    fitted = _calibrated(fitting, embeddings[held], backbone_digest, by_folds=by_folds)
    head, judged = fitted.head, fitted.judged
    if judged is not None and (split.rules.exclusive or few):
        head, tuned = _decided(split, head, judged, split.truth)
    else:
        head, tuned = _decided(split, head, head.raw_logits(embeddings[held]), split.truth[held])
    head = with_scope(split, head, embeddings, judged if few else None)
    metrics = head_metrics(head, split, embeddings[held]) | {"inverse_l2": fitted.strength} | tuned
    metrics |= label_findings(head, split, judged) | near_copies(split, embeddings)
    if "label_noise" in metrics and split.texts_per_label < FEWEST_TEXTS:
        metrics["label_noise"] = metrics["label_noise"] | {"few_texts": True}
    if split.refit:
        everywhere = np.ones(len(held), dtype=np.bool_)
        weights = fitting.fit(everywhere, fitted.weights, fitted.strength)
        refitted = _head(split, weights, fitting.scale, backbone_digest)
        head = replace(head, weight=refitted.weight, bias=refitted.bias)
        metrics["fitted_on"] = "all labelled texts, after the choices"
    return replace(head, metrics=metrics)


def suspects_in(
    split: TaskSplit, embeddings: Floats, *, class_weights: Weighting = "none"
) -> list[Suspect]:
    """Texts whose label is likely wrong by heads that have not learned from them, however many.

    Args:
        split: n texts with targets, of a kind with one label a text.
        embeddings: float32 [n, dimension], without NaN.
        class_weights: See :func:`label_weights`.
    """
    fitting = Regression.of(split, embeddings, class_weights)
    fitted = _calibrated(fitting, embeddings[split.validation], backbone_digest="", by_folds=True)
    return suspects_of(fitted.head, split, fitted.judged)


@dataclass(frozen=True, eq=False)
class _Fitted:
    """A calibrated head, and what it was made by.

    Attributes:
        head: Calibrated, not yet measured.
        judged: float64 [n, labels], logits of heads that have not learned from the text, if made.
        strength: Inverse strength of the penalty.
        weights: float32 [labels, dimension + 1], for scaled vectors.
    """

    head: Head
    judged: Doubles | None
    strength: float
    weights: torch.Tensor


def _calibrated(
    fitting: Regression, held: Floats, backbone_digest: str, *, by_folds: bool
) -> _Fitted:
    """Fit and calibrate a head.

    Args:
        fitting: The task.
        held: float32 [held-out texts, dimension].
        backbone_digest: Digest of the encoder that computed the embeddings.
        by_folds: Make out-of-fold logits even where they are not needed to choose the strength.
    """
    split, few = fitting.split, _few_held_out(fitting.split)
    choose_by_folds = few and len(split.texts) * len(split.labels) <= MOST_CELLS_FOR_CHOICE
    strength, weights, judged = _best_strength(fitting, by_folds=choose_by_folds)
    head = _head(split, weights, fitting.scale, backbone_digest)
    if judged is None and by_folds:
        judged = fitting.out_of_fold(strength, weights)
    if few and judged is not None:
        head = split.rules.calibrate(head, judged, split.targets)
    else:
        head = split.rules.calibrate(head, head.raw_logits(held), split.targets[split.validation])
    return _Fitted(head, judged, strength, weights)


def _best_strength(
    fitting: Regression, *, by_folds: bool
) -> tuple[float, torch.Tensor, Doubles | None]:
    """The strength of L2 with the lowest loss on texts not learned from, and its weights.

    With ``by_folds`` also the out-of-fold logits, float64 [n, labels], by which it was chosen.
    """
    split = fitting.split
    held, everywhere = split.validation, np.ones(len(split.texts), dtype=np.bool_)
    weights = torch.zeros(len(split.labels), fitting.scaled.shape[1] + 1)
    best: tuple[float, float, torch.Tensor, Doubles | None] | None = None
    for strength in STRENGTHS:
        weights = fitting.fit(~held, weights, strength)
        loss, judged = 0.0, None
        if by_folds:
            judged = fitting.out_of_fold(strength, weights)
            loss = fitting.loss(torch.from_numpy(judged.astype(np.float32)), everywhere)
        elif held.any():
            loss = fitting.loss(logits_of(weights, fitting.scaled[torch.from_numpy(held)]), held)
        if best is None or loss < best[0]:
            best = (loss, strength, weights, judged)
    assert best is not None
    return best[1:]


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
    logits = head.raw_logits(held[embedded])
    head = split.rules.calibrate(head, logits, split.targets[split.validation][embedded])
    head, tuned = _decided(split, head, logits, split.truth[split.validation][embedded])
    return replace(head, metrics=head_metrics(head, split, held) | tuned)


def _decided(
    split: TaskSplit, head: Head, logits: Doubles, truth: Bools
) -> tuple[Head, dict[str, Any]]:
    """The head with thresholds by stated costs, else with tuned ones of rare labels.

    Args:
        split: The task.
        head: Calibrated.
        logits: float64 [m, labels] of m texts that the head has not learned from.
        truth: bool [m, labels].
    """
    if split.costs and len(logits):
        return apply_costs(head, logits, truth, split.costs)
    if not split.rules.exclusive or not len(logits):
        return head, {}
    return tune_thresholds(head, logits, truth)


def with_scope(
    split: TaskSplit, head: Head, embeddings: Floats, judged: Doubles | None = None
) -> Head:
    """``head`` with a scope fitted if the task has ``abstain``, else unchanged.

    Args:
        split: The task; ``abstain`` is the share of held-out texts that get no label.
        head: A calibrated head.
        embeddings: float32 [n, dimension] of all texts of the task; a row may be NaN.
        judged: float64 [n, labels], logits of heads that have not learned from the text, where
            few texts are held out; the threshold is then chosen by all texts, by folds.
    """
    if split.abstain is None:
        return head
    folds = fold_numbers(split.texts)
    closeness = None
    if judged is not None and split.rules.exclusive and len(np.unique(folds)) > 1:
        probabilities = split.rules.probabilities((judged / head.temperature).astype(np.float32))
        every = split.targets.astype(np.int64)
        closeness = closeness_by_folds(embeddings, every, probabilities, folds)
    embedded: Bools = np.asarray(np.isfinite(embeddings).all(axis=1))
    train, held = embedded & ~split.validation, embedded & split.validation
    numbers = split.targets[train].astype(np.int64)
    head = fit_scope(
        head, embeddings[train], numbers, embeddings[held],
        false_alarms=split.abstain, closeness=closeness,
    )  # fmt: skip
    assert head.scope is not None
    rows = held if closeness is None else np.ones(len(split.texts), dtype=np.bool_)
    if closeness is None:
        closeness = head.scope.closeness(embeddings[held], head.probabilities(embeddings[held]))
    often = often_left_out(closeness < head.scope.threshold, split.truth[rows], split.labels)
    return replace(head, metrics=head.metrics | ({"often_left_out": often} if often else {}))


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


def _few_held_out(split: TaskSplit) -> bool:
    """Whether the held-out texts are too few to choose a temperature or thresholds by."""
    truth = split.truth[split.validation]
    return len(truth) < FEW_HELD_OUT or bool((truth.sum(axis=0) < FEW_OF_A_LABEL).any())
