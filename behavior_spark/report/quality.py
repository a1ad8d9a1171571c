"""Quality of models, as tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

_TARGET_FIGURES = {
    "roc_auc": "AUC",
    "average_precision": "AP",
    "lift_at_10pct": "lift 10 %",
    "expected_calibration_error": "ECE",
    "base_rate": "base rate",
    "positives": "positives",
}
# Of targets that are numbers; shown where there are any.
_NUMBER_FIGURES = {
    "spearman": "Spearman",
    "mean_absolute_error": "MAE",
    "top_decile_gain": "gain 10 %",
}

# Columns of heads: for each, the names that `finetune` and `evaluate` use for the figure.
_HEAD_FIGURES = {
    "accuracy": ("accuracy",),
    "precision": ("precision_macro", "precision"),
    "recall": ("recall_macro", "recall"),
    "f1": ("f1_macro", "f1"),
    "AUC": ("roc_auc_macro",),
    "ECE": ("calibration_error",),
}


def targets_table(measured: Mapping[str, Mapping[str, float]]) -> Table:
    """Propensity models, one row each.

    Args:
        measured: For each target, its figures on the held-out training day, by name.
    """
    title = "Models, checked on the last training day by one that had not seen it"
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.caption = "AP average precision, ECE expected calibration error"
    table.add_column("target", no_wrap=True)
    shown = dict(_TARGET_FIGURES)
    for name, label in _NUMBER_FIGURES.items():
        if any(name in figures for figures in measured.values()):
            shown[name] = label
    for label in shown.values():
        table.add_column(label, justify="right")
    for target, figures in measured.items():
        table.add_row(target, *[_figure(name, figures.get(name)) for name in shown])
    return table


def heads_table(measured: Mapping[str, Mapping[str, float]]) -> Table:
    """Text heads, one row each. A figure that no head has is left out.

    Args:
        measured: For each head, its figures on held-out texts, by name.
    """
    table = Table(title="Text heads on held-out labels", title_justify="left")
    table.add_column("head")
    columns = {
        label: [
            next((figures[name] for name in names if name in figures), None)
            for figures in measured.values()
        ]
        for label, names in _HEAD_FIGURES.items()
    }
    shown = {
        label: values
        for label, values in columns.items()
        if any(value is not None for value in values)
    }
    for label in shown:
        table.add_column(label, justify="right")
    for row, head in enumerate(measured):
        table.add_row(head, *[_figure(label, values[row]) for label, values in shown.items()])
    return table


def _figure(name: str, value: float | None) -> str:
    if value is None:
        return "-"
    if name == "positives":
        return f"{value:,.0f}"
    return f"{value:.1%}" if name == "base_rate" else f"{value:.3f}"
