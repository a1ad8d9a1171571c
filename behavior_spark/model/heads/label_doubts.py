"""Labelled texts that a person should look at, one by one: conflicts, and labels likely wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from behavior_spark.model.heads.holding_out import normalise_text
from behavior_spark.model.heads.label_errors import Suspect, conflicting_texts

Finding = Literal["conflict", "likely_wrong"]


@dataclass(frozen=True)
class LabelDoubt:
    """A labelled text, and what speaks against its labels.

    Attributes:
        finding: ``conflict``: an equal text has other labels; ``likely_wrong``: a head that has not
            learned from the text is surer of another label.
        text: As it was learned from: cleaned, personal data masked.
        labels: The labels it has.
        likely: The labels that equal texts have, or the label that is likely.
        probability: Of the likely label, 0 to 1; None for a conflict.
    """

    finding: Finding
    text: str
    labels: tuple[str, ...]
    likely: tuple[str, ...]
    probability: float | None


def label_doubts(
    texts: Sequence[str], label_sets: Sequence[frozenset[str]], suspects: Sequence[Suspect]
) -> list[LabelDoubt]:
    """Conflicts, equal texts beside each other; then suspects in the order given.

    A text can be both.

    Args:
        texts: n texts.
        label_sets: Labels of each.
        suspects: Of ``suspected_labels``, of the same texts.
    """
    conflicts = [(normalise_text(texts[row]), row) for row in conflicting_texts(texts, label_sets)]
    given: dict[str, set[frozenset[str]]] = {}
    for key, row in conflicts:
        given.setdefault(key, set()).add(label_sets[row])
    doubts = [
        LabelDoubt(
            "conflict",
            texts[row],
            tuple(sorted(label_sets[row])),
            tuple(sorted(frozenset[str]().union(*given[key] - {label_sets[row]}))),
            None,
        )
        for key, row in sorted(conflicts)
    ]
    return doubts + [
        LabelDoubt(
            "likely_wrong",
            texts[suspect.row],
            (suspect.label,),
            (suspect.likely,),
            suspect.probability,
        )
        for suspect in suspects
    ]
