"""View of cost: seconds and speed by stage of the night, and seconds of the nights before it."""

from __future__ import annotations

import pandas as pd

from behavior_spark.report.page.blocks import Block, DataChart, DataTable, Section, Words
from behavior_spark.report.page.charts import bar_chart, line_chart
from behavior_spark.report.page.facts import NightFacts, NightRun
from behavior_spark.report.page.ranked import rows_of
from behavior_spark.report.page.words import number, share

STAGES, NIGHTS = 15, 30
_TITLE = "Cost: where the time went"
# Stages whose work is a figure of the run: stage, unit, figure.
_WORK = (
    ("embed texts", "distinct texts", "texts_scored"),
    ("build features", "users", "users"),
    ("predict", "predictions", "predictions"),
)


def cost_view(facts: NightFacts) -> Section:
    """Seconds and speed by stage, and seconds of the last nights."""
    if facts.run is None or not facts.run.stages:
        return Section("cost", _TITLE, left_out="the run that read this night recorded no times")
    blocks: list[Block] = [_stages(facts.run), *_speed(facts.run)]
    nights = [run for run in facts.runs if run.command == facts.run.command][-NIGHTS:]
    if len(nights) > 1:
        blocks.append(_nights(nights, facts.run.command))
    queries = [
        (
            "Seconds by stage",
            "SELECT explode(stages) AS (stage, seconds) FROM runs\n"
            f"WHERE run_id = '{facts.run.run_id}' ORDER BY seconds DESC",
        ),
        (
            "Amount of work of stages (rows read: see Rows)",
            "SELECT stages['embed texts'] AS embed_seconds, figures['texts_scored'] AS texts,\n"
            "  stages['build features'] AS build_seconds, figures['users'] AS users,\n"
            "  stages['predict'] AS predict_seconds, figures['predictions'] AS predictions\n"
            f"FROM runs WHERE run_id = '{facts.run.run_id}'",
        ),
        (
            "Seconds of the last nights",
            "SELECT as_of, started_at, seconds FROM runs\n"
            f"WHERE command = '{facts.run.command}' AND status = 'done' "
            f"ORDER BY started_at DESC LIMIT {NIGHTS}",
        ),
    ]
    return Section("cost", _TITLE, blocks, queries)


def _stages(run: NightRun) -> DataChart:
    stages = sorted(run.stages.items(), key=lambda item: (-item[1], item[0]))
    frame = pd.DataFrame(stages, columns=["stage", "seconds"])
    stage, seconds = stages[0]
    return DataChart(
        f"Seconds by stage of {run.command}",
        f"{number(run.seconds)} s in all; the longest is {stage}, {share(seconds, run.seconds)}.",
        bar_chart(
            frame.head(STAGES),
            name="stage",
            value="seconds",
        ),
        DataTable(
            "Seconds by stage",
            ["stage", "seconds", "share"],
            [
                [row.stage, f"{row.seconds:,.1f}", share(row.seconds, run.seconds)]
                for row in rows_of(frame)
            ],
        ),
    )


def _speed(run: NightRun) -> list[Block]:
    """How much a second of those stages whose amount of work is known."""
    done: list[tuple[str, str, float]] = [
        (f"ingest {table}", "rows", counts.get("rows_in", 0))
        for table, counts in run.sources.items()
    ]
    done += [(stage, unit, run.figures.get(figure, 0)) for stage, unit, figure in _WORK]
    rows = [
        [stage, f"{number(amount)} {unit}", f"{amount / run.stages[stage]:,.0f}"]
        for stage, unit, amount in done
        if amount and run.stages.get(stage)
    ]
    if not rows:
        return []
    return [
        DataTable("Speed by stage", ["stage", "what was done", "a second"], rows),
        Words("A stage that has little to do spends its time on starting.", aside=True),
    ]


def _nights(nights: list[NightRun], command: str) -> DataChart:
    frame = pd.DataFrame(
        {"as_of": [str(run.as_of) for run in nights], "seconds": [run.seconds for run in nights]}
    )
    typical, last = frame["seconds"].median(), frame["seconds"].iloc[-1]
    return DataChart(
        f"Seconds of the last {len(nights)} runs of {command}",
        f"This one took {number(last)} s; {number(typical)} s are typical.",
        line_chart(
            frame, x="as_of", y="seconds", x_title="night", y_title="seconds", y_form=",.0f",
            days=True,
        ),
        DataTable(
            "Seconds by night",
            ["night", "seconds"],
            [[row.as_of, f"{row.seconds:,.1f}"] for row in rows_of(frame)],
        ),
    )  # fmt: skip
