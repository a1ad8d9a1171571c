"""An evaluation of a text model as a Markdown page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from behavior_spark.markdown import table_row

_FIGURES = {
    "accuracy": "accuracy",
    "precision_macro": "precision, mean over labels",
    "recall_macro": "recall, mean over labels",
    "f1_macro": "F1, mean over labels",
    "f1_micro": "F1, all labels together",
    "roc_auc_macro": "AUC, one label against the rest",
    "calibration_error": "calibration error, 15 bins",
    "coverage": "share of texts with an answer",
    "accuracy_answered": "accuracy among those",
}
CONFUSIONS_SHOWN = 15


def text_quality_markdown(content: Mapping[str, Any]) -> str:
    """The Markdown page for the result of ``evaluate``.

    Args:
        content: The result of ``evaluate_stage``, as JSON values.
    """
    lines = [
        f"# Text model {content['model']}, measured on {content['measured_at'][:10]}",
        "",
        "In brackets: 95 % bootstrap intervals over texts. What sampling adds to the calibration",
        "error is taken off.",
    ]
    for name, head in content["heads"].items():
        lines += ["", f"## {name}", "", _data(head), ""]
        lines += _table(
            ("figure", "value"),
            [(_FIGURES[key], _interval(value)) for key, value in head["figures"].items()],
        )
        lines += _scope(head["scope"])
        lines += ["", "### Slices", ""]
        lines += _table(
            ("slice", "texts", "accuracy", "F1, mean over labels"),
            [
                (key, f"{value['texts']:,}", _interval(value["accuracy"]),
                 _interval(value["f1_macro"]))
                for key, value in head["slices"].items()
            ],
        )  # fmt: skip
        lines += ["", "### Calibration", ""]
        lines += _table(
            ("probability", "number", "mean", "observed"),
            [
                (f"{b['from']:.2f} to {b['to']:.2f}", f"{b['count']:,.0f}",
                 f"{b['mean_probability']:.3f}", f"{b['observed']:.3f}")
                for b in head["calibration"]
            ],
        )  # fmt: skip
        lines += ["", "### If only the most confident texts got an answer", ""]
        lines += _table(
            ("share of texts", "accuracy"),
            [
                (f"{point['coverage']:.0%}", f"{point['accuracy']:.3f}")
                for point in head["risk_coverage"]
            ],
        )
        lines += ["", "### Labels", ""]
        lines += _table(
            ("label", "texts", "precision", "recall", "F1", "AUC"),
            [
                (label, f"{v['rows']:,.0f}", _plain(v["precision"]), _plain(v["recall"]),
                 _interval({"value": v["f1"], "low": v["f1_low"], "high": v["f1_high"]}),
                 _plain(v["roc_auc"]))
                for label, v in head["per_class"].items()
            ],
        )  # fmt: skip
        lines += _confusions(head)
    return "\n".join(lines) + "\n"


def _data(head: Mapping[str, Any]) -> str:
    data = head["data"]
    reasons = data["dropped"].items()
    dropped = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in reasons)
    return (
        f"{data['texts']:,} texts ({data['origin']}, fingerprint {data['fingerprint']}); "
        f"left out: {dropped or 'none'}. Temperature {head['temperature']:.3f}."
    )


def _scope(scope: Mapping[str, Any] | None) -> list[str]:
    if scope is None:
        return []
    return [
        "",
        f"Texts outside every label: {_plain(scope['recall'])} of {scope['outside']:,} get no "
        f"label; {_plain(scope['false_alarm_rate'])} of the {scope['inside']:,} inside get none "
        f"either (AUC {_plain(scope['roc_auc'])}).",
    ]


def _confusions(head: Mapping[str, Any]) -> list[str]:
    """The most often confused pairs of labels; the whole matrix is in the JSON."""
    if head["multi_label"]:
        return []
    labels, counts = head["confusion"]["labels"], head["confusion"]["counts"]
    pairs = [
        (count, labels[i], labels[j] if j < len(labels) else "(no label)")
        for i, row in enumerate(counts)
        for j, count in enumerate(row)
        if i != j and count
    ]
    pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    lines = ["", "### Most often confused", ""]
    return lines + _table(
        ("label", "given", "texts"),
        [(true, predicted, f"{count:,}") for count, true, predicted in pairs[:CONFUSIONS_SHOWN]],
    )


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    lines = [table_row(head), table_row(["---", *["---:"] * (len(head) - 1)])]
    return lines + [table_row(row) for row in rows]


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _interval(measured: Mapping[str, float | None]) -> str:
    if measured["low"] is None:
        return _plain(measured["value"])
    return f"{measured['value']:.3f} ({measured['low']:.3f} to {measured['high']:.3f})"
