"""View of two nights side by side: rows, predictions, models and cost."""

from __future__ import annotations

from behavior_spark.report.page.blocks import Block, DataTable, Section, Words
from behavior_spark.report.page.facts import NightFacts, NightRun
from behavior_spark.report.page.words import amount, number, share, table_words

_TITLE = "Two nights side by side"


def compared_view(facts: NightFacts) -> Section:
    """This night and the one it is compared with."""
    before, now = facts.previous, facts.run
    if before is None or now is None:
        return Section("compared", _TITLE, left_out="there is no other night to compare with")
    rows = [*_rows(before, now), *_predictions(facts), *_models(facts, before, now)]
    rows.append(["seconds", number(before.seconds), number(now.seconds)])
    blocks: list[Block] = [
        Words(
            "What a night reads depends on how many days came before it, so the first night and "
            "one after a gap read more than others."
        ),
        DataTable("Two nights side by side", ["", str(before.as_of), str(now.as_of)], rows),
    ]
    query = (
        "SELECT as_of, command, seconds, sources, figures FROM runs\n"
        f"WHERE run_id IN ('{before.run_id}', '{now.run_id}') ORDER BY as_of"
    )
    return Section("compared", _TITLE, blocks, [("Both runs", query)])


def _rows(before: NightRun, now: NightRun) -> list[list[str]]:
    rows = []
    for table in dict.fromkeys([*now.sources, *before.sources]):
        counts = [run.sources.get(table, {}) for run in (before, now)]
        words = table_words(table)
        rows.append([f"{words} read", *[number(c.get("rows_in", 0)) for c in counts]])
        rows.append(
            [
                f"{words} refused",
                *[share(c.get("refused", 0), c.get("rows_in", 0)) for c in counts],
            ]
        )
    return rows


def _predictions(facts: NightFacts) -> list[list[str]]:
    """Users and mean prediction of each target, without bots."""
    rows = []
    scores = facts.moved[facts.moved["kind"] == "score"]
    numbers = {target.name: target.numbers for target in facts.targets}
    for name, part in scores.groupby("name", sort=False):
        sums = part.groupby("now")[["users", "total"]].sum().reindex([False, True]).fillna(0.0)
        if (sums["users"] < facts.min_group).any():
            continue
        means = [
            amount(total / users) if numbers.get(str(name)) else share(total, users)
            for users, total in zip(sums["users"], sums["total"], strict=True)
        ]
        rows.append([f"{name}: users", *[number(users) for users in sums["users"]]])
        rows.append([f"{name}: predicted on average", *means])
    return rows


def _models(facts: NightFacts, before: NightRun, now: NightRun) -> list[list[str]]:
    """The measure of each target's model, as the runs recorded it."""
    rows = []
    for target in facts.targets:
        figures = [r.figures.get(f"{target.name}_{target.first_measure}") for r in (before, now)]
        if any(figure is not None for figure in figures):
            said = ["-" if figure is None else f"{figure:.3f}" for figure in figures]
            rows.append([f"{target.name}: {target.first_title} when trained", *said])
    return rows
