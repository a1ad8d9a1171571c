"""The end of a run for people: what was done, how good it is, where it is, what to ask next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

_QUALITY = {
    "roc_auc": "AUC",
    "average_precision": "AP",
    "lift_at_10pct": "lift 10 %",
    "expected_calibration_error": "ECE",
    "base_rate": "base rate",
    "positives": "positives",
}

# What `finetune` and `evaluate` measure of a head, by the names they give it.
_HEAD_FIGURES = {
    "accuracy": ("accuracy",),
    "precision": ("precision_macro", "precision"),
    "recall": ("recall_macro", "recall"),
    "f1": ("f1_macro", "f1"),
    "AUC": ("roc_auc_macro",),
    "ECE": ("calibration_error",),
}


def summary(
    *,
    command: str,
    as_of: str,
    seconds: float,
    sources: Sequence[Mapping[str, Any]],
    figures: Mapping[str, float],
    targets: Sequence[str],
    tables: Mapping[str, str],
    notes: Sequence[str],
) -> Group:
    """Rows, quality, places and notes of a run, as blocks for the terminal."""
    parts: list[RenderableType] = [
        Text(
            f"\n{command}{f' for {as_of}' if as_of else ''}: done in {seconds:,.0f} s", style="bold"
        )
    ]
    if sources:
        parts.append(_rows_table(sources))
    measured = [name for name in targets if f"{name}_roc_auc" in figures]
    if measured:
        parts.append(_quality_table(measured, figures))
    heads = sorted(n.removesuffix("_accuracy") for n in figures if n.endswith("_accuracy"))
    if heads:
        parts.append(_heads_table(heads, figures))
    if tables:
        parts.append(_places(tables))
    parts += [Text(f"note: {note}", style="yellow") for note in notes]
    return Group(*parts)


def _rows_table(sources: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Rows", title_justify="left")
    for name in ("table", "in", "= out", "+ duplicates", "+ refused", "without user"):
        table.add_column(name, justify="left" if name == "table" else "right")
    for row in sources:
        table.add_row(
            row["table_name"],
            *[f"{row[k]:,}" for k in
              ("rows_in", "rows_out", "duplicates", "refused", "without_user")],
        )  # fmt: skip
    return table


def _quality_table(targets: Sequence[str], figures: Mapping[str, float]) -> Table:
    title = "Models, checked on the last training day by one that had not seen it"
    table = Table(title=title, title_justify="left", caption_justify="left")
    table.caption = "AP average precision, ECE expected calibration error"
    table.add_column("target", no_wrap=True)
    for label in _QUALITY.values():
        table.add_column(label, justify="right")
    for name in targets:
        table.add_row(name, *[_figure(key, figures.get(f"{name}_{key}")) for key in _QUALITY])
    return table


def _heads_table(heads: Sequence[str], figures: Mapping[str, float]) -> Table:
    table = Table(title="Text heads on held-out labels", title_justify="left")
    table.add_column("head")
    found = {
        label: [next((figures[f"{h}_{k}"] for k in keys if f"{h}_{k}" in figures), None)
                for h in heads]
        for label, keys in _HEAD_FIGURES.items()
    }  # fmt: skip
    shown = {label: values for label, values in found.items() if any(v is not None for v in values)}
    for label in shown:
        table.add_column(label, justify="right")
    for row, head in enumerate(heads):
        table.add_row(head, *[_figure(label, values[row]) for label, values in shown.items()])
    return table


def _places(tables: Mapping[str, str]) -> Table:
    table = Table(title="Tables (Delta)", title_justify="left", show_header=False)
    for name, place in tables.items():
        table.add_row(name, Text(place, overflow="fold"))
    return table


def _figure(key: str, value: float | None) -> str:
    if value is None:
        return "-"
    if key == "positives":
        return f"{value:,.0f}"
    return f"{value:.1%}" if key == "base_rate" else f"{value:.3f}"
