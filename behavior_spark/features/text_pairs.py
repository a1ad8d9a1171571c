"""Pairs of texts that people met in one session: what they bought, searched, clicked together."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.features.point_in_time import as_seen, of_users


def text_pairs(
    events: DataFrame,
    items: DataFrame | None,
    texts: DataFrame | None,
    *,
    as_of: dt.date,
    event_types: Sequence[str] = (),
) -> DataFrame:
    """Columns ``left, right``: different texts of one session, each pair once.

    A session is the log's own session id, else a user's day. Its texts, the titles of its items
    and what was written or read in it, are put in an order of their hashes and paired with the
    next: a session of n texts gives n - 1 pairs, however large it is. Only what had happened
    and was known before ``as_of`` is seen, titles as they were valid then.

    Args:
        events: Table ``events``.
        items: Table ``items``, None without one.
        texts: Table ``texts``, None without one.
        as_of: The night.
        event_types: Events that count; none: all.
    """
    seen = as_seen(of_users(events, key="event_id"), [as_of], time="event_time")
    if event_types:
        seen = seen.where(F.col("event_type").isin(*event_types))
    session = F.coalesce(
        F.concat(F.lit("i"), "session_id"), F.concat(F.lit("d"), F.to_date("event_time"))
    )
    seen = seen.select("user_id", session.alias("session"), "item_id", "text_id")
    met = []
    if items is not None:
        titles = _latest(items, key="item_id", known="valid_from", text="title", as_of=as_of)
        met.append(seen.join(titles, "item_id").select("user_id", "session", "text"))
    if texts is not None:
        written = _latest(texts, key="text_id", known="arrived_at", text="text", as_of=as_of)
        met.append(seen.join(written, "text_id").select("user_id", "session", "text"))
    if not met:
        return seen.select(F.lit("").alias("left"), F.lit("").alias("right")).where("false")
    both = met[0] if len(met) == 1 else met[0].unionByName(met[1])
    # By the hash of text and session together: the same two texts are no neighbours elsewhere.
    order = Window.partitionBy("user_id", "session").orderBy(
        F.xxhash64("text", "session"), F.col("text")
    )
    return (
        both.distinct()
        .withColumn("next", F.lead("text").over(order))
        .where(F.col("next").isNotNull())
        .select(F.least("text", "next").alias("left"), F.greatest("text", "next").alias("right"))
        .distinct()
    )


def _latest(frame: DataFrame, *, key: str, known: str, text: str, as_of: dt.date) -> DataFrame:
    """Columns ``key, text``: the last version known before a night, where it says something."""
    before = frame.where(F.col(known) < F.lit(as_of).cast("timestamp"))
    return (
        before.groupBy(key)
        .agg(F.max_by(text, known).alias("text"))
        .where("text IS NOT NULL AND text <> ''")
    )
