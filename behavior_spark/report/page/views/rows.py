"""View of rows: what came in, what was kept, what was refused and why."""

from __future__ import annotations

import pandas as pd

from behavior_spark.report.page.blocks import (
    Block,
    DataChart,
    DataTable,
    KeyFigure,
    KeyFigures,
    Section,
    Words,
)
from behavior_spark.report.page.charts import bar_chart, stacked_chart
from behavior_spark.report.page.facts import NightFacts, NightRun
from behavior_spark.report.page.ranked import rows_of
from behavior_spark.report.page.words import number, share, table_words

MOST_REASONS = 12
MOST_DAYS = 30
_COUNTS = ("rows_in", "rows_out", "duplicates", "refused", "without_user")
_WORDS, _FROM = ("read", "kept", "duplicates", "refused"), "_from:"
_TITLE = "Rows: what came in"


def rows_view(facts: NightFacts) -> Section:
    """Rows by table and by day, and refusals by reason."""
    if facts.run is None:
        return Section(
            "rows", _TITLE, left_out="no run of this day has read rows (run nightly or ingest)"
        )
    blocks: list[Block] = [
        Words(
            "Every row that was read is either kept, a copy of another row, or refused with its "
            "reason: in = kept + duplicates + refused. "
            + ("The sums agree." if facts.run.balanced else "THE SUMS DO NOT AGREE.")
        ),
        _totals(facts.run),
        _table(facts.run),
    ]
    blocks += _by_source(facts.run)
    blocks += _by_night(facts)
    if chart := _by_day(facts):
        blocks.append(chart)
    blocks += _refusals(facts)
    return Section("rows", _TITLE, blocks, _queries(facts))


def _totals(run: NightRun) -> KeyFigures:
    sums = {name: sum(counts.get(name, 0) for counts in run.sources.values()) for name in _COUNTS}
    read = sums["rows_in"]
    return KeyFigures(
        [
            KeyFigure("rows read", number(read)),
            KeyFigure("kept", number(sums["rows_out"]), share(sums["rows_out"], read)),
            KeyFigure("duplicates", number(sums["duplicates"]), share(sums["duplicates"], read)),
            KeyFigure("refused", number(sums["refused"]), share(sums["refused"], read)),
        ]
    )


def _table(run: NightRun) -> DataTable:
    rows = [
        [table_words(table), *[number(counts.get(name, 0)) for name in _COUNTS]]
        for table, counts in run.sources.items()
    ]
    columns = ["table", "read", "kept", "duplicates", "refused", "kept, without user"]
    return DataTable("Rows by table", columns, rows)


def _by_source(run: NightRun) -> list[Block]:
    """Rows of tables that have several sources, by source."""
    counts: dict[tuple[str, str], dict[str, float]] = {}
    for name, rows in run.figures.items():
        kind, marked, source = name.partition(_FROM)
        table, _, what = kind.rpartition("_")
        if marked and what in _WORDS:
            counts.setdefault((table, source), {})[what] = rows
    if not counts:
        return []
    return [
        DataTable(
            "Rows by source, of tables that have several",
            ["source", "of", *_WORDS],
            [
                [source, table_words(table), *[number(rows.get(what, 0)) for what in _WORDS]]
                for (table, source), rows in sorted(counts.items())
            ],
            text_columns=2,
        )
    ]


def _by_night(facts: NightFacts) -> list[Block]:
    """What the last nights read, each the days since the one before it."""
    latest = {run.as_of: run for run in facts.runs if run.sources}
    nights = sorted(latest)[-MOST_DAYS:]
    if len(nights) < 2:
        return []
    return [
        DataTable(
            f"Rows read by night, the last {len(nights)}",
            ["night", "table", *_WORDS],
            [
                [str(night), table_words(table), *[number(counts.get(n, 0)) for n in _COUNTS[:4]]]
                for night in reversed(nights)
                for table, counts in latest[night].sources.items()
            ],
            text_columns=2,
        )
    ]


def _by_day(facts: NightFacts) -> DataChart | None:
    """Rows kept by day of arrival, over the last days."""
    if facts.by_day.empty:
        return None
    frame = facts.by_day.copy()
    frame["day"] = frame["day"].astype(str)
    days = sorted(frame["day"].unique())[-MOST_DAYS:]
    frame = frame[frame["day"].isin(days)]
    frame["table"] = frame["table_name"].map(table_words)
    order = sorted(frame["table"].unique())
    wide = frame.pivot_table(index="day", columns="table", values="rows", aggfunc="sum")
    last, typical = wide.sum(axis=1).iloc[-1], wide.sum(axis=1).median()
    return DataChart(
        f"Rows kept, by day of arrival (last {len(days)} days)",
        f"{number(last)} on the last day; {number(typical)} on a typical one.",
        stacked_chart(frame, time="day", value="rows", series="table", order=order, title="rows"),
        DataTable(
            "Rows kept by day",
            ["day", *order],
            [[day, *[number(wide.at[day, name]) for name in order]] for day in wide.index],
        ),
    )


def _refusals(facts: NightFacts) -> list[Block]:
    if facts.refused.empty:
        return [Words("No row was refused.")]
    by_reason = pd.DataFrame(facts.refused.groupby("reason")["rows"].sum().reset_index())
    by_reason = by_reason.sort_values(["rows", "reason"], ascending=[False, True])
    table = facts.refused.sort_values(["rows", "reason"], ascending=[False, True])
    first = by_reason.iloc[0]
    total = by_reason["rows"].sum()
    return [
        DataChart(
            "Refused rows, by reason",
            f"Most often: {first['reason']} ({share(first['rows'], total)} of the refused rows).",
            bar_chart(
                by_reason.head(MOST_REASONS),
                name="reason",
                value="rows",
            ),
            DataTable(
                "Refused rows by table, source and reason",
                ["table", "source", "reason", "rows"],
                [
                    [table_words(row.table_name), row.source, row.reason, number(row.rows)]
                    for row in rows_of(table)
                ],
                text_columns=3,
            ),
        )
    ]


def _queries(facts: NightFacts) -> list[tuple[str, str]]:
    run_id = facts.run.run_id if facts.run else ""
    return [
        ("Rows by table", f"SELECT inline(sources) FROM runs WHERE run_id = '{run_id}'"),
        (
            "Rows by source, of tables that have several",
            "SELECT explode(map_filter(figures, (name, rows) -> name LIKE '%_from:%'))\n"
            f"  AS (name, rows) FROM runs WHERE run_id = '{run_id}' ORDER BY name",
        ),
        (
            "Rows read by night",
            "SELECT as_of, inline(sources) FROM (\n"
            "  SELECT as_of, max_by(sources, started_at) AS sources FROM runs\n"
            "  WHERE command IN ('nightly', 'ingest') AND status = 'done'\n"
            f"    AND size(sources) > 0 AND as_of <= DATE'{facts.as_of}' GROUP BY as_of)\n"
            "ORDER BY as_of DESC, table_name",
        ),
        (
            "Rows kept by day of arrival (likewise for texts)",
            "SELECT arrived_day, count(*) AS rows FROM events\n"
            f"WHERE arrived_day < DATE'{facts.as_of}' GROUP BY arrived_day ORDER BY arrived_day",
        ),
        (
            "Refused rows by reason",
            "SELECT table_name, source, reason, sum(refused_rows) AS rows FROM quarantine\n"
            f"WHERE as_of = DATE'{facts.run.as_of if facts.run else facts.as_of}'\n"
            "GROUP BY table_name, source, reason ORDER BY rows DESC",
        ),
    ]
