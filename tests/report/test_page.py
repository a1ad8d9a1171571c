"""The page of a night: one file, for everybody, that shows what it was given and runs nothing."""

from __future__ import annotations

import builtins
import datetime as dt
import re
import sys
from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

from behavior_spark.errors import SetupError
from behavior_spark.report.page import NightFacts, night_page, render_page
from behavior_spark.report.page.facts import no_rows
from behavior_spark.report.page.views.audiences import audiences_view
from tests.report.nights import (
    AS_OF,
    HOSTILE,
    figure,
    measured_target,
    night,
    night_run,
    scores,
    target,
    verdict,
    week,
)
from tests.report.pages import PageReader

MOST_BYTES = 2_000_000


@pytest.fixture(scope="module")
def content() -> str:
    return render_page(night_page(night()))


@pytest.fixture(scope="module")
def page(content: str) -> PageReader:
    return PageReader(content)


def words_of(facts: NightFacts) -> str:
    return PageReader(render_page(night_page(facts))).text


def test_the_page_is_one_file_that_fetches_nothing_and_runs_no_script(
    content: str, page: PageReader
) -> None:
    assert len(content.encode()) < MOST_BYTES
    tags = {tag for tag, _ in page.tags}
    foreign = {"script", "iframe", "object", "embed", "img", "foreignobject", "image", "use"}
    assert not tags & foreign
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("href", "src", "xlink:href", "action"):
            link = attributes.get(name)
            assert link is None or link.startswith("#") or link == "data:,", (tag, link)
    style = content.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style and "@import" not in style


def test_hostile_names_are_shown_as_they_stand_and_are_never_markup(
    content: str, page: PageReader
) -> None:
    assert "<script" not in content.lower()
    assert HOSTILE in page.text
    reasons = page.tables["Refused rows by table, source and reason"]
    assert reasons[1] == ["events", HOSTILE, HOSTILE, "10"]


def test_every_chart_has_a_title_a_description_and_its_numbers_as_a_table(
    content: str, page: PageReader
) -> None:
    charts = [attributes for tag, attributes in page.tags if tag == "svg"]
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(charts) >= 5 and len(ids) == len(set(ids))
    for chart in charts:
        assert chart["role"] == "img"
        assert set(str(chart["aria-labelledby"]).split()) <= set(ids)
    figures = re.findall(r"<figure>.*?</figure>", content, re.S)
    assert len(figures) == len(charts)
    for drawn in figures:
        assert re.search(r"<title[^>]*>[^<]+</title><desc[^>]*>[^<]+</desc>", drawn)
        assert "<details>" in drawn and "<caption>" in drawn


def test_what_charts_are_coloured_with_the_style_knows(content: str) -> None:
    drawn = set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]{3,6})"', content))
    styled = set(re.findall(r'\[(?:fill|stroke)="(#[0-9a-f]{6})"\]', content))
    assert drawn and drawn <= styled


def test_rows_are_those_of_the_run(page: PageReader) -> None:
    assert page.tables["Rows by table"][1:] == [
        ["events", "1,000", "960", "30", "10", "7"], ["texts", "100", "100", "0", "0", "0"],
    ]  # fmt: skip


def test_a_night_without_a_flaw_is_good_to_use() -> None:
    assert night_page(night()).verdict.level == "good"


@pytest.mark.parametrize(
    ("changes", "level", "reason"),
    [
        ({"run": night_run(balanced=False)}, "bad", "not accounted for"),
        ({"run": None}, "bad", "No run has read rows"),
        ({"failed": night_run(command="predict")}, "bad", "predict) failed"),
        ({"targets": (target(scores=scores(0)),)}, "care", "was not predicted"),
        (
            {"targets": (target(verdict=verdict(chance=(0.05, -0.01, 0.1)), ranks=False),)},
            "care",
            "purchase_30d: nobody is ranked, as the model is not clearly better than chance "
            "(cannot tell: +0.050 (-0.010 to +0.100) AUC, on 500 held-out users). Everybody gets",
        ),
        (
            {"targets": (target(verdict=verdict(recency=(0.01, -0.01, 0.03))),)},
            "care", "held-out users the model was not clearly better than recency alone (cannot",
        ),
        (
            {"targets": (measured_target(auc=0.7, gain=(0.01, -0.02, 0.03)),)},
            "care", "AUC was 0.700 (0.680 to 0.720) after 2024-04-30; the check before had",
        ),
        (
            {"targets": (measured_target(gain=(0.01, -0.02, 0.03)),)},
            "care", "than recency alone (cannot tell: +0.010 (-0.020 to +0.030))",
        ),
        (
            {"run": night_run(sources={"events": {"rows_in": 100, "refused": 6}})},
            "care", "6.0 % of the rows of events were refused",
        ),
    ],
)  # fmt: skip
def test_what_speaks_against_a_night_is_in_its_verdict(
    changes: dict[str, Any], level: str, reason: str
) -> None:
    verdict = night_page(night(**changes)).verdict
    assert verdict.level == level
    assert reason in " ".join(verdict.reasons)


def test_the_verdict_says_what_changed_since_the_night_before() -> None:
    before = night_run(
        as_of=AS_OF - dt.timedelta(days=1), sources={"events": {"rows_in": 900}},
        models={"purchase_30d": "old"},
    )  # fmt: skip
    said = " ".join(night_page(night(previous=before)).verdict.changes)
    assert "2024-04-29" in said and "1,000 rows of events were read (before: 900)" in said
    assert "new models for purchase_30d" in said


def test_the_first_n_are_those_with_the_highest_scores(page: PageReader) -> None:
    rows = {row[0]: row for row in page.tables["Reach the first N, by score"][1:]}
    chance = scores()["expected"].to_numpy()[:100]
    spread = 1.96 * (chance * (1 - chance)).sum() ** 0.5
    assert rows["100"][1] == f"{chance.sum():,.0f} ± {spread:,.0f}"
    assert rows["100"][3] == "20"


def test_what_happened_is_beside_what_was_predicted(page: PageReader) -> None:
    assert "195 of 1,000 users did it (19.5 %), where 200 ±" in page.text
    assert "as expected" in page.text and "AUC 0.810 (0.790 to 0.830)" in page.text
    parts = page.tables["Predicted and happened, by part of users (ties at a limit are shared out)"]
    assert [row[3] for row in parts[1:4]] == ["100.0 %", "95.0 %", "0.0 %"]


def test_a_target_at_the_base_rate_is_shown_without_any_ranking() -> None:
    same = pd.DataFrame({"step": [-139], "users": [1000.0], "expected": 200.0, "variance": 160.0})
    flat = target(scores=same, ranks=False, verdict=verdict(chance=(0.01, -0.02, 0.04)))
    content = night_page(night(targets=(flat,)))
    [section] = [section for section in content.sections if section.key == "target-1"]
    page = PageReader(render_page(content))
    assert "Everybody gets the base rate" in page.text
    assert not [name for name in page.tables if "by tenth" in name or "Reach the first" in name]
    assert not [sql for _, sql in section.queries if "decile" in sql or "LIMIT" in sql]
    assert "users predicted" in page.text and "1,000" in page.text


def test_groups_of_too_few_users_are_hidden_and_counted() -> None:
    content = night_page(night(targets=(target(scores=scores(9)),), min_group=10))
    [section] = [section for section in content.sections if section.key == "target-1"]
    assert section.hidden == 1 and not section.blocks and section.left_out
    # Of thirty users no tenth is shown, which would be three of them.
    few = measured_target()
    few = replace(few, happened=few.happened.head(30))
    parts = PageReader(render_page(night_page(night(targets=(few,))))).tables[
        "Predicted and happened, by part of users (ties at a limit are shared out)"
    ]
    assert [row[1] for row in parts[1:]] == ["10", "10", "10"]


def test_a_view_without_data_is_one_sentence_that_says_why() -> None:
    text = words_of(night(run=None, targets=(target(scores=scores(0)),)))
    assert "Not on this page" in text
    assert "no run of this day has read rows" in text and "nobody was predicted" in text


def test_without_the_extra_an_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__
    monkeypatch.delitem(sys.modules, "vl_convert", raising=False)

    def missing(name: str, *arguments: Any, **options: Any) -> Any:
        if name == "vl_convert":
            raise ModuleNotFoundError("gone", name=name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", missing)
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(SetupError, match=r"vl_convert is not installed\n.*'\.\[report\]'"):
        render_page(night_page(night()))


def test_small_groups_of_every_view_are_hidden(page: PageReader) -> None:
    segments = page.tables["Segments, with what is predicted on average"]
    assert [row[0] for row in segments[1:]] == ["loyal", HOSTILE]
    assert page.tables[f"Funnel {HOSTILE}"][3] == ["purchase", "few", "few", ""]
    assert page.tables["People by state (first day of each week)"][2] == [
        "2024-04-23", "23", "0", "few", "117", "0",
    ]  # fmt: skip
    retention = page.tables["Retention: share active, by weeks after the first"]
    assert retention[1:] == [
        ["2024-04-09", "100", "50.0 %", "few"], ["2024-04-16", "40", "50.0 %", ""]
    ]  # fmt: skip
    reasons = page.tables["purchase_30d: most frequent reasons"]
    assert [row[0] for row in reasons[1:]] == ["visits", HOSTILE]
    assert page.tables["intent: texts by week (first day)"][2][2] == "few"
    # A state, a cell and a cohort of who stays, a step, a segment, a reason, a label, a topic, a
    # script and a queue.
    assert "10 groups hidden on this page" in page.text


def test_users_are_named_by_a_key_alone(page: PageReader) -> None:
    shown = page.tables["One user of each of five tenths, the strongest reason first"]
    assert [row[0] for row in shown[1:]] == ["0a1b2c3d4e", "5f6a7b8c9d"]
    assert [row[-1] for row in shown] == [
        "what would change it", "nothing movable",
        "if answered within 2 hours rather than 9: 1 % -> 3 %",
    ]  # fmt: skip
    assert "it is not what would happen" in page.text
    nothing = night().examples.assign(change=None)
    without = PageReader(render_page(night_page(replace(night(), examples=nothing))))
    shown = without.tables["One user of each of five tenths, the strongest reason first"]
    assert shown[0][-1] == "reasons" and "what would happen" not in without.text


def test_texts_without_a_label_are_counted(page: PageReader) -> None:
    assert "12.0 % got no label" in page.text
    assert page.tables["intent: texts by week (first day)"][0][-1] == "(no label)"


def test_every_view_of_an_empty_night_says_why_it_is_left_out() -> None:
    facts = NightFacts(job="shop", as_of=AS_OF, run=night_run(stages={}, sources={}))
    content = night_page(facts)
    left_out = {section.key for section in content.sections if section.left_out}
    assert left_out == {
        "compared", "moved", "trained", "why", "people", "texts", "topics", "alerts", "cost"
    }  # fmt: skip
    assert PageReader(render_page(content)).text


def test_two_nights_stand_side_by_side() -> None:
    before = night_run(
        as_of=AS_OF - dt.timedelta(days=1), seconds=50.0,
        sources={"events": {"rows_in": 900, "refused": 9}},
        figures={"purchase_30d_roc_auc": 0.7},
    )  # fmt: skip
    page = PageReader(render_page(night_page(night(previous=before))))
    rows = page.tables["Two nights side by side"]
    assert rows[0] == ["", "2024-04-29", "2024-04-30"]
    assert rows[1:3] == [["events read", "900", "1,000"], ["events refused", "1.0 %", "1.0 %"]]
    assert ["purchase_30d: predicted on average", "20.0 %", "20.0 %"] in rows
    assert ["purchase_30d: AUC when trained", "0.700", "-"] in rows
    assert rows[-1] == ["seconds", "50", "100"]


def test_a_target_that_is_a_number_is_not_shown_as_a_probability() -> None:
    spearman = {"rows": 500, "spearman": figure(0.5), "top_decile_gain": figure(3.0)}
    amounts = target(
        "spend_30d", kind="amount", numbers=True, holdout=spearman, first_measure="spearman",
        first_title="Spearman correlation", baselines={"recency": {
            "spearman": figure(0.2), "spearman_gain_of_model": figure(0.3)}},
        scores=scores().assign(expected=lambda frame: frame["expected"] * 100),
    )  # fmt: skip
    happened = amounts.scores.assign(hits=amounts.scores["expected"] * 1.1)
    amounts = replace(amounts, measured_as_of=AS_OF, happened=happened)
    content = night_page(night(targets=(amounts,), reasons=no_rows("target")))
    page = PageReader(render_page(content))
    [section] = [section for section in content.sections if section.key == "target-1"]
    shown = page.text.partition("Target: spend_30d Predicted")[2].partition("Two nights")[0]
    assert "an expected number" in shown and "expected in all 20,000" in shown
    assert "22,000 in all, where 20,000 was expected" in shown
    assert "Reliability" not in shown and "Reach the first" not in shown
    tenths = page.tables["Predicted, by tenth of users (ties at a limit are shared out)"]
    assert tenths[1][2] == "38"
    assert [name for name, _ in section.queries if "What happened" in name] == []


def test_a_target_that_is_something_left_undone_is_said_so() -> None:
    facts = night(targets=(measured_target(kind="does_not"),))
    content = night_page(facts)
    [section] = [section for section in content.sections if section.key == "target-1"]
    text = PageReader(render_page(content)).text
    assert "195 of 1,000 users fulfilled it" in text and "expected to fulfil it 200" in text
    assert any("if(did.user_id IS NOT NULL, 0, 1)" in query for _, query in section.queries)


def test_audiences_are_there_where_a_night_has_any_and_small_ones_are_hidden() -> None:
    assert audiences_view(night()).blocks == []
    assert "audiences" not in [section.key for section in night_page(night()).sections]
    chosen = pd.DataFrame(
        {
            "audience": ["buyers", "few", "lost"], "rule": [HOSTILE, "the first 5", "the first 9"],
            "status": ["ready", "ready", "refused"], "remark": [None, None, HOSTILE],
            "users": [1000, 1000, 1000], "members": [400, 5, None], "reached": [300, 4, None],
            "holdout": [100, 1, None], "expected": [60.4, 1.0, None],
            "expected_low": [45.0, 0.0, None], "expected_high": [75.6, 3.0, None],
            "expected_at_random": [30.2, 0.5, None],
        }
    )  # fmt: skip
    results = pd.DataFrame(
        {
            "audience": ["buyers", "few"], "as_of": [week(-5)] * 2,
            "verdict": ["more", "no holdout"], "reached": [300, 5], "holdout": [100, 0],
            "reached_conversions": [90, 1], "holdout_conversions": [20, 0],
            "incremental": [30.0, None], "incremental_low": [2.4, None],
            "incremental_high": [55.5, None],
        }
    )  # fmt: skip
    page = PageReader(render_page(night_page(night(audiences=chosen, audience_results=results))))
    [shown] = [rows for caption, rows in page.tables.items() if caption.startswith("Audiences of")]
    assert shown[1:] == [
        ["buyers", HOSTILE, "1,000", "600", "300", "100", "60.4 (45 to 76)", "30.2"],
        ["lost", "the first 9", "1,000", "-", "-", "-", "-", "-"],
    ]
    [won] = [rows for caption, rows in page.tables.items() if caption.startswith("What earlier")]
    assert won[1:] == [
        ["buyers", str(week(-5)), "more", "90 of 300 (30.0 %)", "20 of 100 (20.0 %)",
         "30.0 (2 to 56)"]
    ]  # fmt: skip
    assert audiences_view(night(audiences=chosen, audience_results=results)).hidden == 2


def test_alerts_are_shown_with_their_evidence_and_without_users(page: PageReader) -> None:
    rows = page.tables["The 2 strongest of 2"]
    assert rows[1] == ["a" * 12, "high", "event_rate", "new", "147 events in one hour"]
    assert rows[2][4] == HOSTILE
    assert page.tables["Alerts by kind and severity"][1] == ["event_rate", "1", "0", "0"]


def test_a_night_without_alerts_says_so_and_one_that_makes_none_leaves_them_out() -> None:
    none = no_rows("alert_id", "kind", "severity", "score", "status", "evidence")
    assert "no alerts were made" in words_of(night(alerts=none))
    looked = night_run(figures={"alerts": 0.0})
    assert "No risk alerts on this night." in words_of(night(alerts=none, run=looked))
