"""Events to read again: the new ones, and all that shares a tile with what they change."""

from __future__ import annotations

import datetime as dt

from pyspark.sql import SparkSession

from behavior_spark.features.tiles.touched_events import touched_events
from behavior_spark.schemas import EVENTS
from tests.features.frames import table
from tests.features.reference import Row

START = dt.date(2024, 3, 10)


def event(name: str, user: str | None, happened: int, arrived: int, item: str = "i") -> Row:
    """An event of days of March 2024."""
    times = {
        "event_time": dt.datetime(2024, 3, happened, 8, tzinfo=dt.UTC),
        "arrived_at": dt.datetime(2024, 3, arrived, 9, tzinfo=dt.UTC),
    }
    return {"event_id": name, "user_id": user, "item_id": item, "event_type": "view", **times}


def test_a_correction_reads_its_users_day_and_an_item_that_begins_to_count_reads_its_days(
    spark: SparkSession,
) -> None:
    events = table(
        spark,
        EVENTS,
        [
            event("corrected", "u", 5, 5),
            event("beside", "u", 5, 5),
            event("other day", "u", 6, 6),
            event("other user", "v", 5, 5),
            event("counts now", "w", 4, 4, item="begun"),
            event("nobody", None, 5, 5, item="begun"),
            event("corrected", "u", 5, 10),
            event("new", "x", 10, 10),
        ],
    )
    begun = spark.createDataFrame([("begun",)], "item_id string")

    def read(**options: object) -> list[tuple[str, int]]:
        choices = {"start": START, "back_days": None, "begun": None} | options
        frame = touched_events(events, **choices)  # type: ignore[arg-type]
        return sorted((row["event_id"], row["arrived_day"].day) for row in frame.collect())

    new = [("corrected", 10), ("new", 10)]
    tile = [("beside", 5), ("corrected", 5)]
    assert read() == sorted(new + tile)
    assert read(begun=begun) == sorted([*new, *tile, ("counts now", 4)])
    assert read(back_days=2) == new
    # How far back corrections are looked for says nothing of items.
    assert read(back_days=2, begun=begun) == sorted([*new, ("counts now", 4)])
