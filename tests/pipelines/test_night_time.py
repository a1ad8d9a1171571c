"""How long a night will take is said from nights that were measured, and from which."""

import datetime as dt
import io

import pytest
from rich.console import Console

from behavior_spark.pipelines.logs.night_time import of_measured_rates, of_past_nights
from behavior_spark.pipelines.logs.verdict import Verdict
from behavior_spark.report.first_night import EMBED, SHARES

FIRST, LATER, UNCHANGED = (
    {"foresee": 5.0, "build features": 60.0},
    {"build features": 40.0},
    {"compare": 3.0},
)


def test_the_last_nights_that_worked_give_the_range_and_the_first_counts_only_alone():
    nights = [(80.0, LATER), (4.0, UNCHANGED), (95.0, LATER), (240.0, FIRST)]
    assert str(of_past_nights(nights)) == "it takes about 80 to 95 s (the last 2 nights)"
    assert str(of_past_nights(nights[1:])) == "the last night took 95 s"
    assert str(of_past_nights(nights[3:])) == "the first night, which read all days, took 4 minutes"
    assert of_past_nights([(4.0, UNCHANGED)]) is None
    many = [(60.0, LATER)] * 5 + [(900.0, LATER)]
    assert of_past_nights(many).high == 60.0, "five nights are asked"


def test_a_first_night_grows_with_events_and_texts_and_with_the_encoder():
    small = of_measured_rates(30_000, 0, None)
    assert small.low < 112 < 258 < small.high  # both nights of a clickstream, benchmarks/README.md
    assert small.low < 137 < small.high
    large = of_measured_rates(20_000_000, 0, None)
    assert large.low == pytest.approx(70 + 220) and large.high > 1000
    texts = [of_measured_rates(30_000, 100_000, size) for size in (None, 90e6, 440e6)]
    assert texts[0] == small
    assert small.high < texts[1].high < texts[2].high and texts[2].low == small.low
    assert "two cores" in str(large)


def test_stages_of_a_first_night_are_a_guess_within_the_whole():
    stages = [name for name in SHARES if name != "audiences"]
    small = of_measured_rates(30_000, 0, None, stages)
    assert set(small.stages) == set(stages)
    assert sum(low for low, _ in small.stages.values()) <= small.low
    assert all(0 <= low < high <= small.high for low, high in small.stages.values())
    texts = of_measured_rates(30_000, 100_000, 90e6, stages)
    grown = {name for name in stages if texts.stages[name] != small.stages[name]}
    assert grown == {EMBED} and texts.stages[EMBED][1] > 700
    assert not of_past_nights([(80.0, LATER)]).stages, "the report shows those of nights"


def test_the_stages_are_shown_as_a_guess_before_the_verdict():
    time = of_measured_rates(30_000, 0, None, ["build features"])
    console = Console(file=io.StringIO(), record=True, width=100)
    for block in Verdict(dt.date(2024, 5, 1), time=time).blocks():
        console.print(block)
    shown = console.export_text()
    assert "a guess" in shown and "build features" in shown and "2 to 52 s" in shown
    assert not Verdict(dt.date(2024, 5, 1)).blocks()
