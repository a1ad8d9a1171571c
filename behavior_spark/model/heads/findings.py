"""What training left out of a task and found in its labels, in words: for screen and card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_LEFT_OUT = {
    "no_text": "without a text",
    "empty_text": "with an empty text",
    "no_label": "without a label",
    "unreadable_day": "whose day is missing or cannot be read",
    "rare_label": "whose labels have a single text",
    "also_held_out": "whose text is held out too",
    "over_max_examples": "beyond text.max_examples",
    "not_embedded": "that could not be embedded",
}
_SHOWN_LABELS = 5


def describe_findings(metrics: Mapping[str, Any]) -> list[str]:
    """One line for each thing that a reader should know; none for a clean task.

    Args:
        metrics: Of a head, as training recorded them.

    >>> describe_findings({"dropped_rows": {"empty_text": 2}, "near_copies": 1})
    ['left out: 2 rows with an empty text', 'held-out texts that are nearly a text learned from: 1']
    """
    lines = []
    rows = {reason: count for reason, count in metrics.get("dropped_rows", {}).items() if count}
    if rows:
        parts = [f"{count:,} rows {_LEFT_OUT.get(name, name)}" for name, count in rows.items()]
        lines.append(f"left out: {', '.join(parts)}")
    if labels := metrics.get("dropped_labels"):
        lines.append(f"labels with a single text are not learned: {_shown(labels)}")
    if undated := metrics.get("undated_rows"):
        lines.append(f"rows without a day: {undated:,}")
    if cleaned := metrics.get("labels_cleaned"):
        lines.append(f"labels trimmed, composed (NFC) or blank: {cleaned:,}")
    if twins := metrics.get("label_twins"):
        pairs = [" and ".join(map(_readable, group)) for group in twins]
        lines.append(f"labels that look alike, and are learned apart: {_shown(pairs)}")
    if conflicts := metrics.get("conflicting_texts"):
        lines.append(f"equal texts with different labels: {conflicts:,}")
    if suspected := metrics.get("suspected_labels"):
        taken = [(pair["label"], pair["likely"], pair["texts"]) for pair in suspected["most_often"]]
        count = f"{suspected['texts']:,} ({suspected['share']:.1%})"
        lines.append(f"labels that may be wrong: {count}, mostly {mostly_taken_for(taken)}")
    for mix_up in metrics.get("label_mix_ups", [])[:_SHOWN_LABELS]:
        lines.append(
            f"labels that seem mixed up one way: {mix_up['texts']:,} texts called "
            f"{mix_up['label']} look like {mix_up['likely']} ({mix_up['share']:.0%} of what seems "
            f"to be it; {mix_up['other_way']:,} the other way): probabilities do not allow for it"
        )
    noise = metrics.get("label_noise")
    if noise and noise.get("few_texts"):
        lines.append(
            "with so few texts a label, wrong labels cannot be told from texts that are hard; "
            "probabilities allow for both"
        )
    elif noise:
        lines.append(
            f"some {noise['wrong']:.0%} of labels seem to be drawn by chance; probabilities are of "
            "the true label, and look too sure beside labels with the same errors"
        )
    if copies := metrics.get("near_copies"):
        lines.append(f"held-out texts that are nearly a text learned from: {copies:,}")
    if tuned := metrics.get("decision_thresholds"):
        lines.append(_thresholds(tuned))
    if stated := metrics.get("stated_costs"):
        lines.append(_costs(stated))
    if often := metrics.get("often_left_out"):
        shown = [f"{row['label']} {row['left_out']:,} of {row['texts']:,}" for row in often]
        lines.append(
            f"labels whose texts often get none, by `abstain`: {_shown(shown)}; more labelled "
            "texts of them help, or a lower `abstain`"
        )
    if weak := _rare(metrics):
        lines.append(
            f"labels with few texts, most of which are missed: {_shown(weak)}; more labelled texts "
            "help, or text.tuning.class_weights: sqrt"
        )
    return lines


def doubtful(metrics: Mapping[str, Any]) -> bool:
    """Whether some labels contradict each other or may be wrong."""
    return bool(metrics.get("conflicting_texts") or metrics.get("suspected_labels"))


def _thresholds(tuned: Mapping[str, Any]) -> str:
    """Which rare labels win before they are the most probable one, and what that gained."""
    thresholds = [f"{label} {value:.3g}" for label, value in tuned["thresholds"].items()]
    f1 = tuned["f1_by_folds"]
    return (
        f"decision thresholds of rare labels (0.5 for the others): {_shown(thresholds)}; macro F1 "
        f"by folds {f1['equal']:.3f} -> {f1['tuned']:.3f}"
    )


def _costs(stated: Mapping[str, Any]) -> str:
    """What the stated costs changed, or why they changed nothing."""
    labels = [
        f"{label} {cost['missed']:g}:{cost['false_alarm']:g}"
        for label, cost in stated["costs"].items()
    ]
    mean = stated["cost_of_a_text"]
    if mean["before"] is None or mean["noise"] is None:
        return f"stated costs ({_shown(labels)}) are not used: too few texts to measure them on"
    moved = f"{mean['before']:.4g} -> {mean['after']:.4g} (standard error {mean['noise']:.2g})"
    decides = "decide" if stated["kept"] else "are not used, as they would save no more than chance"
    return f"stated costs, missed to false alarm ({_shown(labels)}), {decides}: {moved} a text"


def _rare(metrics: Mapping[str, Any]) -> list[str]:
    """Labels that have under a fifth of an even share of the held-out texts, and a low recall."""
    per_class = metrics.get("per_class") or {}
    total = sum(row["rows"] for row in per_class.values())
    return [
        label
        for label, row in per_class.items()
        if 0 < row["rows"] * len(per_class) * 5 < total and row["recall"] < 0.5
    ]


def mostly_taken_for(pairs: Iterable[tuple[str, str, int]]) -> str:
    """The first few pairs of a label and the likely one, each with its number of texts."""
    return _shown([f"{label} rather {likely} ({texts:,})" for label, likely, texts in pairs])


def _shown(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN_LABELS:,} more" if len(names) > _SHOWN_LABELS else ""
    return ", ".join(names[:_SHOWN_LABELS]) + more


def _readable(label: str) -> str:
    """A label with what nobody sees written as an escape."""
    return "".join(
        c if c.isprintable() and not "\ufe00" <= c <= "\ufe0f" else ascii(c)[1:-1] for c in label
    )
