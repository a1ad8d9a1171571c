"""How long a night will take is said from nights that were measured, and from which."""

import pytest

from behavior_spark.pipelines.logs.night_time import of_measured_rates, of_past_nights

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
