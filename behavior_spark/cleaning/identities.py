"""Attribute events of anonymous visitors to users, from links that say who a visitor is.

An event of a linked visitor belongs to the link's user from the moment at which both event and
link are known. If the link is known first, the event gets the user when it arrives. Otherwise a
new version of the event, with the user, arrives together with the link. So everything that reads
versions of events (features, sessions, labels) sees the visitor's history under the user from that
day on and not before, and needs no other knowledge of links.

An event keeps its first user. A later link of the same visitor (on a shared device) applies only
to events that arrive after it.
"""

from __future__ import annotations

import datetime as dt

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


def resolve_identities(events: DataFrame, links: DataFrame) -> DataFrame:
    """All versions of events, with the users from links.

    Args:
        events: Contract ``events``, without users from links.
        links: Contract ``identities``.
    """
    attributed = with_known_users(events, links)
    return attributed.unionByName(linked_versions(attributed, links))


def with_known_users(events: DataFrame, links: DataFrame) -> DataFrame:
    """Give events of visitors the user of the latest link that was known when they arrived."""
    order = Window.partitionBy("anonymous_id").orderBy("arrived_at")
    spans = links.select(
        F.col("anonymous_id").alias("_visitor"),
        F.col("user_id").alias("_user"),
        F.col("arrived_at").alias("_since"),
        F.lead("arrived_at").over(order).alias("_until"),
    )
    # Events that need no link get distinct join keys: with a null key all would be in one task.
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
    """New versions of events that had no user when the first link of their visitor became known.

    Later links need none: events that arrive after the first link have a user already.

    Args:
        events: Versions of events, from ``with_known_users``.
        links: Contract ``identities``.
        since: Only links known on this day or later; None: all.

    Returns:
        The new versions, with the columns of ``events``; they arrive with the link.
    """
    first_links = links.groupBy("anonymous_id").agg(
        F.min("arrived_at").alias("_linked_at"),
        F.min_by("user_id", F.struct("arrived_at", "user_id")).alias("_user"),
    )
    if since is not None:
        first_links = first_links.where(F.col("_linked_at") >= F.lit(since).cast("timestamp"))
    unattributed = (
        events.where(F.col("user_id").isNull())
        .join(first_links, "anonymous_id")
        .where(F.col("arrived_at") < F.col("_linked_at"))
    )
    later_versions = events.select(F.col("event_id").alias("_id"), F.col("arrived_at").alias("_at"))
    replaced = (
        (F.col("event_id") == F.col("_id"))
        & (F.col("_at") > F.col("arrived_at"))
        & (F.col("_at") <= F.col("_linked_at"))
    )
    return (
        unattributed.join(later_versions, replaced, "left_anti")
        .withColumns(
            {
                "user_id": F.col("_user"),
                "arrived_at": F.col("_linked_at"),
                "arrived_day": F.to_date("_linked_at"),
            }
        )
        .select(*events.columns)
    )
