"""View of reasons: what speaks for and against, for all users and for five."""

from __future__ import annotations

from behavior_spark.names import counted, sql_text
from behavior_spark.report.page.blocks import Block, DataChart, DataTable, Heading, Section, Words
from behavior_spark.report.page.charts import bar_chart
from behavior_spark.report.page.facts import NightFacts, TargetFacts
from behavior_spark.report.page.ranked import rows_of
from behavior_spark.report.page.words import (
    amount,
    feature_label,
    number,
    ordinal,
    plain_meaning,
    share,
)

SHOWN = 8
_TITLE = "Why: reasons of the predictions"


def reasons_view(facts: NightFacts) -> Section:
    """The features most often among a user's reasons, and five users' own."""
    if facts.reasons.empty:
        return Section(
            "why", _TITLE, left_out="no prediction of this night has reasons (training.reasons)"
        )
    blocks: list[Block] = [
        Words(
            "Each prediction names the features that moved it most. Counted over all users, these "
            "matter most. A reason is what the model goes by; it need not be the cause."
        )
    ]
    hidden = 0
    for target in facts.targets:
        chart, few = _of_target(target, facts)
        hidden += few
        if chart:
            blocks.append(chart)
    if hidden:
        are = counted(hidden, "feature is", "features are")
        said = f"{are} not shown: a reason for fewer than {facts.min_group} users."
        blocks.append(Words(said, aside=True))
    blocks += _examples(facts)
    return Section("why", _TITLE, blocks, _queries(facts), hidden=hidden)


def _of_target(target: TargetFacts, facts: NightFacts) -> tuple[DataChart | None, int]:
    of_target = facts.reasons[facts.reasons["target"] == target.name]
    kept = of_target[of_target["users"] >= facts.min_group]
    if kept.empty:
        return None, len(of_target)
    shown = kept.sort_values(["users", "feature"], ascending=[False, True]).head(SHOWN)
    first = shown.iloc[0]
    meaning = plain_meaning(facts.words.get(first["feature"], first["feature"]))
    users = target.scores["users"].sum()
    return DataChart(
        f"{target.name}: most frequent reasons",
        f"For {share(first['users'], users)} of the users: {meaning}.",
        bar_chart(
            shown.assign(label=[feature_label(name, facts.words) for name in shown["feature"]]),
            name="label", value="users",
        ),
        DataTable(
            f"{target.name}: most frequent reasons",
            ["feature", "meaning", "users", "raises", "mean size (log-odds)"],
            [
                [
                    row.feature, facts.words.get(row.feature, row.feature), number(row.users),
                    share(row.raises, 1), f"{row.size:.2f}",
                ]
                for row in rows_of(shown)
            ],
            text_columns=2,
        ),
    ), len(of_target) - len(kept)  # fmt: skip


def _examples(facts: NightFacts) -> list[Block]:
    if facts.examples.empty:
        return []
    name = str(facts.examples["target"].iloc[0])
    numbers = next((t.numbers for t in facts.targets if t.name == name), False)
    changes = ["what would change it"] if facts.examples["change"].notna().any() else []
    return [
        Heading(f"Five users' own reasons for {name}"),
        DataTable(
            "One user of each of five tenths, the strongest reason first",
            ["user", "tenth", "predicted", "reasons", *changes],
            [
                [
                    row.user_key, ordinal(row.decile),
                    amount(row.predicted) if numbers else share(row.predicted, 1),
                    "; ".join(row.reasons), *[row.change or "nothing movable" for _ in changes],
                ]
                for row in rows_of(facts.examples)
            ],
            text_columns=4 + len(changes),
        ),
        *[
            Words("What would change it is what the model answers for such a user, nothing else "
                  "changed; it is not what would happen.", aside=True)
            for _ in changes
        ],
        Words(
            "Users are named by a hash with a key of this report that is not on the page: who has "
            "only the page cannot tell who they are; who has the tables can (see the SQL).",
            aside=True,
        ),
    ]  # fmt: skip


def _queries(facts: NightFacts) -> list[tuple[str, str]]:
    people = (
        "FROM user_propensity p JOIN user_features f USING (user_id, as_of)\n"
        "LATERAL VIEW explode(p.reasons) r AS reason\n"
        f"WHERE as_of = DATE'{facts.as_of}' AND NOT coalesce(f.is_bot, false)"
    )
    queries = [
        (
            "How many users have a reason",
            "SELECT target, reason.feature, count(*) AS users,\n"
            "  avg(if(reason.contribution > 0, 1, 0)) AS raises,\n"
            f"  avg(abs(reason.contribution)) AS size\n{people}\n"
            "GROUP BY target, reason.feature ORDER BY target, users DESC",
        )
    ]
    if not facts.examples.empty:
        key, target = facts.examples[["user_key", "target"]].iloc[0]
        queries.append(
            (
                f"The user {key}",
                "SELECT p.user_id, p.probability, p.reasons FROM user_propensity p\n"
                "JOIN runs r ON r.command = 'report' AND r.as_of = p.as_of\n"
                f"WHERE p.as_of = DATE'{facts.as_of}' AND p.target = {sql_text(target)}\n"
                f"  AND substr(sha2(concat(r.run_id, p.user_id), 256), 1, {len(key)}) = '{key}'",
            )
        )
    return queries
