"""Verdicts of targets in words, and as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table

from behavior_spark.model.propensity.verdict import CHANCE, Gain, TargetVerdict

RIVALS = {
    CHANCE: "chance",
    "recency": "recency alone",
    "recency_frequency_value": "recency, frequency, value",
    "own_past": "the user's own past",
}


def rival_words(name: str) -> str:
    """A rival of a model for readers."""
    return RIVALS.get(name, name.replace("_", " "))


def gain_words(gain: Gain) -> str:
    """An answer with its gain and interval, such as ``yes: +0.120 (+0.080 to +0.160)``."""
    if gain.low != gain.low:  # NaN
        return f"{gain.answer}: too few held-out users"
    counted = "; below chance, counted as chance" if gain.as_chance else ""
    return f"{gain.answer}: {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f}){counted}"


def without_ranking(target: str, verdict: TargetVerdict) -> str:
    """Why everybody gets the base rate."""
    return (
        f"{target}: nobody is ranked. Is the model better than chance? "
        f"{gain_words(verdict.gains[CHANCE])} {verdict.title} on {verdict.rows:,} held-out users. "
        "So everybody gets the base rate, without deciles and reasons"
    )


def verdicts_table(verdicts: Mapping[str, TargetVerdict]) -> Table:
    """The verdict of each target, one row each."""
    table = Table(title="Is the model better than ...?", title_justify="left")
    table.caption = "gain on held-out users with its 95 % interval: AUC, of numbers Spearman"
    table.caption_justify = "left"
    table.add_column("target", no_wrap=True)
    rivals = list(dict.fromkeys(rival for v in verdicts.values() for rival in v.gains))
    for rival in rivals:
        table.add_column(rival_words(rival))
    for target, verdict in verdicts.items():
        gains = [verdict.gains.get(rival) for rival in rivals]
        table.add_row(target, *[gain_words(gain) if gain else "-" for gain in gains])
    return table
