"""View of audiences: who was chosen tonight, and what earlier ones brought."""

from __future__ import annotations

from typing import Any

import pandas as pd

from behavior_spark.report.page.blocks import Block, DataTable, Section, Words
from behavior_spark.report.page.facts import NightFacts
from behavior_spark.report.page.ranked import rows_of
from behavior_spark.report.page.words import number, share

_TITLE = "Audiences: whom to reach, and what it brought"


def audiences_view(facts: NightFacts) -> Section:
    """Audiences of the night, and the latest results of each."""
    chosen, results = facts.audiences, facts.audience_results
    # A refused audience has no members, and is no group of users.
    members = pd.to_numeric(chosen["members"])
    few = members.notna() & (members < facts.min_group)
    blocks: list[Block] = []
    if not chosen.empty:
        blocks += [
            Words(
                "Expected: how many of those reached will do it by themselves, with a 95 % "
                "interval. Held out: members who are not to be reached, to measure the effect by."
            ),
            _chosen(chosen[~few]),
        ]
        blocks += [
            Words(f"{row.audience} ({row.status}): {row.remark}.", aside=True)
            for row in rows_of(chosen[~few & chosen["remark"].notna()])
        ]
    small = pd.to_numeric(results["reached"] + results["holdout"]) < facts.min_group
    if not results.empty:
        blocks.append(_results(results[~small]))
    queries = [
        (
            "Audiences of the night",
            "SELECT audience, members, reached, holdout, expected, expected_low, expected_high\n"
            f"FROM audiences WHERE as_of = DATE'{facts.as_of}' ORDER BY audience",
        ),
        (
            "What audiences brought",
            "SELECT audience, as_of, reached_conversions, holdout_conversions, incremental\n"
            f"FROM audience_results WHERE measured_on <= DATE'{facts.as_of}'\n"
            "ORDER BY as_of DESC, audience",
        ),
    ]
    return Section("audiences", _TITLE, blocks, queries, hidden=int(few.sum() + small.sum()))


def _chosen(chosen: pd.DataFrame) -> DataTable:
    return DataTable(
        "Audiences of the night",
        ["audience", "rule", "users", "left out", "reached", "held out", "expected", "at random"],
        [
            [
                row.audience, row.rule, number(row.users), number(row.users - row.members),
                number(row.reached), number(row.holdout), _between(row, "expected", 1),
                _figure(row.expected_at_random, 1),
            ]
            for row in rows_of(chosen)
        ],
        text_columns=2,
    )  # fmt: skip


def _results(results: pd.DataFrame) -> DataTable:
    return DataTable(
        "What earlier audiences brought",
        ["audience", "night", "verdict", "reached", "held out", "won by reaching"],
        [
            [
                row.audience, str(row.as_of), row.verdict,
                f"{number(row.reached_conversions)} of {number(row.reached)} "
                f"({share(row.reached_conversions, row.reached)})",
                f"{number(row.holdout_conversions)} of {number(row.holdout)} "
                f"({share(row.holdout_conversions, row.holdout)})",
                _between(row, "incremental", 1),
            ]
            for row in rows_of(results)
        ],
        text_columns=3,
    )  # fmt: skip


def _between(row: Any, name: str, digits: int) -> str:
    value, low, high = (getattr(row, name + part) for part in ("", "_low", "_high"))
    if pd.isna(value):
        return "-"
    return f"{value:,.{digits}f} ({low:,.0f} to {high:,.0f})"


def _figure(value: float, digits: int) -> str:
    return "-" if pd.isna(value) else f"{value:,.{digits}f}"
