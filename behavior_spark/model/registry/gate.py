"""The gate: compare challenger and champion on the same held-out texts, and decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast

import numpy as np

from behavior_spark.model.arrays import Bools
from behavior_spark.model.measures.classification import (
    Answers,
    Estimate,
    as_plain,
    estimate_difference,
)

Slices = Mapping[str, Bools]


@dataclass(frozen=True)
class GateRules:
    """What a challenger must satisfy.

    Attributes:
        figure: Figure compared over all texts; a name in ``classification.FIGURES``, higher is
            better.
        most_lost: A larger loss is refused, even if the interval of the difference includes 0.
        slice_margin: Largest loss of accuracy allowed in a slice.
        slice_rows: Slices with fewer texts are not judged.
        resamples: Number of resamples of the paired bootstrap.
        seed: Seed of the resamples.
    """

    figure: str = "f1_macro"
    most_lost: float = 0.02
    slice_margin: float = 0.05
    slice_rows: int = 50
    resamples: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Comparison:
    """One head of challenger and champion, compared on the same texts.

    Attributes:
        verdict: ``better``: the whole interval of the difference is above 0. ``not worse``: the
            difference is 0 or above, or the interval reaches 0 and the loss is at most
            ``most_lost``. ``worse``: otherwise.
        texts: Number of texts compared.
        difference: Challenger's figure less the champion's, with a paired interval.
        worse_slices: Accuracy lost, by slice, for slices that lost more than the margin.
        slices_judged: Number of slices with enough texts.
    """

    verdict: Literal["better", "not worse", "worse"]
    texts: int
    difference: Estimate
    worse_slices: Mapping[str, float] = field(default_factory=dict)
    slices_judged: int = 0

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Verdict:
    """The gate's decision.

    Attributes:
        passed: Whether the challenger may become the champion.
        reason: The reason in words.
        comparisons: Comparison of each head that both models have, by name.
    """

    passed: bool
    reason: str
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        heads = {name: comparison.as_dict() for name, comparison in self.comparisons.items()}
        content = {"passed": self.passed, "reason": self.reason, "heads": heads}
        return cast(dict[str, Any], as_plain(content))


def compare(challenger: Answers, champion: Answers, slices: Slices, rules: GateRules) -> Comparison:
    """Compare two models' answers to the same texts.

    Args:
        challenger: The challenger's answers to n texts.
        champion: The champion's answers to the same texts in the same order.
        slices: Masks, bool [n], by the slice's name.
        rules: Rules of the gate.
    """
    difference = estimate_difference(
        challenger, champion, rules.figure, resamples=rules.resamples, seed=rules.seed
    )
    right = [(answers.truth == answers.predicted).all(axis=1) for answers in (challenger, champion)]
    gained = right[0].astype(np.float64) - right[1].astype(np.float64)
    judged = {name: rows for name, rows in slices.items() if rows.sum() >= rules.slice_rows}
    lost = {name: -float(gained[rows].mean()) for name, rows in judged.items()}
    worse = {name: value for name, value in lost.items() if value > rules.slice_margin + 1e-9}
    verdict: Literal["better", "not worse", "worse"]
    if difference.low > 0:
        verdict = "better"
    elif difference.value >= 0 or (
        difference.high >= 0 and difference.value >= -rules.most_lost - 1e-9
    ):
        verdict = "not worse"
    else:
        verdict = "worse"
    return Comparison(verdict, len(gained), difference, worse, len(judged))


def decide(
    comparisons: Mapping[str, Comparison], *, figure: str, missing: tuple[str, ...] = ()
) -> Verdict:
    """The gate's decision: it passes if no head is worse, overall or in a slice.

    Args:
        comparisons: Comparison of each head that both models have, by name.
        figure: Name of the compared figure, for the reason.
        missing: Configured heads that the champion has and the challenger lacks.
    """
    if missing:
        lacks = ", ".join(missing)
        return Verdict(False, f"it has no head {lacks}, which the champion has", comparisons)
    if not comparisons:
        return Verdict(False, "no head could be compared on held-out texts", comparisons)
    for name, comparison in comparisons.items():
        if comparison.verdict == "worse":
            return Verdict(False, f"{name}: {figure} {_shown(comparison.difference)}", comparisons)
    for name, comparison in comparisons.items():
        if comparison.worse_slices:
            slice_name, lost = max(comparison.worse_slices.items(), key=lambda item: item[1])
            reason = f"{name}: accuracy {-lost:+.3f} in the slice {slice_name}"
            return Verdict(False, reason, comparisons)
    shown = [f"{n}: {c.verdict}, {figure} {_shown(c.difference)}" for n, c in comparisons.items()]
    return Verdict(True, "; ".join(shown), comparisons)


def _shown(difference: Estimate) -> str:
    return f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
