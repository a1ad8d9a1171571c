"""Visitors who turn out to be users: links, each from when it was known.

An event of a visitor that a link names gets the link's user from the moment that both were known:
at once, where the link was there before the event; else by a new version of the event that
arrives with the link. So whatever reads versions of events (features, sessions, labels) sees the
visitor's history move to the user on that day and not before, with nothing else to know of links.

An event keeps the user it was given: a later link of the same visitor, on a shared device, counts
for what arrives after it.
"""

from __future__ import annotations

import datetime as dt

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


def resolve_identities(events: DataFrame, links: DataFrame) -> DataFrame:
    """All versions of events, with the users that links give them.

    Args:
        events: Contract ``events``, as the log gave them.
        links: Contract ``identities``.
    """
    known = with_known_users(events, links)
    return known.unionByName(linked_versions(known, links))


def with_known_users(events: DataFrame, links: DataFrame) -> DataFrame:
    """Events of visitors get the user of the latest link known when they arrived."""
    order = Window.partitionBy("anonymous_id").orderBy("arrived_at")
    spans = links.select(
        F.col("anonymous_id").alias("_visitor"),
        F.col("user_id").alias("_user"),
        F.col("arrived_at").alias("_since"),
        F.lead("arrived_at").over(order).alias("_until"),
    )
    # Events that need no link get keys of their own: as nulls they would meet in one task.
    visitor = F.col("user_id").isNull() & F.col("anonymous_id").isNotNull()
    key = F.when(visitor, F.concat(F.lit("v"), "anonymous_id")).otherwise(
        F.concat(F.lit("e"), "event_id")
    )
    match = (
        (key == F.concat(F.lit("v"), "_visitor"))
        & (F.col("arrived_at") >= F.col("_since"))
        & (F.col("_until").isNull() | (F.col("arrived_at") < F.col("_until")))
    )
    return (
        events.join(spans, match, "left")
        .withColumn("user_id", F.coalesce("user_id", "_user"))
        .drop("_visitor", "_user", "_since", "_until")
    )


def linked_versions(
    events: DataFrame, links: DataFrame, *, since: dt.date | None = None
) -> DataFrame:
    """New versions of events that had no user when a link named their visitor.

    Args:
        events: Versions of events, through ``with_known_users``.
        links: Contract ``identities``.
        since: Only links known on this day or later; None: all.

    Returns:
        Rows of ``events`` that arrive with the link; those of a visitor's first link, as what
        arrives after it has a user already.
    """
    first = links.groupBy("anonymous_id").agg(
        F.min("arrived_at").alias("_linked_at"),
        F.min_by("user_id", F.struct("arrived_at", "user_id")).alias("_user"),
    )
    if since is not None:
        first = first.where(F.col("_linked_at") >= F.lit(since).cast("timestamp"))
    waiting = (
        events.where(F.col("user_id").isNull())
        .join(first, "anonymous_id")
        .where(F.col("arrived_at") < F.col("_linked_at"))
    )
    later = events.select(F.col("event_id").alias("_id"), F.col("arrived_at").alias("_at"))
    replaced = (
        (F.col("event_id") == F.col("_id"))
        & (F.col("_at") > F.col("arrived_at"))
        & (F.col("_at") <= F.col("_linked_at"))
    )
    return (
        waiting.join(later, replaced, "left_anti")
        .withColumns(
            {
                "user_id": F.col("_user"),
                "arrived_at": F.col("_linked_at"),
                "arrived_day": F.to_date("_linked_at"),
            }
        )
        .select(*events.columns)
    )
