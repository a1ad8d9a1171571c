"""Pairs of texts of one session, such as titles bought together, or a search and a title."""

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
    """Distinct pairs of different texts of one session: columns ``left, right``.

    A session is the log's session id, else a user's day. Its texts are the titles of its items
    and the texts written or read in it. They are sorted by hash, and each is paired with the
    next, so that a session of n texts gives only n - 1 pairs. Only rows that had happened and
    were known before ``as_of`` are used, with titles as known then.

    Args:
        events: Table ``events``.
        items: Table ``items``; None without items.
        texts: Table ``texts``; None without texts.
        as_of: Day of the night.
        event_types: Event types to use; empty: all.
    """
    visible = as_seen(of_users(events, key="event_id"), [as_of], time="event_time")
    if event_types:
        visible = visible.where(F.col("event_type").isin(*event_types))
    session = F.coalesce(
        F.concat(F.lit("i"), "session_id"), F.concat(F.lit("d"), F.to_date("event_time"))
    )
    visible = visible.select("user_id", session.alias("session"), "item_id", "text_id")
    parts = []
    if items is not None:
        titles = _latest(items, key="item_id", known="valid_from", text="title", as_of=as_of)
        parts.append(visible.join(titles, "item_id").select("user_id", "session", "text"))
    if texts is not None:
        text_rows = _latest(texts, key="text_id", known="arrived_at", text="text", as_of=as_of)
        parts.append(visible.join(text_rows, "text_id").select("user_id", "session", "text"))
    if not parts:
        return visible.select(F.lit("").alias("left"), F.lit("").alias("right")).where("false")
    session_texts = parts[0] if len(parts) == 1 else parts[0].unionByName(parts[1])
    # The hash includes the session, so that two texts are not neighbours in every session.
    order = Window.partitionBy("user_id", "session").orderBy(
        F.xxhash64("text", "session"), F.col("text")
    )
    return (
        session_texts.distinct()
        .withColumn("next", F.lead("text").over(order))
        .where(F.col("next").isNotNull())
        .select(F.least("text", "next").alias("left"), F.greatest("text", "next").alias("right"))
        .distinct()
    )


def _latest(frame: DataFrame, *, key: str, known: str, text: str, as_of: dt.date) -> DataFrame:
    """Columns ``key, text``: the last version known before a night, if it has a text."""
    before = frame.where(F.col(known) < F.lit(as_of).cast("timestamp"))
    return (
        before.groupBy(key)
        .agg(F.max_by(text, known).alias("text"))
        .where("text IS NOT NULL AND text <> ''")
    )
