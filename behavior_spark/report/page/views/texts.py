"""View of texts: what they are about, in what mood, over time."""

from __future__ import annotations

import pandas as pd

from behavior_spark.names import counted
from behavior_spark.report.page.blocks import Block, DataChart, DataTable, Section, Words
from behavior_spark.report.page.charts import COLOURS, stacked_chart
from behavior_spark.report.page.facts import NightFacts
from behavior_spark.report.page.words import number, share

NO_LABEL, OTHER = "(no label)", "(all others)"
_TITLE = "Texts: what people write and look for"
_DIGEST = "head_"


def texts_view(facts: NightFacts) -> Section:
    """Each head's labels by week."""
    if facts.texts.empty:
        return Section(
            "texts", _TITLE,
            left_out="no text of the last weeks was read by a head (text.heads, finetune)",
        )  # fmt: skip
    frame = facts.texts.copy()
    frame["period"] = frame["period"].astype(str)
    abstained = frame["label"].isna()
    frame["label"] = frame["label"].where(~abstained, NO_LABEL)
    small = (frame["users"] < facts.min_group) & (frame["texts"] > 0)
    hidden = int(small.sum())
    blocks: list[Block] = [
        Words(
            f"Texts that arrived in the weeks before {facts.as_of}, by the label that a model gave "
            "them. Some labels are wrong: `behavior-spark evaluate` says how many."
        )
    ]
    for head in sorted(frame["head"].unique()):
        blocks.append(_head(frame[frame["head"] == head], head, small))
    if hidden:
        groups = f"{counted(hidden, 'group')} (a label in a week)"
        said = f"{groups} of fewer than {facts.min_group} users"
        blocks.append(Words(f"{said}: counted as {OTHER} or shown as few.", aside=True))
    return Section("texts", _TITLE, blocks, _queries(facts), hidden=hidden)


def _head(frame: pd.DataFrame, head: str, small: pd.Series) -> DataChart:
    total = frame["texts"].sum()
    without = frame.loc[frame["label"] == NO_LABEL, "texts"].sum()
    sums = frame.groupby("label")["texts"].sum().sort_values(ascending=False)
    named = [label for label in sums.index if label != NO_LABEL]
    kept = named if len(sums) <= len(COLOURS) else named[: len(COLOURS) - 2]
    groups = [*kept, *([NO_LABEL] if without else [])]
    drawn = frame.assign(
        label=[
            label if label in groups and not few else OTHER
            for label, few in zip(frame["label"], small.loc[frame.index], strict=True)
        ]
    )
    drawn = pd.DataFrame(drawn.groupby(["period", "label"])["texts"].sum().reset_index())
    weeks = drawn.groupby("period")["texts"].transform("sum")
    drawn = drawn.assign(share=drawn["texts"] / weeks)
    order = [*kept, OTHER, NO_LABEL]
    order = [label for label in order if label in set(drawn["label"])]
    wide = frame.pivot_table(index="period", columns="label", values="texts", aggfunc="sum")
    few = frame.assign(few=small.loc[frame.index]).pivot_table(
        index="period", columns="label", values="few", aggfunc="max"
    )
    columns = [*named, *([NO_LABEL] if without else [])]
    first = named[0] if named else NO_LABEL
    return DataChart(
        f"{head}, by week",
        f"Of {number(total)} texts, {share(sums[first], total)} are {first}"
        + (f"; {share(without, total)} got no label." if without else "; each got a label."),
        stacked_chart(
            drawn, time="period", value="share", series="label", order=order, title="share",
            share=True,
        ),
        DataTable(
            f"{head}: texts by week (first day)",
            ["from", *columns],
            [
                [
                    week,
                    *[
                        "few" if few.at[week, label] == True  # noqa: E712 - may be missing
                        else number(wide.at[week, label])
                        for label in columns
                    ],
                ]
                for week in wide.index
            ],
        ),
    )  # fmt: skip


def _queries(facts: NightFacts) -> list[tuple[str, str]]:
    models = facts.run.models if facts.run else {}
    digests = [f"'{digest}'" for name, digest in models.items() if name.startswith(_DIGEST)]
    return [
        (
            "Texts by label",
            "SELECT s.head, s.label, count(*) AS texts, count(DISTINCT t.user_id) AS users\n"
            "FROM texts t JOIN (SELECT DISTINCT text_hash, head, label FROM text_scores\n"
            f"  WHERE head_digest IN ({', '.join(digests)})) s USING (text_hash)\n"
            f"WHERE t.arrived_day < DATE'{facts.as_of}' AND t.arrived_day >= "
            f"DATE'{facts.as_of}' - INTERVAL 91 DAYS\n"
            "GROUP BY s.head, s.label ORDER BY s.head, texts DESC",
        )
    ]
