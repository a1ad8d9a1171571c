"""View of what moved: scores and features since the night before."""

from __future__ import annotations

from typing import Any

import pandas as pd

from behavior_spark.model.propensity.sketch import LARGE, MODERATE
from behavior_spark.names import counted, quoted_name, sql_text
from behavior_spark.report.page.blocks import Block, DataChart, DataTable, Section, Words
from behavior_spark.report.page.charts import bar_chart
from behavior_spark.report.page.drift import moved_most, names_with
from behavior_spark.report.page.facts import NightFacts
from behavior_spark.report.page.ranked import rows_of
from behavior_spark.report.page.words import amount, feature_label, listed, share

SHOWN = 12
_TITLE = "What moved since the night before"


def moved_view(facts: NightFacts) -> Section:
    """Scores and features by their stability index, the largest first."""
    if facts.moved_from is None or facts.moved.empty:
        return Section(
            "moved", _TITLE, left_out="there is no earlier night with predictions to compare with"
        )
    frame = moved_most(facts.moved)
    first = frame.iloc[0]
    blocks: list[Block] = [
        Words(_summary(frame, facts)),
        moved_chart(
            frame, facts, title=f"What moved from {facts.moved_from} to {facts.as_of}",
            columns=("before", "now"),
        ),
        Words(
            "PSI compares how users are spread over ten ranges of a value, and over known and "
            "unknown. With few users chance moves it too: it counts only above twice of what "
            "chance gives.",
            aside=True,
        ),
    ]  # fmt: skip
    return Section("moved", _TITLE, blocks, _queries(facts, str(first["name"]), first["kind"]))


def moved_chart(
    frame: pd.DataFrame, facts: NightFacts, *, title: str, columns: tuple[str, str]
) -> DataChart:
    """The names with the largest index.

    Args:
        frame: As ``moved_most`` gives it.
        facts: Meanings of features.
        title: Title of the table.
        columns: What both sides are called.
    """
    shown = frame.head(SHOWN)
    labels = [
        f"prediction: {row.name}" if row.kind == "score" else feature_label(row.name, facts.words)
        for row in rows_of(shown)
    ]
    first = shown.iloc[0]
    then, now = columns
    return DataChart(
        f"Stability index (PSI), the largest {len(shown)}",
        f"{labels[0]} moved most: {first['psi']:.2f}. Below {MODERATE} little has moved, "
        f"from {LARGE} much.",
        bar_chart(shown.assign(label=labels), name="label", value="psi", form=".2f"),
        DataTable(
            title,
            ["name", "meaning", "moved", "PSI", f"mean {then}", f"mean {now}", f"known {then}",
             f"known {now}"],
            [
                [
                    row.name, _meaning(row, facts), row.words, f"{row.psi:.3f}",
                    amount(row.before), amount(row.now), share(row.known_before, 1),
                    share(row.known_now, 1),
                ]
                for row in rows_of(shown)
            ],
            text_columns=3,
        ),
    )  # fmt: skip


def _meaning(row: Any, facts: NightFacts) -> str:
    return "prediction" if row.kind == "score" else facts.words.get(row.name, row.name)


def _summary(frame: pd.DataFrame, facts: NightFacts) -> str:
    scores, features = (names_with(frame, "much", kind=kind) for kind in ("score", "feature"))
    total = int((frame["kind"] == "feature").sum())
    some = len(names_with(frame, "somewhat", kind="feature"))
    said = (
        f"The predictions of {listed(scores)} moved much: look before you compare nights."
        if scores
        else "No prediction moved much."
    )
    return (
        f"From {facts.moved_from} to {facts.as_of}: {said} Of {counted(total, 'feature')}, "
        f"{len(features)} moved much and {some} somewhat."
    )


def _queries(facts: NightFacts, name: str, kind: str) -> list[tuple[str, str]]:
    days = f"(DATE'{facts.moved_from}', DATE'{facts.as_of}')"
    column = quoted_name(name)
    if kind == "score":
        query = (
            "SELECT as_of, avg(coalesce(p.probability, p.expected)) AS mean, count(*) AS users\n"
            "FROM user_propensity p JOIN user_features f USING (user_id, as_of)\n"
            f"WHERE as_of IN {days} AND target = {sql_text(name)}\n"
            "  AND NOT coalesce(f.is_bot, false)\n"
            "GROUP BY as_of ORDER BY as_of"
        )
    else:
        query = (
            f"SELECT as_of, avg({column}) AS mean, count({column}) / count(*) AS known\n"
            f"FROM user_features WHERE as_of IN {days} AND NOT coalesce(is_bot, false)\n"
            "GROUP BY as_of ORDER BY as_of"
        )
    return [(f"Mean of {name} at both nights", query)]
