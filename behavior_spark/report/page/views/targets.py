"""View of a target: who is predicted, how good the model is, and how many to expect."""

from __future__ import annotations

import math

import pandas as pd

from behavior_spark.names import sql_text
from behavior_spark.report.page.blocks import (
    Block,
    DataChart,
    DataTable,
    KeyFigure,
    KeyFigures,
    Section,
    Words,
)
from behavior_spark.report.page.charts import bar_chart, interval_chart
from behavior_spark.report.page.facts import NightFacts, TargetFacts
from behavior_spark.report.page.ranked import (
    parts_of,
    round_sizes,
    rows_of,
    sums_of_first,
    typical_place,
)
from behavior_spark.report.page.views.outcomes import happened_blocks, happened_queries
from behavior_spark.report.page.words import (
    amount,
    measured,
    number,
    ordinal,
    share,
)
from behavior_spark.report.verdicts import gain_words, rival_words, without_ranking


def target_view(target: TargetFacts, facts: NightFacts) -> Section:
    """One target of the night."""
    title = f"Target: {target.name}"
    key = f"target-{[other.name for other in facts.targets].index(target.name) + 1}"
    if target.scores.empty:
        return Section(
            key, title, left_out=f"nobody was predicted at {facts.as_of} (see the night's notes)"
        )
    users = int(target.scores["users"].sum())
    if users < facts.min_group:
        return Section(key, title, left_out="fewer users than privacy.min_group", hidden=1)
    blocks: list[Block] = [Words(_introduction(target, users)), _figures(target, users)]
    if quality := _quality(target):
        blocks += quality
    if target.ranks:
        blocks.append(_deciles(target))
    if target.ranks and not target.numbers:
        blocks += _first_users(target, users, least=facts.min_group)
    happened, hidden = happened_blocks(target, facts)
    blocks += happened
    return Section(key, title, blocks, _queries(target, facts), hidden=hidden)


def _introduction(target: TargetFacts, users: int) -> str:
    meaning = target.description or f"{target.name} within {target.horizon_days} days"
    what = (
        "an expected number" if target.numbers
        else "a probability: of 100 users with 20 %, it comes true for about 20"
    )  # fmt: skip
    of = f" Of {target.population} alone." if target.population else ""
    said = f"Predicted: who {meaning}.{of} Each of {number(users)} users has {what}."
    if target.verdict and not target.ranks:
        said += f" {without_ranking(target.name, target.verdict)}."
    return said


def _figures(target: TargetFacts, users: int) -> KeyFigures:
    expected = float(target.scores["expected"].sum())
    figures = [
        KeyFigure("users predicted", number(users)),
        KeyFigure(
            "expected in all" if target.numbers else f"expected {target.to_do}",
            amount(expected) if target.numbers else number(expected),
            f"{amount(expected / users)} a user" if target.numbers else share(expected, users),
        ),
    ]
    first = target.holdout.get(target.first_measure)
    if first:
        figures.append(
            KeyFigure(
                target.first_title, f"{float(first['value']):.2f}", "1 is perfect, 0.5 is chance"
                if target.first_measure == "roc_auc" else "",
            )
        )  # fmt: skip
    if lift := target.holdout.get("lift_at_10pct"):
        figures.append(
            KeyFigure(
                "lift of the first tenth", f"{float(lift['value']):.1f} times", "of an average user"
            )
        )
    return KeyFigures(figures)


def _quality(target: TargetFacts) -> list[Block]:
    """The model beside its baselines, on users that it had not seen."""
    name = target.first_measure
    compared = {"the model": target.holdout, **{
        rival_words(baseline): measures for baseline, measures in target.baselines.items()
    }}  # fmt: skip
    rows = [
        {"name": label, **measures[name]}
        for label, measures in compared.items()
        if name in measures and not math.isnan(float(measures[name]["low"]))
    ]
    if not rows:
        return []
    said = "The model is from before there were verdicts."
    if target.verdict:
        answers = [
            f"than {rival_words(rival)}? {gain_words(gain)}"
            for rival, gain in target.verdict.gains.items()
        ]
        said = f"Better {'; '.join(answers)}."
    table = DataTable(
        "Measures on the held-out day, with 95 % intervals",
        ["", target.first_title, "lift of the first tenth"],
        [
            [label, measured(measures.get(name)), measured(measures.get("lift_at_10pct"), digits=2)]
            for label, measures in compared.items()
        ],
    )
    chance = 0.5 if name == "roc_auc" else None
    chart = DataChart(
        f"{target.first_title}: how well it ranks, with 95 % intervals",
        f"{said} Measured before the night, on {number(target.holdout.get('rows'))} users of a "
        "later day than any that this check's model had learned from."
        + (" The dashed line is chance." if chance else ""),
        interval_chart(pd.DataFrame(rows), name="name", title=target.first_title, chance=chance),
        table,
    )
    return [chart]


def _deciles(target: TargetFacts) -> DataChart:
    parts = parts_of(target.scores, 10, ["expected"])
    parts["rate"] = parts["expected"] / parts["users"]
    parts["name"] = [f"{ordinal(part)} tenth" for part in parts["part"]]
    total = parts["expected"].sum()
    unit = "a user" if target.numbers else "of them"
    first = parts["rate"].iloc[0]
    shown = amount(first) if target.numbers else share(first, 1)
    return DataChart(
        "Predicted, by tenth of users",
        f"In the first tenth, {shown} {unit} on average: {share(parts['expected'].iloc[0], total)} "
        "of all that is expected.",
        bar_chart(
            parts, name="name", value="rate",
            form=",.3~g" if target.numbers else ".1%",
        ),
        DataTable(
            "Predicted, by tenth of users (ties at a limit are shared out)",
            ["tenth", "users", "predicted on average", "expected", "share of all"],
            [
                [
                    row.name, number(row.users),
                    amount(row.rate) if target.numbers else share(row.rate, 1),
                    f"{row.expected:,.1f}", share(row.expected, total),
                ]
                for row in rows_of(parts)
            ],
        ),
    )  # fmt: skip


def _first_users(target: TargetFacts, users: int, *, least: int) -> list[Block]:
    """How many to expect among the first N."""
    sizes = round_sizes(users, least=least)
    if not sizes:
        return []
    expected = sums_of_first(target.scores, sizes, "expected")
    spread = 1.96 * sums_of_first(target.scores, sizes, "variance") ** 0.5
    average = float(target.scores["expected"].sum()) / users
    rows = [
        [number(n), f"{k:,.0f} ± {c:,.0f}", share(k, n), number(n * average)]
        for n, k, c in zip(sizes, expected, spread, strict=True)
    ]
    middle = typical_place(sizes, users)
    n, k, c = sizes[middle], expected[middle], spread[middle]
    return [
        DataTable(
            "Reach the first N, by score",
            ["reach", "expect", "rate", "by chance"],
            rows,
        ),
        Words(
            f"Reach the first {number(n)} and expect {k:,.0f} {target.to_do}, give or take "
            f"{c:,.0f}; {number(n)} users taken by chance would give {n * average:,.0f}."
        ),
        Words(
            "Give or take: 19 times in 20, if the probabilities are right and users decide on "
            "their own. Reaching somebody may change what they do: this is without it.",
            aside=True,
        ),
    ]


def _queries(target: TargetFacts, facts: NightFacts) -> list[tuple[str, str]]:
    column = "expected" if target.numbers else "probability"
    people = (
        f"FROM user_propensity p JOIN user_features f USING (user_id, as_of)\n"
        f"WHERE p.as_of = DATE'{facts.as_of}' AND p.target = {sql_text(target.name)} "
        "AND NOT coalesce(f.is_bot, false)"
    )
    if not target.ranks:
        return [
            (
                "Users and what is expected",
                f"SELECT count(*) AS users, avg({column}) AS predicted,\n"
                f"  sum({column}) AS expected\n{people}",
            ),
            *happened_queries(target),
        ]
    queries = [
        (
            "Users and what is expected, by decile (the night's deciles; bots left out)",
            f"SELECT decile, count(*) AS users, avg({column}) AS predicted,\n"
            f"  sum({column}) AS expected\n{people}\nGROUP BY decile ORDER BY decile",
        ),
    ]
    users = int(target.scores["users"].sum())
    sizes = round_sizes(users, least=facts.min_group)
    if sizes and not target.numbers:
        size = sizes[typical_place(sizes, users)]
        queries.append(
            (
                f"Reach the first {number(size)}",
                "SELECT count(*) AS reach, sum(probability) AS expect,\n"
                "  1.96 * sqrt(sum(probability * (1 - probability))) AS give_or_take\n"
                f"FROM (SELECT p.probability {people}\n  ORDER BY p.score DESC LIMIT {size})",
            )
        )
    return queries + happened_queries(target)
