"""The floor: what a first model, which has no champion to compare it with, must be better than."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from behavior_spark.model.registry.gate import GateRules

# Fewer held-out texts say too little to compare a first model with keywords.
FLOOR_TEXTS = 50


def below_floor(
    heads: Mapping[str, Mapping[str, Any]], *, most_lost: float = GateRules.most_lost
) -> str | None:
    """Why a first model should not become the champion; None if it may.

    Each head must have a better macro-F1 than the most frequent label, unless all held-out texts
    have that label; and, where enough texts are held out, an accuracy that is not below that of
    words alone (``heads.baselines``) by more than ``most_lost`` and two standard errors. With
    stated costs the mean cost of a text is compared in place of both, as accuracy is then given
    up on purpose.

    Args:
        heads: For each head what training measured on held-out texts.
        most_lost: Accuracy that it may lack to the keyword baseline, or cost of a text that it may
            have beyond it.
    """
    for name, metrics in heads.items():
        baselines = metrics.get("baselines")
        if not baselines:
            continue
        costs = "cost" in metrics and "cost" in baselines["keywords"]
        lacks = (_too_costly if costs else _too_wrong)(metrics, baselines, most_lost)
        if lacks:
            return f"{name}: {lacks}"
    return None


def _too_wrong(
    metrics: Mapping[str, Any], baselines: Mapping[str, Any], most_lost: float
) -> str | None:
    f1, majority = metrics["f1"], baselines["majority"]["f1"]
    if f1 <= majority < 1:
        return f"F1 {f1:.3f}, and {majority:.3f} by its most frequent label alone"
    texts = metrics["rows"]["validation"]
    accuracy, keywords = metrics["accuracy"], baselines["keywords"]["accuracy"]
    chance = 2 * math.sqrt(keywords * (1 - keywords) / max(texts, 1))
    if texts >= FLOOR_TEXTS and accuracy < keywords - max(most_lost, chance):
        return f"accuracy {accuracy:.3f}, and {keywords:.3f} by keywords alone"
    return None


def _too_costly(
    metrics: Mapping[str, Any], baselines: Mapping[str, Any], most_lost: float
) -> str | None:
    cost, majority = metrics["cost"], baselines["majority"]["cost"]
    if cost >= majority > 0:
        return f"cost of a text {cost:.3f}, and {majority:.3f} by its most frequent label alone"
    keywords, error = baselines["keywords"]["cost"], baselines["keywords"]["cost_error"]
    enough = metrics["rows"]["validation"] >= FLOOR_TEXTS
    if enough and cost > keywords + max(most_lost, 2 * error):
        return f"cost of a text {cost:.3f}, and {keywords:.3f} by keywords alone"
    return None
