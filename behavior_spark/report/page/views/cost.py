"""View of cost: seconds and speed by stage of the night, and seconds of the nights before it."""

from __future__ import annotations

import pandas as pd

from behavior_spark.names import counted
from behavior_spark.report.first_night import (
    FORESEEN,
    MEASURED_ENCODER_BYTES,
    Range,
    stage_ranges,
    texts_seconds,
)
from behavior_spark.report.page.blocks import Block, DataChart, DataTable, Section, Words
from behavior_spark.report.page.charts import bar_chart, line_chart
from behavior_spark.report.page.facts import NightFacts, NightRun
from behavior_spark.report.page.ranked import rows_of
from behavior_spark.report.page.words import number, share

STAGES, NIGHTS, EXPECTED_BY = 15, 30, 5
# The step that only a first night has: its other steps tell nothing of later nights.
_FIRST = "foresee"
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
    earlier = _earlier(facts, facts.run)
    blocks: list[Block] = [_stages(facts.run, earlier), *_speed(facts.run)]
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
            f"Seconds by stage of the nights that tell what to expect (up to {EXPECTED_BY})",
            "SELECT as_of, stages FROM runs\n"
            f"WHERE command = '{facts.run.command}' AND status = 'done'\n"
            f"  AND started_at < TIMESTAMP'{facts.run.started_at:%Y-%m-%d %H:%M:%S}'\n"
            f"  AND stages['{_FIRST}'] IS NULL ORDER BY started_at DESC LIMIT {EXPECTED_BY}",
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


def _earlier(facts: NightFacts, run: NightRun) -> list[NightRun]:
    """The last nights before this one that had work to do; ``check`` foretells a night by them."""
    before = [
        other for other in facts.runs
        if other.command == run.command and other.started_at < run.started_at
        and other.stages and _FIRST not in other.stages
    ]  # fmt: skip
    return before[-EXPECTED_BY:]


def _expected(earlier: list[NightRun], stage: str) -> float | None:
    """Median seconds of a stage over those nights that had it; None if none had."""
    seconds = [run.stages[stage] for run in earlier if stage in run.stages]
    return float(pd.Series(seconds).median()) if seconds else None


def _guessed(run: NightRun) -> dict[str, Range]:
    """Seconds of stages of a first night, by rates measured on two cores; none of other nights."""
    ends = [run.figures.get(name) for name in FORESEEN]
    low, high = ends
    if low is None or high is None:
        return {}
    texts = run.sources.get("texts", {}).get("rows_in", 0)
    for_texts = texts_seconds(texts, MEASURED_ENCODER_BYTES)
    return stage_ranges(run.stages, (low, high), for_texts=for_texts)


def _beside_guess(run: NightRun, guessed: dict[str, Range]) -> str:
    """What was guessed of a first night, and the stages that were outside of it."""
    if not guessed:
        return ""
    low, high = (run.figures[name] for name in FORESEEN)
    outside = [name for name, (least, most) in guessed.items()
               if not least <= run.stages[name] <= most]  # fmt: skip
    told = f"; outside of theirs: {', '.join(outside)}" if outside else ""
    return (
        f" There was no night before: {number(low)} to {number(high)} s, and texts, are a guess by "
        f"rates measured on two cores{told}."
    )


def _beside(run: NightRun, earlier: list[NightRun]) -> str:
    """What was expected of the night, and which stage took most beyond it."""
    if not earlier:
        return _beside_guess(run, _guessed(run))
    total = float(pd.Series([other.seconds for other in earlier]).median())
    nights = counted(len(earlier), "night")
    said = f" By the {nights} before, {number(total)} s were expected"
    beyond = {
        stage: seconds - expected
        for stage, seconds in run.stages.items()
        if (expected := _expected(earlier, stage)) is not None
    }
    stage = max(beyond, key=lambda name: beyond[name], default=None)
    if stage is None or beyond[stage] < 1:
        return f"{said}."
    return f"{said}; most beyond it is {stage}, by {number(beyond[stage])} s."


def _stages(run: NightRun, earlier: list[NightRun]) -> DataChart:
    stages = sorted(run.stages.items(), key=lambda item: (-item[1], item[0]))
    frame = pd.DataFrame(stages, columns=["stage", "seconds"])
    stage, seconds = stages[0]
    guessed = {} if earlier else _guessed(run)
    said = ["expected"] if earlier else ["a guess"] if guessed else []
    return DataChart(
        f"Seconds by stage of {run.command}",
        f"{number(run.seconds)} s in all; the longest is {stage}, {share(seconds, run.seconds)}."
        + _beside(run, earlier),
        bar_chart(
            frame.head(STAGES),
            name="stage",
            value="seconds",
        ),
        DataTable(
            "Seconds by stage",
            ["stage", "seconds", "share", *said],
            [
                [
                    row.stage,
                    f"{row.seconds:,.1f}",
                    share(row.seconds, run.seconds),
                    *([_seconds(_expected(earlier, row.stage))] if earlier else []),
                    *([_range(guessed.get(row.stage))] if guessed else []),
                ]
                for row in rows_of(frame)
            ],
        ),
    )


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"


def _range(ends: Range | None) -> str:
    return "-" if ends is None else f"{ends[0]:,.0f} to {ends[1]:,.0f}"


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
