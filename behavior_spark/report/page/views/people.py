"""View of people: states over time, retention, funnels and segments."""

from __future__ import annotations

from typing import Any

import pandas as pd

from behavior_spark.report.page.blocks import Block, DataChart, DataTable, Section, Words
from behavior_spark.report.page.charts import bar_chart, heat_chart, stacked_chart
from behavior_spark.report.page.facts import NightFacts
from behavior_spark.report.page.life_cycle import AWAY, STATES
from behavior_spark.report.page.ranked import rows_of
from behavior_spark.report.page.words import amount, number, share

COHORTS = 26
_TITLE = "People"
_FEW = "few"
Shown = tuple[list[Block], int]


def people_view(facts: NightFacts) -> Section:
    """States, retention, funnels and segments; those without data are named."""
    parts = [_states(facts), _retention(facts), _funnels(facts), _segments(facts)]
    blocks = [block for part, _ in parts for block in part]
    hidden = sum(few for _, few in parts)
    if not blocks:
        return Section(
            "people", _TITLE, left_out="sessions and profiles were not built", hidden=hidden
        )
    if hidden:
        said = f"{hidden} groups of 1 to {facts.min_group - 1} users are shown as “{_FEW}”"
        blocks.append(Words(f"{said}, or left out.", aside=True))
    return Section("people", _TITLE, blocks, _queries(facts), hidden=hidden)


def _period(facts: NightFacts) -> str:
    return {7: "week", 28: "four weeks", 91: "quarter"}.get(facts.period_days, "period")


def _count(users: Any, facts: NightFacts) -> str:
    return _FEW if 0 < users < facts.min_group else number(users)


def _states(facts: NightFacts) -> Shown:
    if facts.states.empty:
        return [], 0
    frame = facts.states.assign(period=facts.states["period"].astype(str))
    small = (frame["users"] > 0) & (frame["users"] < facts.min_group)
    wide = frame.pivot_table(index="period", columns="state", values="users", aggfunc="sum")
    last = wide.iloc[-1]
    order = list(STATES)
    drawn = frame[~small]
    unit = _period(facts)
    said = {state: _count(last[state], facts).replace(_FEW, f"a {_FEW}") for state in order}
    return [
        DataChart(
            f"People by state, each {unit}",
            f"In the last {unit}: {said['returning']} returning, {said['new']} new, {said['back']} "
            f"back after more than {AWAY} {unit}s away, {said['quiet']} quiet (away for {AWAY} at "
            f"most), {said['dormant']} dormant (away for longer).",
            stacked_chart(
                drawn, time="period", value="users", series="state", order=order, title="users"
            ),
            DataTable(
                f"People by state (first day of each {unit})",
                ["from", *order],
                [[day, *[_count(wide.at[day, s], facts) for s in order]] for day in wide.index],
            ),
        )
    ], int(small.sum())


def _retention(facts: NightFacts) -> Shown:
    """Of those who came in a period, the share that was active in each period after it."""
    if facts.periods.empty:
        return [], 0
    frame = facts.periods.copy()
    frame["age"] = [
        (row.period - row.cohort).days // facts.period_days for row in rows_of(frame)
    ]  # fmt: skip
    starts = sorted(frame["cohort"].unique())[-COHORTS:]
    sizes = frame[frame["age"] == 0].set_index("cohort")["users"]
    kept = [day for day in starts if sizes.get(day, 0) >= facts.min_group]
    hidden = len(starts) - len(kept)
    if not kept:
        return [], hidden
    frame = frame[frame["cohort"].isin(kept)]
    ages = range(int(frame["age"].max()) + 1)
    wide = frame.pivot_table(index="cohort", columns="age", values="users", aggfunc="sum")
    wide = wide.reindex(columns=ages)
    newest = facts.periods["period"].max()
    rows, cells = [], []
    for day in kept:
        row = [str(day), number(sizes[day])]
        for age in list(ages)[1:]:
            users: Any = wide.at[day, age]
            if (newest - day).days // facts.period_days < age:
                row.append("")
                continue
            users = 0.0 if pd.isna(users) else float(users)
            if 0 < users < facts.min_group:
                hidden += 1
                row.append(_FEW)
                continue
            row.append(share(users, sizes[day]))
            cells.append((str(day), age, users / sizes[day]))
        rows.append(row)
    unit = _period(facts)
    drawn = pd.DataFrame(cells, columns=["cohort", "age", "rate"])
    if drawn.empty:
        return [], hidden
    after = drawn[drawn["age"] == 1]["rate"].mean()
    # Cohorts with more holes than squares tell nothing.
    filled = drawn.groupby("cohort")["age"].agg(lambda age: len(age) * 2 > age.max())
    drawn = drawn[drawn["cohort"].map(filled)]
    return [
        DataChart(
            f"Who stays: active again, by {unit} of the first event",
            f"On average {share(after, 1)} are active in the {unit} after their first."
            if after == after
            else f"Too few people to say who is active in the {unit} after their first.",
            heat_chart(
                drawn, x="age", y="cohort", value="rate", x_title=f"{unit}s after the first"
            ),
            DataTable(
                f"Retention: share active, by {unit}s after the first",
                ["first", "users", *[str(age) for age in list(ages)[1:]]],
                rows,
            ),
        )
    ], hidden


def _funnels(facts: NightFacts) -> Shown:
    blocks: list[Block] = []
    hidden = 0
    for name, part in facts.funnels.groupby("funnel", sort=False):
        small = (part["users"] > 0) & (part["users"] < facts.min_group)
        hidden += int(small.sum())
        shown = part[~small].copy()
        if shown.empty or not shown["users"].iloc[0]:
            continue
        shown["label"] = [f"{n}. {step}" for n, step in enumerate(shown["step"], 1)]
        first, last = shown.iloc[0], shown.iloc[-1]
        before = [None, *part["users"]][:-1]
        blocks.append(
            DataChart(
                f"Funnel {name}, last {facts.funnel_days} days",
                f"Of {number(first['users'])} users with {first['step']}, "
                f"{share(last['users'], first['users'])} came as far as {last['step']}.",
                bar_chart(shown, name="label", value="users",),
                DataTable(
                    f"Funnel {name}",
                    ["step", "users", "of the first", "of the one before"],
                    [
                        [
                            row.step, _count(row.users, facts),
                            share(row.users, first["users"]) if row.users >= facts.min_group
                            else _FEW,
                            share(row.users, of) if of and row.users >= facts.min_group else "",
                        ]
                        for row, of in zip(rows_of(part), before, strict=True)
                    ],
                ),
            )
        )  # fmt: skip
    return blocks, hidden


def _segments(facts: NightFacts) -> Shown:
    if facts.segments.empty:
        return [], 0
    frame = facts.segments.sort_values("users", ascending=False)
    shown = frame[frame["users"] >= facts.min_group]
    hidden = len(frame) - len(shown)
    if shown.empty:
        return [], hidden
    targets = [target for target in facts.targets if target.name in shown.columns]
    total, first = frame["users"].sum(), shown.iloc[0]
    return [
        DataChart(
            "Segments",
            f"{first['segment']}: {share(first['users'], total)} of the users.",
            bar_chart(shown, name="segment", value="users",),
            DataTable(
                "Segments, with what is predicted on average",
                ["segment", "users", *[target.name for target in targets]],
                [
                    [
                        row["segment"], number(row["users"]),
                        *[
                            amount(row[t.name]) if t.numbers else share(row[t.name], 1)
                            for t in targets
                        ],
                    ]
                    for _, row in shown.iterrows()
                ],
            ),
        )
    ], hidden  # fmt: skip


def _queries(facts: NightFacts) -> list[tuple[str, str]]:
    funnels = [
        (
            f"Users by furthest step of {name} (whoever came to a step came to those before)",
            f"SELECT {column} AS step, count(*) AS users FROM user_features\n"
            f"WHERE as_of = DATE'{facts.as_of}' AND NOT coalesce(is_bot, false)\n"
            "GROUP BY step ORDER BY step",
        )
        for name in facts.funnels["funnel"].unique()
        if (column := f"`funnel_{str(name).replace('`', '``')}_step_{facts.funnel_days}d`")
    ]
    return [
        *funnels,
        (
            "Segments, with what is predicted on average",
            "SELECT segment, target, count(*) AS users,\n"
            "  avg(coalesce(p.probability, p.expected)) AS predicted\n"
            "FROM user_profile JOIN user_propensity p USING (user_id, as_of)\n"
            "JOIN user_features f USING (user_id, as_of)\n"
            f"WHERE as_of = DATE'{facts.as_of}' AND NOT coalesce(f.is_bot, false)\n"
            "GROUP BY segment, target ORDER BY target, users DESC",
        ),
        (
            f"People active in each {_period(facts)} (first day)",
            f"SELECT date_sub(DATE'{facts.as_of}',\n"
            f"  CAST(ceil(datediff(DATE'{facts.as_of}', day) / {facts.period_days}) AS INT) * "
            f"{facts.period_days}) AS period, count(DISTINCT user_id) AS users\n"
            "FROM (SELECT user_id, explode(event_days) AS day FROM sessions\n"
            f"  WHERE known_day < DATE'{facts.as_of}' AND event_count > 0\n"
            "  QUALIFY known_day = max(known_day) OVER (PARTITION BY user_id, session_key))\n"
            "WHERE user_id IN (SELECT user_id FROM user_features\n"
            f"  WHERE as_of = DATE'{facts.as_of}' AND NOT coalesce(is_bot, false))\n"
            "GROUP BY period ORDER BY period",
        ),
    ]
