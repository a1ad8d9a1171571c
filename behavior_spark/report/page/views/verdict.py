"""The verdict: is this night good to use, and what changed since the one before."""

from __future__ import annotations

from collections.abc import Iterator

from behavior_spark.names import counted
from behavior_spark.report.page.blocks import Level, Verdict
from behavior_spark.report.page.drift import moved_most, names_with
from behavior_spark.report.page.facts import NightFacts, NightRun, TargetFacts
from behavior_spark.report.page.words import listed, number, share
from behavior_spark.report.verdicts import gain_words, rival_words, without_ranking

# Thresholds of "with care".
MOST_REFUSED = 0.05
LEAST_ROWS = 0.5

Concern = tuple[Level, str]


def verdict_of(facts: NightFacts) -> Verdict:
    """Judge a night by its rows, its models and what happened."""
    concerns = [*_of_run(facts), *_of_rows(facts), *_of_targets(facts), *_of_moved(facts)]
    concerns.sort(key=lambda concern: concern[0] != "bad")
    reasons = [reason for _, reason in concerns]
    if any(level == "bad" for level, _ in concerns):
        line = f"Do not use the night of {facts.as_of} before somebody has looked."
        return Verdict("bad", line, reasons, _changes(facts))
    if concerns:
        line = (
            f"The night of {facts.as_of} can be used with care: {counted(len(concerns), 'remark')}."
        )
        return Verdict("care", line, reasons, _changes(facts))
    return Verdict("good", f"The night of {facts.as_of} is good to use.", (), _changes(facts))


def _of_run(facts: NightFacts) -> Iterator[Concern]:
    if facts.run is None:
        yield "bad", f"No run has read rows for {facts.as_of}."
    if facts.failed:
        yield (
            "bad",
            f"A later run of this night ({facts.failed.command}) failed: tables may be old.",
        )


def _of_rows(facts: NightFacts) -> Iterator[Concern]:
    if facts.run is None:
        return
    if not facts.run.balanced:
        yield "bad", "Rows in are not rows kept + duplicates + refused: some are not accounted for."
    for table, counts in facts.run.sources.items():
        refused, read = counts.get("refused", 0), counts.get("rows_in", 0)
        if read and refused / read > MOST_REFUSED:
            yield "care", f"{share(refused, read)} of the rows of {table} were refused."
    days = facts.by_day[facts.by_day["table_name"] == "events"].sort_values("day")
    if len(days) >= 7:
        last, typical = float(days["rows"].iloc[-1]), float(days["rows"].median())
        if last < LEAST_ROWS * typical:
            yield (
                "care",
                f"{number(last)} events on the last day, where {number(typical)} are typical.",
            )


def _of_targets(facts: NightFacts) -> Iterator[Concern]:
    for target in facts.targets:
        if target.scores.empty:
            yield "care", f"{target.name} was not predicted."
            continue
        if target.verdict and not target.ranks:
            yield "care", f"{without_ranking(target.name, target.verdict)}."
        elif target.verdict:
            level = [
                f"{rival_words(name)} ({gain_words(gain)})"
                for name, gain in target.verdict.gains.items()
                if gain.answer != "yes"
            ]
            if level:
                yield (
                    "care",
                    f"{target.name}: on held-out users the model was not clearly better than "
                    f"{listed(level)}.",
                )
        yield from _of_outcome(target)
        if not target.numbers and not target.happened.empty:
            expected, hits = (float(target.happened[name].sum()) for name in ("expected", "hits"))
            if abs(hits - expected) > 2 * target.spread:
                yield (
                    "care",
                    f"{target.name}: {number(hits)} {target.did}, where {number(expected)} were "
                    "expected.",
                )


def _of_outcome(target: TargetFacts) -> Iterator[Concern]:
    """What the last night that can be checked says against the model."""
    outcome, title = target.outcome, target.first_title
    if outcome is None:
        return
    checked, now = target.holdout.get(target.first_measure), outcome.measured.get(title)
    if checked and now and now.high < float(checked["low"]):
        yield (
            "care",
            f"{target.name}: {title} was {now} after {outcome.as_of}; the check before had given "
            f"{float(checked['value']):.3f}.",
        )
    level = [
        f"{rival_words(name)} ({gain_words(gain)})"
        for name, gain in outcome.gains.items()
        if gain.answer != "yes"
    ]
    if level:
        yield (
            "care",
            f"{target.name}: after {outcome.as_of} the model was not clearly better than "
            f"{listed(level)}.",
        )


def _of_moved(facts: NightFacts) -> Iterator[Concern]:
    if not facts.moved_since_training.empty:
        since = moved_most(facts.moved_since_training)
        if scores := names_with(since, "much", kind="score"):
            yield (
                "care",
                f"The predictions of {listed(scores)} are spread much otherwise than when the "
                "model was checked.",
            )
    if facts.moved.empty:
        return
    moved = moved_most(facts.moved)
    if scores := names_with(moved, "much", kind="score"):
        yield "care", f"The predictions of {listed(scores)} moved much since {facts.moved_from}."
    if features := names_with(moved, "much", kind="feature"):
        named = listed(features[:3]) + (" and others" if len(features) > 3 else "")
        yield "care", f"{counted(len(features), 'feature')} moved much: {named}."


def _changes(facts: NightFacts) -> list[str]:
    if facts.run is None:
        return []
    if facts.previous is None:
        return ["It is the first night in these tables: there is nothing to compare it with."]
    before, now = facts.previous, facts.run
    said = [_rows_changed(table, before, now) for table in now.sources]
    trained = [
        target.name for target in facts.targets
        if target.digest and before.models.get(target.name) not in (None, target.digest)
    ]  # fmt: skip
    if trained:
        said.append(f"new models for {listed(trained)}")
    return [f"Since the night before ({before.as_of}): {'; '.join(filter(None, said))}."]


def _rows_changed(table: str, before: NightRun, now: NightRun) -> str:
    was, is_now = (run.sources.get(table, {}).get("rows_in", 0) for run in (before, now))
    return f"{number(is_now)} rows of {table} were read (before: {number(was)})"
