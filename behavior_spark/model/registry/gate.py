"""The gate: whether a challenger may replace the champion, judged on the same held-out texts."""

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
        figure: Compared over all texts; a name in ``text_metrics.FIGURES``, higher is better.
        most_lost: A loss of more than this is refused even where the texts are too few to tell
            it from none.
        slice_margin: So much accuracy may be lost in any slice.
        slice_rows: Slices of fewer texts are not judged.
        resamples: Of the paired bootstrap.
        seed: Of the resamples.
    """

    figure: str = "f1_macro"
    most_lost: float = 0.02
    slice_margin: float = 0.05
    slice_rows: int = 50
    resamples: int = 1000
    seed: int = 0


@dataclass(frozen=True)
class Comparison:
    """One head of challenger and champion on the same texts.

    Attributes:
        verdict: ``better``: the whole interval of the difference is above nothing; ``not worse``:
            it holds nothing or the difference is a gain, and the loss is small; else ``worse``.
        texts: How many were compared.
        difference: Challenger less champion, paired.
        worse_slices: Accuracy lost in each slice that lost more than the margin.
        slices_judged: How many slices had texts enough.
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
    """The gate's answer.

    Attributes:
        passed: Whether the challenger may become the champion.
        reason: In words.
        comparisons: Of each head both have.
    """

    passed: bool
    reason: str
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """JSON values."""
        heads = {name: each.as_dict() for name, each in self.comparisons.items()}
        found = {"passed": self.passed, "reason": self.reason, "heads": heads}
        return cast(dict[str, Any], as_plain(found))


def compare(challenger: Answers, champion: Answers, slices: Slices, rules: GateRules) -> Comparison:
    """Compare two models' answers to the same texts.

    Args:
        challenger: Its answers to n texts.
        champion: The champion's, to the same texts in the same order.
        slices: bool [n] for each slice.
        rules: The gate's.
    """
    difference = estimate_difference(
        challenger, champion, rules.figure, resamples=rules.resamples, seed=rules.seed
    )
    right = [(each.truth == each.said).all(axis=1) for each in (challenger, champion)]
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
    """The gate's answer over all heads: none may be worse, in all or in a slice.

    Args:
        comparisons: Of each head both models have.
        figure: What was compared, for the reason.
        missing: Heads of the champion that the challenger lacks, though the config wants them.
    """
    if missing:
        lacks = ", ".join(missing)
        return Verdict(False, f"it has no head {lacks}, which the champion has", comparisons)
    if not comparisons:
        return Verdict(False, "no head could be compared on held-out texts", comparisons)
    for name, each in comparisons.items():
        if each.verdict == "worse":
            return Verdict(False, f"{name}: {figure} {_shown(each.difference)}", comparisons)
    for name, each in comparisons.items():
        if each.worse_slices:
            slice_name, lost = max(each.worse_slices.items(), key=lambda item: item[1])
            reason = f"{name}: accuracy {-lost:+.3f} in the slice {slice_name}"
            return Verdict(False, reason, comparisons)
    shown = [f"{n}: {c.verdict}, {figure} {_shown(c.difference)}" for n, c in comparisons.items()]
    return Verdict(True, "; ".join(shown), comparisons)


def _shown(difference: Estimate) -> str:
    return f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
