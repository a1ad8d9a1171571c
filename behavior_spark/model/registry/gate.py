"""The gate: compare challenger and champion on the same held-out texts, and decide."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, cast

import numpy as np

from behavior_spark.model.arrays import Bools, Doubles
from behavior_spark.model.heads.stated_costs import Costs, cost_of_texts
from behavior_spark.model.measures.answers import Answers
from behavior_spark.model.measures.classification import (
    Estimate,
    as_plain,
    estimate_difference,
    estimate_mean,
)

Slices = Mapping[str, Bools]
COST_SAVED = "cost saved a text"
MOST_SHOWN = 5
# The slice of the texts all labels of which both heads have, where their labels differ.
KNOWN_TO_BOTH = "labels that both heads have"


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
        costs: Stated costs of a head's labels; with any, the cost of a text is compared in place
            of the figure and of the accuracy in slices, in units of an ordinary mistake.
    """

    figure: str = "f1_macro"
    most_lost: float = 0.02
    slice_margin: float = 0.05
    slice_rows: int = 50
    resamples: int = 1000
    seed: int = 0
    costs: Costs = field(default_factory=dict)


@dataclass(frozen=True)
class Abstention:
    """How a head abstains.

    Attributes:
        coverage: Share of held-out texts inside its classes that get an answer.
        recall: Share of texts outside them that get none; NaN where no such text is known.
    """

    coverage: float
    recall: float = math.nan

    @property
    def balance(self) -> float:
        """Mean of coverage and recall: 0.5 for a head that always answers, or never."""
        return (self.coverage + self.recall) / 2


@dataclass(frozen=True)
class Comparison:
    """One head of challenger and champion, compared on the same texts.

    Both answer every text: equal coverage. How they abstain is compared by ``abstentions``.

    Attributes:
        verdict: ``better``: the whole interval of the difference is above 0. ``not worse``: the
            difference is 0 or above, or the interval reaches 0 and the loss is at most
            ``most_lost``. ``worse``: otherwise.
        texts: Number of texts compared.
        difference: Challenger's figure less the champion's, with a paired interval.
        worse_slices: Accuracy lost, by slice, for slices that lost more than the margin.
        slices_judged: Number of slices with enough texts.
        abstentions: Of challenger and champion, where one of them abstains.
        figure: What was compared.
        new_labels: Labels that only the challenger has.
        lost_labels: Labels that only the champion has.
    """

    verdict: Literal["better", "not worse", "worse"]
    texts: int
    difference: Estimate
    worse_slices: Mapping[str, float] = field(default_factory=dict)
    slices_judged: int = 0
    abstentions: tuple[Abstention, Abstention] | None = None
    figure: str = GateRules.figure
    new_labels: tuple[str, ...] = ()
    lost_labels: tuple[str, ...] = ()

    def balance_lost(self) -> float:
        """How much worse the challenger tells texts inside from those outside; NaN if not known."""
        if self.abstentions is None:
            return math.nan
        challenger, champion = self.abstentions
        return champion.balance - challenger.balance

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

    Where one gives one label a text and the other several, a text is right if its labels are
    exactly the true ones, and costs are those of each label.

    Args:
        challenger: The challenger's answers to n texts.
        champion: The champion's answers to the same texts in the same order.
        slices: Masks, bool [n], by the slice's name.
        rules: Rules of the gate.
    """
    if rules.costs:
        exclusive = challenger.kind.exclusive and champion.kind.exclusive
        gained = np.subtract(
            *(_cost(answers, rules.costs, exclusive) for answers in (champion, challenger))
        )
        difference = estimate_mean(gained, resamples=rules.resamples, seed=rules.seed)
    else:
        difference = estimate_difference(
            challenger, champion, rules.figure, resamples=rules.resamples, seed=rules.seed
        )
        right, before = (
            (answers.truth == answers.predicted).all(axis=1) for answers in (challenger, champion)
        )
        gained = right.astype(np.float64) - before.astype(np.float64)
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
    figure = COST_SAVED if rules.costs else rules.figure
    return Comparison(verdict, len(gained), difference, worse, len(judged), figure=figure)


def _cost(answers: Answers, costs: Costs, exclusive: bool) -> Doubles:
    """Of each text's mistakes, float64 [n]."""
    return cost_of_texts(
        answers.truth,
        answers.predicted,
        answers.labels,
        costs,
        exclusive=exclusive,
    )


def decide(
    comparisons: Mapping[str, Comparison],
    *,
    most_lost: float = GateRules.most_lost,
    missing: tuple[str, ...] = (),
    not_compared: Mapping[str, str] | None = None,
) -> Verdict:
    """The gate's decision: it passes if no head is worse, overall, in a slice or at abstaining.

    Args:
        comparisons: Comparison of each head that both models have, by name.
        most_lost: Of the mean of coverage and recall outside; a larger loss is refused.
        missing: Configured heads that the champion has and the challenger lacks.
        not_compared: Why a head of both could not be compared, by its name.
    """
    if missing:
        lacks = ", ".join(missing)
        return Verdict(False, f"it has no head {lacks}, which the champion has", comparisons)
    for name, why in (not_compared or {}).items():
        return Verdict(False, f"{name} could not be compared: {why}", comparisons)
    if not comparisons:
        return Verdict(False, "no head could be compared on held-out texts", comparisons)
    for name, comparison in comparisons.items():
        if comparison.verdict == "worse":
            reason = f"{name}: {comparison.figure} {_shown(comparison.difference)}"
            return Verdict(False, reason, comparisons)
    for name, comparison in comparisons.items():
        if comparison.worse_slices:
            slice_name, lost = max(comparison.worse_slices.items(), key=lambda item: item[1])
            what = COST_SAVED if comparison.figure == COST_SAVED else "accuracy"
            reason = f"{name}: {what} {-lost:+.3f} in the slice {slice_name}"
            return Verdict(False, reason, comparisons)
    for name, comparison in comparisons.items():
        if comparison.balance_lost() > most_lost:
            reason = f"{name}: it abstains worse, {_shown_abstentions(comparison)}"
            return Verdict(False, reason, comparisons)
    shown = [
        f"{name}: {comparison.verdict}, {comparison.figure} {_shown(comparison.difference)}"
        + (f", {_shown_abstentions(comparison)}" if comparison.abstentions else "")
        + _shown_labels(comparison)
        for name, comparison in comparisons.items()
    ]
    return Verdict(True, "; ".join(shown), comparisons)


def _shown_labels(comparison: Comparison) -> str:
    """What the heads' labels differ in; empty where they have the same."""
    parts = [
        f"{what} {', '.join(labels[:MOST_SHOWN])}"
        + (f" and {len(labels) - MOST_SHOWN} more" if len(labels) > MOST_SHOWN else "")
        for what, labels in (
            ("new labels", comparison.new_labels),
            ("labels it no longer has", comparison.lost_labels),
        )
        if labels
    ]
    return "".join(f", {part}" for part in parts)


def _shown_abstentions(comparison: Comparison) -> str:
    assert comparison.abstentions is not None
    texts = [
        f"{abstention.coverage:.1%} answered"
        + ("" if math.isnan(abstention.recall) else f", {abstention.recall:.1%} outside left out")
        for abstention in comparison.abstentions
    ]
    return f"{texts[0]} (champion: {texts[1]})"


def _shown(difference: Estimate) -> str:
    return f"{difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
