"""View of what moved since training: features and scores beside what the models learned from."""

from __future__ import annotations

import pandas as pd

from behavior_spark.names import counted, quoted_name, sql_text
from behavior_spark.report.page.blocks import Block, Section, Words
from behavior_spark.report.page.drift import moved_most, names_with
from behavior_spark.report.page.facts import NightFacts
from behavior_spark.report.page.views.moved import moved_chart
from behavior_spark.report.page.words import listed

_TITLE = "What moved since training"


def trained_view(facts: NightFacts) -> Section:
    """Scores and features by their stability index against the training rows."""
    if facts.moved_since_training.empty:
        return Section(
            "trained", _TITLE,
            left_out="no model of this night has stored what it learned from (train it anew)",
        )  # fmt: skip
    frame = moved_most(facts.moved_since_training)
    scores, features = (names_with(frame, "much", kind=kind) for kind in ("score", "feature"))
    blocks: list[Block] = [
        Words(
            (
                f"The predictions of {listed(scores)} are spread much otherwise than when the "
                "model was checked: compare them with what happens before you rely on their "
                "level, and train anew if the model is old."
                if scores
                else "No prediction is spread much otherwise than when its model was checked."
            )
            + f" Of {counted(int((frame['kind'] == 'feature').sum()), 'feature')}, {len(features)} "
            "moved much. Features that add up over a whole history grow with every night."
        ),
        moved_chart(frame, facts, title=f"From training to {facts.as_of}", columns=("then", "now")),
        Words(_against(facts), aside=True),
    ]
    return Section("trained", _TITLE, blocks, _queries(facts, frame))


def _against(facts: NightFacts) -> str:
    said = "Scores are set against those of users whom the model had not learned from."
    told = next((t for t in facts.targets if t.name == facts.trained_target), None)
    if told is None:
        return said + " No model tells of features of all users."
    return (
        f"Features are set against the rows that the model of {told.name} learned from, all of "
        f"which end before {told.trained_through}. " + said
    )


def _queries(facts: NightFacts, frame: pd.DataFrame) -> list[tuple[str, str]]:
    features = frame[frame["kind"] == "feature"]
    day = f"as_of = DATE'{facts.as_of}'"
    targets = ", ".join(sql_text(name) for name in frame.loc[frame["kind"] == "score", "name"])
    queries = []
    if len(features):
        name = str(features.iloc[0]["name"])
        column = quoted_name(name)
        queries.append(
            (
                f"Mean of {name} now (what models learned from is in their folders)",
                f"SELECT avg({column}) AS mean, count({column}) / count(*) AS known\n"
                f"FROM user_features WHERE {day} AND NOT coalesce(is_bot, false)",
            )
        )
    if targets:
        queries.append(
            (
                "Mean prediction now",
                "SELECT target, avg(coalesce(p.probability, p.expected)) AS mean\n"
                "FROM user_propensity p JOIN user_features f USING (user_id, as_of)\n"
                f"WHERE {day} AND target IN ({targets}) AND NOT coalesce(f.is_bot, false)\n"
                "GROUP BY target ORDER BY target",
            )
        )
    return queries
