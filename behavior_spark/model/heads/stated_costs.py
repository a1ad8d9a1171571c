"""Decision thresholds from stated costs: what a missed text and a false alarm of a label cost.

Of two labels the one is right to choose whose expected cost is lower, that is from the probability
false_alarm / (false_alarm + missed) on (Elkan 2001, "The Foundations of Cost-Sensitive Learning",
section 2). So with one label a text a label wins by its probability times missed / false_alarm, and
with several a text has a label from that threshold on. A text of label j that is taken for i costs
missed(j) * false_alarm(i), where a label without a stated cost has 1 and 1. Where all false alarms
cost 1, the decision is that of the lowest expected cost among any number of labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from behavior_spark.errors import ConfigError
from behavior_spark.model.arrays import Bools, Doubles, Floats
from behavior_spark.model.heads.head import Head


@dataclass(frozen=True)
class LabelCost:
    """Costs of a label's mistakes, in units of an ordinary mistake.

    Attributes:
        missed: Of a text of the label that gets another one, or none.
        false_alarm: Of a text of another label that gets this one.
    """

    missed: float = 1.0
    false_alarm: float = 1.0


Costs = Mapping[str, LabelCost]


def check_costs(name: str, labels: tuple[str, ...], costs: Costs) -> None:
    """Refuse a cost of a label that the head does not learn.

    Raises:
        ConfigError: It names the labels that it does.
    """
    unknown = sorted(set(costs) - set(labels))
    if unknown:
        shown = ", ".join(labels[:10]) + (", ..." if len(labels) > 10 else "")
        raise ConfigError(
            f"text.heads.{name}.cost: there is no label {unknown[0]!r}",
            found=f"labels that are learned: {shown}",
            fix="write the label as the labelled table has it",
        )


def apply_costs(
    head: Head, logits: Doubles, truth: Bools, costs: Costs
) -> tuple[Head, dict[str, Any]]:
    """The head with the thresholds that stated costs ask for, if these lower the cost.

    They are kept if the mean cost of a text falls by more than the standard error of the
    difference, on texts that the head has not learned from.

    Args:
        head: Calibrated.
        logits: float64 [n, labels] before the temperature, by heads that have not learned from
            the text.
        truth: bool [n, labels].
        costs: By label.

    Returns:
        The head, and the metrics to record.
    """
    probabilities = head.rules.probabilities((logits / head.temperature).astype(np.float32))
    thresholds = cost_thresholds(head, probabilities, truth, costs)
    before, after = (
        cost_of_texts(
            truth,
            head.rules.predict(probabilities, chosen),
            head.labels,
            costs,
            exclusive=head.rules.exclusive,
        )
        for chosen in (head.thresholds, thresholds)
    )
    saved = before - after
    noise = float(saved.std(ddof=1) / np.sqrt(len(saved))) if len(saved) > 1 else float("inf")
    kept = bool(len(saved)) and float(saved.mean()) > noise
    metrics = {
        "costs": {
            label: {"missed": cost.missed, "false_alarm": cost.false_alarm}
            for label, cost in costs.items()
        },
        "kept": kept,
        "cost_of_a_text": {
            "before": float(before.mean()) if len(before) else None,
            "after": float(after.mean()) if len(after) else None,
            "noise": noise if len(saved) > 1 else None,
        },
    }
    return (replace(head, thresholds=thresholds) if kept else head), {"stated_costs": metrics}


def cost_thresholds(head: Head, probabilities: Floats, truth: Bools, costs: Costs) -> Floats:
    """Thresholds, float32 [labels], by costs and by how often each label really occurs.

    Weights of labels in the loss raise the probabilities of rare ones: a threshold rises as much
    (Saerens et al. 2002, "Adjusting the Outputs of a Classifier to New a Priori Probabilities").
    """
    each = [costs.get(label, LabelCost()) for label in head.labels]
    odds = np.array([cost.false_alarm / cost.missed for cost in each])
    raised = (probabilities.sum(axis=0) + 1.0) / (truth.sum(axis=0) + 1.0)
    if head.rules.exclusive:
        thresholds = odds * raised
        return np.asarray(thresholds * 0.5 / thresholds.max(), dtype=np.float32)
    stated = np.array([label in costs for label in head.labels])
    own = raised * odds / (1.0 + raised * odds)
    return np.where(stated, own, head.thresholds).astype(np.float32)


def cost_of_texts(
    truth: Bools, predicted: Bools, labels: Sequence[str], costs: Costs, *, exclusive: bool
) -> Doubles:
    """What the mistakes of each text cost, float64 [n].

    Args:
        truth: bool [n, labels].
        predicted: bool [n, labels].
        labels: Names.
        costs: By label.
        exclusive: Whether each text has one label: its one mistake costs the product of both.
    """
    each = [costs.get(label, LabelCost()) for label in labels]
    missed, alarm = truth & ~predicted, predicted & ~truth
    of_missed = np.array([cost.missed for cost in each])
    of_alarm = np.array([cost.false_alarm for cost in each])
    if not exclusive:
        return np.asarray(missed @ of_missed + alarm @ of_alarm)
    of_answer = np.where(alarm.any(axis=1), alarm @ of_alarm, 1.0)
    return np.where(missed.any(axis=1), (truth @ of_missed) * of_answer, 0.0)
