"""Comparison of predictions with outcomes, as a table for the terminal and as Markdown."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from rich.table import Table

from behavior_spark.markdown import table_row
from behavior_spark.model.propensity.verdict import CHANCE, Gain
from behavior_spark.report.verdicts import gain_words, rival_words


@dataclass(frozen=True)
class Measured:
    """A figure with its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


@dataclass(frozen=True)
class Outcome:
    """Predictions of one target at one as_of, measured after the horizon.

    Attributes:
        target: Name of the target.
        as_of: Day of the predictions.
        horizon_days: Length of the horizon in days, from ``as_of``.
        users: Number of users measured.
        positives: Number of users whose outcome is yes.
        mean_probability: Mean predicted probability; compare with positives / users. None where
            numbers are predicted.
        trained_through: The model used no data from this day on.
        measured: Figures of the model by name.
        baselines: The first figure, of each baseline.
        gains: What the model gains over chance and each baseline by the first figure, paired over
            users.
        ranked: Whether users were ranked; if not, everybody got the base rate.
        compared_by: Title of the first figure.
        mean_expected: The number predicted on average; None where the answer is yes or no.
        mean_happened: The number that came on average.
    """

    target: str
    as_of: dt.date
    horizon_days: int
    users: int
    positives: int
    mean_probability: float | None
    trained_through: str
    measured: dict[str, Measured]
    baselines: dict[str, Measured] = field(default_factory=dict)
    gains: dict[str, Gain] = field(default_factory=dict)
    ranked: bool = True
    compared_by: str = "AUC"
    mean_expected: float | None = None
    mean_happened: float | None = None

    @property
    def base_rate(self) -> float:
        """Share of users whose outcome is yes; NaN without users."""
        return self.positives / self.users if self.users else float("nan")


def outcome_rows(outcome: Outcome) -> list[tuple[str, str]]:
    """The lines to show for an outcome: name and formatted figure."""
    rows = [
        ("users", f"{outcome.users:,}"),
        ("did it", f"{outcome.positives:,} ({outcome.base_rate:.1%})"),
        *_averages(outcome),
        ("model trained through", outcome.trained_through),
    ]
    rows += [(name, str(measured)) for name, measured in outcome.measured.items()]
    if CHANCE in outcome.gains:
        rows.append(("better than chance?", gain_words(outcome.gains[CHANCE])))
    for name, measured in outcome.baselines.items():
        shown = rival_words(name)
        rows.append((f"{outcome.compared_by} of {shown}", str(measured)))
        if name in outcome.gains:
            rows.append((f"better than {shown}?", gain_words(outcome.gains[name])))
    if not outcome.ranked:
        rows.append(("ranking", "none: everybody got the base rate"))
    return rows


def _averages(outcome: Outcome) -> list[tuple[str, str]]:
    if outcome.mean_probability is not None:
        return [("predicted on average", f"{outcome.mean_probability:.1%}")]
    if outcome.mean_expected is None or outcome.mean_happened is None:
        return []
    return [
        ("on average", f"{outcome.mean_happened:,.3f}"),
        ("predicted on average", f"{outcome.mean_expected:,.3f}"),
    ]


def outcome_table(outcome: Outcome) -> Table:
    """An outcome as a table for the terminal."""
    title = f"{outcome.target} at {outcome.as_of}, {outcome.horizon_days} days"
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, figure in outcome_rows(outcome):
        table.add_row(name, figure)
    return table


def outcomes_markdown(outcomes: list[Outcome], *, name: str) -> str:
    """All outcomes as one Markdown page."""
    lines = [f"# {name}: predictions against what happened", ""]
    lines += [
        "Figures in brackets are 95 % bootstrap intervals over users. Resampling raises the",
        "calibration error, so its interval lies high and may miss the figure itself.",
    ]
    for outcome in outcomes:
        lines += ["", f"## {outcome.target} at {outcome.as_of}, {outcome.horizon_days} days", ""]
        lines += ["| figure | value |", "| --- | ---: |"]
        lines += [table_row(row) for row in outcome_rows(outcome)]
    return "\n".join(lines) + "\n"
