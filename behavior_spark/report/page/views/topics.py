"""View of topics: what a sample of texts is about, and what of it the encoder cannot read."""

from __future__ import annotations

import pandas as pd

from behavior_spark.model.topics import Topic, Topics
from behavior_spark.names import counted, sql_text
from behavior_spark.report.page.blocks import Block, DataChart, DataTable, Section, Words
from behavior_spark.report.page.charts import bar_chart
from behavior_spark.report.page.facts import TOPICS_FROM, NightFacts
from behavior_spark.report.page.ranked import rows_of
from behavior_spark.report.page.words import listed, number, share

NO_LETTERS = "(no letters)"
_TITLE = "Topics: what texts are about"
_DAYS = 91
_WORDS_SHOWN = 3


def topics_view(facts: NightFacts) -> Section:
    """Topics by size with their typical words, then texts by script."""
    topics = facts.topics
    if topics is None:
        return Section(
            "topics", _TITLE, left_out="too few texts of the last weeks have an embedding"
        )
    blocks: list[Block] = [
        Words(
            f"{counted(topics.texts, 'text')} of {counted(topics.users, 'user')}, drawn from those "
            f"that arrived in the 13 weeks before {facts.as_of}, grouped by what the encoder makes "
            "of them. A topic is named by the words that are more frequent in it than elsewhere."
        )
    ]
    if topics.topics:
        blocks.append(_topics(topics))
    blocks.append(Words(_how_far(topics, facts), aside=True))
    scripts, few = _scripts(facts)
    blocks += scripts
    return Section("topics", _TITLE, blocks, _queries(facts, topics), hidden=topics.hidden + few)


def _name(topic: Topic) -> str:
    return ", ".join(topic.words[:_WORDS_SHOWN])


def _topics(topics: Topics) -> DataChart:
    frame = pd.DataFrame(
        {"topic": [_name(t) for t in topics.topics], "texts": [t.texts for t in topics.topics]}
    )
    first = topics.topics[0]
    return DataChart(
        "Topics by number of texts",
        f"The largest: {_name(first)}, {share(first.texts, topics.texts)} of the texts.",
        bar_chart(frame, name="topic", value="texts"),
        DataTable(
            "Topics with their typical words",
            ["words", "texts", "users", "texts with the first word"],
            [
                [
                    ", ".join(topic.words), number(topic.texts), number(topic.users),
                    number(topic.first_word_texts),
                ]
                for topic in topics.topics
            ],
        ),
    )  # fmt: skip


def _how_far(topics: Topics, facts: NightFacts) -> str:
    said = (
        f"Words that fewer than {counted(facts.min_group, 'user')} used in a topic are not shown. "
        f"How far the topics are apart (silhouette, from -1 to 1): {topics.silhouette:.2f}; near 0 "
        "they run into each other."
    )
    if topics.hidden:
        said += f" Not shown for want of users: {counted(topics.hidden, 'topic')}."
    return said


def _scripts(facts: NightFacts) -> tuple[list[Block], int]:
    """Texts by script, and the number of scripts that too few users write."""
    scripts = facts.scripts
    if scripts.empty:
        return [], 0
    total, unread = scripts["texts"].sum(), scripts["unread"].sum()
    shown = scripts[scripts["users"] >= facts.min_group].sort_values(
        ["texts", "script"], ascending=[False, True]
    )
    foreign = [row.script for row in rows_of(shown) if row.unread > 0.5 * row.texts]
    said = f"The encoder does not know the language of {share(unread, total)} of these texts"
    said += f"; nearly all in {listed(foreign)} script." if foreign else "."
    blocks: list[Block] = [
        Words(said),
        DataTable(
            "Texts by script, and how the encoder cuts them",
            ["script", "texts", "users", "language not known", "tokens a letter", "unknown tokens"],
            [
                [
                    row.script or NO_LETTERS, number(row.texts), number(row.users),
                    share(row.unread, row.texts), f"{row.tokens / max(row.letters, 1):.2f}",
                    share(row.unknown, row.tokens),
                ]
                for row in rows_of(shown)
            ],
        ),
        Words(
            "A text's language counts as not known where a fifth of its tokens are unknown, or "
            "where it is cut into 0.55 tokens a letter or more; a language that the encoder "
            "learned has some 0.25. Languages near to one it knows are known in part.",
            aside=True,
        ),
    ]  # fmt: skip
    return blocks, len(scripts) - len(shown)


def _queries(facts: NightFacts, topics: Topics) -> list[tuple[str, str]]:
    sample = (
        "(SELECT text, user_id FROM (SELECT * FROM texts\n"
        f"    WHERE arrived_day < DATE'{facts.as_of}'\n"
        f"      AND arrived_day >= DATE'{facts.as_of}' - INTERVAL {_DAYS} DAYS\n"
        f"    ORDER BY xxhash64(text_id), text_id, arrived_at LIMIT {TOPICS_FROM})\n"
        "  JOIN (SELECT DISTINCT text_hash FROM text_embeddings\n"
        f"    WHERE backbone_digest = {sql_text(_backbone(facts))} AND embedding IS NOT NULL)\n"
        "  USING (text_hash))"
    )
    words = ", ".join(sql_text(topic.words[0]) for topic in topics.topics)
    queries = [
        (
            "Texts that topics are made of",
            f"SELECT count(*) AS texts, count(DISTINCT user_id) AS users FROM {sample}",
        )
    ]
    if words:
        queries.append(
            (
                "Texts with the first word of each topic",
                f"SELECT word, count(*) AS texts FROM {sample} LATERAL VIEW explode(\n"
                "  array_distinct(regexp_extract_all(regexp_replace(lower(text), '<\\\\w+>', ' '),"
                "\n    '(?U)([\\\\p{L}]{3,})'))) AS word\n"
                f"WHERE word IN ({words}) GROUP BY word ORDER BY texts DESC, word",
            )
        )
    return queries


def _backbone(facts: NightFacts) -> str:
    return facts.run.models.get("backbone", "") if facts.run else ""
