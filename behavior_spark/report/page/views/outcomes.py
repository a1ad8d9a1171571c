"""Part of a target's view: what really happened, once the horizon has passed."""

from __future__ import annotations

import pandas as pd

from behavior_spark.model.measures.confidence import wilson_interval
from behavior_spark.names import sql_text
from behavior_spark.report.outcomes import outcome_rows
from behavior_spark.report.page.blocks import Block, DataChart, DataTable, Heading, Words
from behavior_spark.report.page.charts import line_chart
from behavior_spark.report.page.facts import NightFacts, TargetFacts
from behavior_spark.report.page.ranked import parts_of, rows_of
from behavior_spark.report.page.words import amount, number, share

PARTS = 10


def happened_blocks(target: TargetFacts, facts: NightFacts) -> tuple[list[Block], int]:
    """What happened after a night whose horizon has passed, beside what was predicted.

    Returns:
        The blocks, and the number of groups hidden.
    """
    if target.measured_as_of is None or target.happened.empty:
        return [
            Words(
                f"What really happened is not known yet: {target.horizon_days} days from a night "
                "on must have been ingested. Until then the figures above are all there is.",
                aside=True,
            )
        ], 0
    users = float(target.happened["users"].sum())
    if users < facts.min_group:
        return [], 1
    parts = _equal_parts(target.happened, least=facts.min_group)
    this = target.measured_as_of == facts.as_of
    which = (
        "this night"
        if this
        else f"the night of {target.measured_as_of}, the last that can be checked"
    )
    blocks: list[Block] = [
        Heading("What really happened"),
        Words(_sum_of(target, users, which)),
    ]
    if not target.outcome or target.outcome.ranked:  # else everybody got one prediction
        blocks.append(_by_tenth(target, parts))
        if not target.numbers:
            blocks.append(_reliability(parts))
    if target.outcome:
        blocks.append(
            DataTable(
                f"Measured after {target.measured_as_of}, with 95 % bootstrap intervals",
                ["measure", "value"],
                [list(row) for row in outcome_rows(target.outcome)],
            )
        )
    return blocks, 0


def _equal_parts(happened: pd.DataFrame, *, least: int) -> pd.DataFrame:
    """Parts of equal size, fewer than ten where they would be smaller than ``least``."""
    users = float(happened["users"].sum())
    parts = parts_of(
        happened, max(1, min(PARTS, int(users // max(least, 1)))), ["expected", "hits"]
    )
    parts["predicted"] = parts["expected"] / parts["users"]
    parts["happened"] = parts["hits"] / parts["users"]
    return parts


def _sum_of(target: TargetFacts, users: float, which: str) -> str:
    expected, hits = (float(target.happened[name].sum()) for name in ("expected", "hits"))
    if target.numbers:
        return f"After {which}: {amount(hits)} in all, where {amount(expected)} was expected."
    spread = target.spread
    inside = "as expected" if abs(hits - expected) <= spread else (
        "more than expected" if hits > expected else "fewer than expected"
    )  # fmt: skip
    return (
        f"After {which}: {number(hits)} of {number(users)} users {target.did} "
        f"({share(hits, users)}), where {number(expected)} ± {spread:,.0f} were expected: {inside}."
    )


def _by_tenth(target: TargetFacts, parts: pd.DataFrame) -> DataChart:
    names = {"predicted": "predicted", "happened": "happened"}
    long = parts.melt("part", list(names), "which", "rate")
    shown = amount if target.numbers else lambda value: share(value, 1)
    total = parts["hits"].sum()
    return DataChart(
        "Predicted and happened, by part of users (1: the highest scores)",
        f"The first of {len(parts)} parts holds {share(parts['hits'].iloc[0], total)} of "
        f"{'all that' if target.numbers else 'those for whom it'} happened.",
        line_chart(
            long, x="part", y="rate", series="which", order=list(names), x_title="part of users",
            y_title="average" if target.numbers else "share", x_form="d",
            y_form=",.3~g" if target.numbers else ".0%",
        ),
        DataTable(
            "Predicted and happened, by part of users (ties at a limit are shared out)",
            ["part", "users", "predicted", "happened", "gain: share of all so far"],
            [
                [
                    f"{row.part}", number(row.users), shown(row.predicted), shown(row.happened),
                    share(parts["hits"].iloc[: place + 1].sum(), total),
                ]
                for place, row in enumerate(rows_of(parts))
            ],
        ),
    )  # fmt: skip


def _reliability(parts: pd.DataFrame) -> DataChart:
    bounds = [wilson_interval(row.hits / row.users, row.users) for row in rows_of(parts)]
    outside = sum(
        not low <= row.predicted <= high
        for row, (low, high) in zip(rows_of(parts), bounds, strict=True)
    )
    return DataChart(
        "Reliability: do 20 % mean 20 of 100?",
        "On the dashed line predictions are right on average; above it more happened than was "
        f"predicted. Of {len(parts)} points, {outside} are off it by more than chance explains.",
        line_chart(
            parts, x="predicted", y="happened", x_title="predicted", y_title="happened",
            x_form=".0%", diagonal=True,
        ),
        DataTable(
            "Reliability",
            ["predicted", "happened", "95 % interval", "users"],
            [
                [
                    share(row.predicted, 1), share(row.happened, 1),
                    f"{share(low, 1)} to {share(high, 1)}", number(row.users),
                ]
                for row, (low, high) in zip(rows_of(parts), bounds, strict=True)
            ],
            text_columns=0,
        ),
    )  # fmt: skip


def happened_queries(target: TargetFacts) -> list[tuple[str, str]]:
    """What happened, by decile if users are ranked; for targets that are a yes or no."""
    if target.measured_as_of is None or target.kind not in ("does", "does_not"):
        return []
    item = ""
    if target.item:
        item = (
            "\n    AND EXISTS (SELECT 1 FROM items WHERE items.item_id = events.item_id "
            f"AND ({target.item}))"
        )
    nothing = "NOT " if target.kind == "does_not" else ""
    day = f"DATE'{target.measured_as_of}'"
    part, grouped, by = "p.decile, ", "\nGROUP BY p.decile ORDER BY p.decile", ", by decile"
    if target.outcome and not target.outcome.ranked:
        part = grouped = by = ""
    return [
        (
            f"What happened after {target.measured_as_of}{by} (where no event was corrected later)",
            f"SELECT {part}count(*) AS users, avg(p.probability) AS predicted,\n"
            f"  avg(if(did.user_id IS {nothing}NULL, 0, 1)) AS happened\n"
            "FROM user_propensity p LEFT JOIN (\n"
            "  SELECT DISTINCT user_id FROM events\n"
            f"  WHERE event_time >= {day} AND event_time < {day} + INTERVAL {target.horizon_days} "
            f"DAYS\n    AND ({target.event}){item}\n"
            ") did ON did.user_id = p.user_id\n"
            f"WHERE p.as_of = {day} AND p.target = {sql_text(target.name)}{grouped}",
        )
    ]
