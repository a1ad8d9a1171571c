"""The events that a night must read to build the tiles that its new events change."""

from __future__ import annotations

import datetime as dt

from pyspark.sql import DataFrame
from pyspark.sql import functions as F


def touched_events(
    events: DataFrame,
    *,
    start: dt.date,
    back_days: int | None,
    begun: DataFrame | None,
) -> DataFrame:
    """Events that arrived from a day on, and earlier ones whose tiles they change.

    Earlier ones are found by their ids, a narrow read; only where there are any is more read:
    all that the same users did on the same days, and every version of that. One small job finds
    the range of days to read.

    Args:
        events: Contract ``events``, every version that arrived before the night's end.
        start: First arrival day (arrived_day) that is new.
        back_days: An earlier event is looked for in this many arrival days before ``start``;
            None: in all. Those of items that began to count are looked for in all days.
        begun: ``item_id`` of the items that began to count for a target on ``start`` or later;
            None where there are none.

    Returns:
        Rows of ``events``, complete for every tile that changes.
    """
    day = F.to_date("event_time").alias("_event_day")
    new = events.where(F.col("arrived_day") >= F.lit(start))
    earlier = events.where(F.col("arrived_day") < F.lit(start))
    searched = earlier
    if back_days is not None:
        first = start - dt.timedelta(days=back_days)
        searched = earlier.where(F.col("arrived_day") >= F.lit(first))
    ids = new.select("event_id")
    touched = searched.join(ids, "event_id", "left_semi").select("user_id", day)
    if begun is not None:
        on_begun = earlier.join(begun, "item_id", "left_semi").select("user_id", day)
        touched = touched.unionByName(on_begun)
    # An event without a user has no tile, so one that a link gives a user changes no earlier tile.
    touched = touched.where(F.col("user_id").isNotNull())
    span = touched.agg(F.min("_event_day").alias("low"), F.max("_event_day").alias("high")).first()
    if span is None or span["low"] is None:
        return new
    # Nothing arrives before it happens.
    since = earlier.where(F.col("arrived_day") >= F.lit(span["low"]))
    after = F.lit(span["high"] + dt.timedelta(days=1)).cast("timestamp")
    beside = (
        since.where(F.col("event_time") < after)
        .select("event_id", "user_id", day)
        .join(touched.distinct(), ["user_id", "_event_day"], "left_semi")
    )
    # Not every id of ``new``: an earlier version out of reach would come without the others of
    # its tile, and leave it with itself alone.
    chain = beside.select("event_id").distinct()
    return since.join(chain, "event_id", "left_semi").unionByName(new)
