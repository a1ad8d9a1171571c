"""Views of the page: what each says of facts that were made up."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import pytest

from behavior_spark.report import first_night
from behavior_spark.report.page import night_page, render_page
from behavior_spark.report.page.blocks import Section
from behavior_spark.report.page.facts import NightFacts, NightRun
from behavior_spark.report.page.night import VIEWS
from tests.report.nights import AS_OF, HOSTILE, moved, night, night_run, topics
from tests.report.pages import PageReader


def page_of(facts: NightFacts) -> PageReader:
    return PageReader(render_page(night_page(facts)))


@pytest.fixture(scope="module")
def page() -> PageReader:
    return page_of(night())


def test_every_view_of_the_list_is_on_the_page_in_its_order() -> None:
    facts = night()
    keys: list[str] = []
    for view in VIEWS:
        shown = view(facts)
        sections = [shown] if isinstance(shown, Section) else list(shown)
        keys += [section.key for section in sections]
    assert keys == [section.key for section in night_page(facts).sections]
    assert len(set(keys)) == len(keys) > 10


def test_topics_are_named_by_words_and_those_of_few_users_are_counted(page: PageReader) -> None:
    assert page.tables["Topics with their typical words"][1:] == [
        ["parcel, tracking", "120", "60", "130"], [HOSTILE, "60", "40", "61"],
    ]  # fmt: skip
    assert "The largest: parcel, tracking, 60.0 % of the texts" in page.text
    assert "Not shown for want of users: 1 topic." in page.text
    none = page_of(night(topics=topics(topics=(), hidden=4)))
    assert "Not shown for want of users: 4 topics." in none.text
    assert "Topics with their typical words" not in none.tables
    assert not [name for name in none.queries if "first word" in name]


def test_languages_that_the_encoder_does_not_know_are_a_share_and_a_script(
    page: PageReader,
) -> None:
    assert "does not know the language of 24.0 % of these texts; nearly all in Cyrillic" in (
        page.text
    )
    assert page.tables["Texts by script, and how the encoder cuts them"][1:] == [
        ["Latin", "150", "80", "2.0 %", "0.25", "0.0 %"],
        ["Cyrillic", "30", "20", "100.0 %", "0.97", "1.0 %"],
        ["(no letters)", "5", "12", "0.0 %", "0.00", "-"],
    ]
    # Nine users write Thai: not even its name is shown.
    assert "Thai" not in page.text


def test_what_moved_since_training_names_what_it_is_set_against(page: PageReader) -> None:
    assert "No prediction is spread much otherwise than when its model was checked" in page.text
    assert "the model of purchase_30d learned from, all of which end before 2024-04-30" in page.text
    frame = moved()
    frame.loc[frame["now"] & (frame["kind"] == "score"), "users"] = [0] * 9 + [1000]
    shifted = page_of(night(moved_since_training=frame))
    assert "The predictions of purchase_30d are spread much otherwise" in shifted.text
    assert "can be used with care: 1 remark" in shifted.text
    rows = shifted.tables[f"From training to {AS_OF}"]
    assert rows[0][4:6] == ["mean then", "mean now"] and rows[1][2] == "much"


def test_rows_are_told_by_source_and_by_night() -> None:
    by_source = {
        "events_read_from:clicks": 900.0, "events_kept_from:clicks": 880.0,
        "events_duplicates_from:clicks": 12.0, "events_refused_from:clicks": 8.0,
        f"events_read_from:{HOSTILE}": 100.0,
    }  # fmt: skip
    run = night_run(figures=by_source)
    before = AS_OF - dt.timedelta(days=1)
    counts = {"events": {"rows_in": 70, "rows_out": 60, "duplicates": 9, "refused": 1}}
    runs = (
        night_run(as_of=before, sources={"events": {"rows_in": 1}}),  # replaced by the next
        night_run(as_of=before, sources=counts), run,
    )  # fmt: skip
    page = page_of(night(run=run, runs=runs))
    assert page.tables["Rows by source, of tables that have several"][1:] == [
        [HOSTILE, "events", "100", "0", "0", "0"], ["clicks", "events", "900", "880", "12", "8"],
    ]  # fmt: skip
    assert page.tables["Rows read by night, the last 2"][1:] == [
        [str(AS_OF), "events", "1,000", "960", "30", "10"],
        [str(AS_OF), "texts", "100", "100", "0", "0"],
        [str(before), "events", "70", "60", "9", "1"],
    ]


def test_speed_is_told_of_stages_whose_work_is_known() -> None:
    run = night_run(
        stages={"ingest events": 4.0, "embed texts": 2.0, "train": 9.0, "predict": 0.0},
        figures={"texts_scored": 500.0, "predictions": 10.0},
    )
    assert page_of(night(run=run)).tables["Speed by stage"][1:] == [
        ["ingest events", "1,000 rows", "250"], ["embed texts", "500 distinct texts", "250"],
    ]  # fmt: skip


def test_each_stage_has_the_seconds_that_the_nights_before_let_expect() -> None:
    def earlier(day: int, seconds: float, **stages: float) -> NightRun:
        return night_run(run_id=f"{day:032x}", started_at=dt.datetime(2024, 4, day, 1),
                         seconds=seconds, stages=stages)  # fmt: skip

    first = earlier(25, 900.0, foresee=10.0, ingest=800.0)
    nights = [earlier(26, 50.0, ingest=20.0), earlier(27, 70.0, ingest=30.0, train=9.0)]
    run = night_run(stages={"ingest": 61.0, "train": 8.0, "predict": 1.0})
    page = page_of(night(run=run, runs=(first, *nights, run)))
    assert page.tables["Seconds by stage"] == [
        ["stage", "seconds", "share", "expected"],
        ["ingest", "61.0", "61.0 %", "25.0"], ["train", "8.0", "8.0 %", "9.0"],
        ["predict", "1.0", "1.0 %", "-"],
    ]  # fmt: skip
    assert "By the 2 nights before, 60 s were expected; most beyond it is ingest, by 36 s." in (
        page.text
    )
    # Of a second night the first one tells nothing: it read all history.
    second = page_of(night(run=run, runs=(first, run)))
    assert second.tables["Seconds by stage"][0] == ["stage", "seconds", "share"]
    assert "were expected;" not in second.text


def test_a_first_night_has_a_guess_of_rates_beside_its_stages_and_no_other_night_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shares = {"train": (10.0, 50.0), "embed texts": (5.0, 20.0), "predict": (1.0, 2.0)}
    monkeypatch.setattr(first_night, "SHARES", shares)
    figures = dict(zip(first_night.FORESEEN, (100.0, 200.0), strict=True))
    sources = {"texts": {"rows_in": 1300}}  # ten seconds at 130 a second
    stages = {"foresee": 3.0, "train": 40.0, "embed texts": 45.0, "predict": 9.0}
    run = night_run(stages=stages, figures=figures, sources=sources)
    page = page_of(night(run=run, runs=(run,)))
    assert page.tables["Seconds by stage"] == [
        ["stage", "seconds", "share", "a guess"],
        ["embed texts", "45.0", "45.0 %", "5 to 50"], ["train", "40.0", "40.0 %", "10 to 100"],
        ["predict", "9.0", "9.0 %", "1 to 4"], ["foresee", "3.0", "3.0 %", "-"],
    ]  # fmt: skip
    assert "a guess by rates measured on two cores; outside of theirs: predict." in page.text
    elsewhere = page_of(night(run=night_run(stages=stages), runs=()))  # not on one machine
    assert "guess" not in elsewhere.text
    earlier = night_run(run_id="e" * 32, started_at=dt.datetime(2024, 4, 25, 1),
                        stages={"train": 30.0})  # fmt: skip
    known = page_of(night(run=run, runs=(earlier, run)))
    assert known.tables["Seconds by stage"][0] == ["stage", "seconds", "share", "expected"]


def test_the_service_queue_is_told_by_queue_and_queues_of_few_users_are_hidden(
    page: PageReader,
) -> None:
    assert page.tables["Queues of the night"][1:] == [[HOSTILE, "50", "8", "0", "76.0 %", "48.0 %"]]
    assert "53 texts came in; 71.7 % have a need" in page.text and "tiny" not in page.text
    without = page_of(night(service=night().service.head(0)))
    assert "Service queue" not in without.text


def test_alerts_of_the_night_are_counts_by_kind_with_no_user() -> None:
    alerts = pd.DataFrame(
        {"alert_id": [f"{n:064x}" for n in range(3)], "kind": ["event_rate"] * 2 + ["text_abuse"],
         "severity": ["high", "low", "low"], "score": [0.9, 0.6, 0.5], "status": ["new"] * 3,
         "evidence": ["147 events in one hour", "120 events in one hour", "9 spam texts"],
         "subject": ["mallory", "trudy", "oscar"]}
    )  # fmt: skip
    page = page_of(night(alerts=alerts))
    assert page.tables["Alerts by kind and severity"][1:] == [
        ["event_rate", "1", "0", "1"], ["text_abuse", "0", "0", "1"],
    ]  # fmt: skip
    assert not [name for name in ("mallory", "trudy", "oscar") if name in page.text]
