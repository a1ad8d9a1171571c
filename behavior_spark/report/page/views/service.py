"""View of the service queue: how many texts wait where, how urgent, and with which help."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from behavior_spark.report.page.blocks import Block, DataChart, DataTable, Section, Words
from behavior_spark.report.page.charts import bar_chart
from behavior_spark.report.page.facts import NightFacts
from behavior_spark.report.page.ranked import rows_of
from behavior_spark.report.page.words import number, share

_TITLE = "Service queue: what came in, and who answers"


def service_view(facts: NightFacts) -> Iterable[Section]:
    """Texts by queue; a night without a queue has no such section."""
    if facts.service.empty:
        return []
    by_queue = facts.service
    few = by_queue["users"] < facts.min_group
    shown = by_queue[~few].sort_values(["texts", "queue"], ascending=[False, True])
    total = by_queue["texts"].sum()
    blocks: list[Block] = [
        Words(
            f"{number(total)} texts came in; {share(by_queue['needs'].sum(), total)} have a need "
            f"that is sure enough, {share(by_queue['replies'].sum(), total)} a reply from the "
            "approved answers."
        )
    ]
    if len(shown):
        blocks.append(_queues(shown))
    return [Section("service", _TITLE, blocks, _queries(facts), hidden=int(few.sum()))]


def _queues(shown: pd.DataFrame) -> DataChart:
    first = shown.iloc[0]
    urgent = number(first["high"]) if first["high"] else "none"
    return DataChart(
        "Texts by queue",
        f"Most are for {first['queue']}: {number(first['texts'])}, {urgent} of them of "
        "high urgency.",
        bar_chart(shown, name="queue", value="texts"),
        DataTable(
            "Queues of the night",
            ["queue", "texts", "high urgency", "raised", "need known", "reply suggested"],
            [
                [
                    row.queue, number(row.texts), number(row.high), number(row.raised),
                    share(row.needs, row.texts), share(row.replies, row.texts),
                ]
                for row in rows_of(shown)
            ],
        ),
    )  # fmt: skip


def _queries(facts: NightFacts) -> list[tuple[str, str]]:
    return [
        (
            "Texts by queue",
            "SELECT queue, count(*) AS texts, count_if(urgency = 'high') AS high,\n"
            "  count_if(urgency = 'raised') AS raised, count(need) / count(*) AS need_known,\n"
            "  count(reply_id) / count(*) AS reply_suggested FROM service_queue\n"
            f"WHERE as_of = DATE'{facts.as_of}' GROUP BY queue ORDER BY texts DESC, queue",
        )
    ]
