"""Items to recommend to the members of a night's audiences."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.config import Audience, Settings
from behavior_spark.features.point_in_time import as_seen, items_at, of_users
from behavior_spark.runs.run import Run
from behavior_spark.schemas import EVENTS, ITEMS, USER_NEXT_ITEMS
from behavior_spark.uses.audiences.again import own_past, recommended_again
from behavior_spark.uses.audiences.foretold import first_foretold, foretold, with_how
from behavior_spark.uses.audiences.recommending import (
    EVERYTHING,
    baskets,
    listed,
    recommended,
    similar_items,
)
from behavior_spark.uses.sampling import sampled_users

# Popular items to fill short lists with: as many times as the longest list is long.
POPULAR_TIMES = 3


def event_condition(settings: Settings) -> str:
    """SQL condition on an event by which a user has had its item."""
    if settings.recommendations.event:
        return settings.recommendations.event
    return "event_type = 'purchase'" if "purchase" in settings.features.event_types else "true"


def with_items(settings: Settings, audiences: Mapping[str, Audience]) -> dict[str, Audience]:
    """The audiences whose members get items; none where events have none."""
    if "item_id" not in settings.sources.mapped("events"):
        return {}
    return {name: audience for name, audience in audiences.items() if audience.items}


def recommend_items(
    run: Run, members: DataFrame, audiences: Mapping[str, Audience], *, users: int
) -> DataFrame:
    """``audience, user_id, recommended_items, item_sources`` of members.

    What the night's sequence model foretells comes first, then what goes together (with what the
    member has had himself, where it may come again), then what is popular; see
    ``uses.audiences.foretold``, ``again`` and ``recommending``.

    Args:
        run: The run.
        members: ``audience, user_id``.
        audiences: Audiences whose members get items.
        users: Users of the night, of whom ``recommendations.learn_users`` are learned from.
    """
    settings = run.settings.recommendations
    had = baskets(items_had(run, run.as_of))
    titles = titles_at(run, run.as_of)
    allowed = _allowed(audiences, titles)
    similar = similar_items(
        sampled_users(had, share=settings.learn_users / max(users, 1), salt="learn"),
        latest=settings.history_items,
        popular=POPULAR_TIMES * max(audience.items for audience in audiences.values()),
        allowed=allowed,
    )
    most = _of_audience({name: audience.items for name, audience in audiences.items()}, "items")
    wanted = members.where(F.col("audience").isin(*audiences)).select(
        "audience",
        "user_id",
        most,
        _of_audience({name: audience.items_again for name, audience in audiences.items()}, "again"),
        _of_audience({name: _shelf(audience) for name, audience in audiences.items()}, "shelf"),
    )
    again = any(audience.items_again for audience in audiences.values())
    together = _together(run, wanted, had, similar, allowed, again=again)
    by_model = with_next_items(run.settings, audiences)
    if not by_model:
        return listed(with_how(together), titles)
    chosen = first_foretold(
        foretold(
            wanted.where(F.col("audience").isin(*by_model)),
            next_items_at(run, run.as_of),
            had,
            allowed=allowed,
        ),
        together,
        most=most,
    )
    return listed(chosen, titles)


def _together(
    run: Run,
    wanted: DataFrame,
    had: DataFrame,
    similar: DataFrame,
    allowed: DataFrame | None,
    *,
    again: bool,
) -> DataFrame:
    """What goes together, then what is popular; with what is had again where it may be."""
    latest = run.settings.recommendations.history_items
    new = recommended(wanted.where(~F.col("again")), had, similar, latest=latest)
    if not again:
        return new
    own = own_past(items_had(run, run.as_of))
    rows = recommended_again(
        wanted.where("again"), had, own, similar, latest=latest, allowed=allowed
    )
    return new.unionByName(rows)


def with_next_items(settings: Settings, audiences: Mapping[str, Audience]) -> list[str]:
    """Audiences whose members get what the sequence model foretells.

    Not those that want items again which the model's lists leave out.
    """
    if settings.sequence is None or not settings.recommendations.next_items:
        return []
    all_items = not settings.sequence.leave_out_seen
    return [name for name, audience in audiences.items() if all_items or not audience.items_again]


def next_items_at(run: Run, as_of: dt.date) -> DataFrame:
    """The rows of ``user_next_items`` of this night; those of other nights never count."""
    return run.warehouse.read(USER_NEXT_ITEMS).where(F.col("as_of") == F.lit(as_of))


def _of_audience(values: Mapping[str, Any], name: str) -> Column:
    pairs = F.create_map(*[F.lit(part) for pair in values.items() for part in pair])
    return pairs[F.col("audience")].alias(name)


def _shelf(audience: Audience) -> str:
    return audience.items_where or EVERYTHING


def items_had(run: Run, as_of: dt.date) -> DataFrame:
    """Events by which users had an item in the days before as_of, as they were known then."""
    days = run.settings.recommendations.learn_days
    since = F.lit(as_of - dt.timedelta(days=days)).cast("timestamp")
    events = run.warehouse.require(EVENTS, made_by="ingest").where(F.col("arrived_at") >= since)
    seen = as_seen(of_users(events, key="event_id"), [as_of], time="event_time")
    return seen.where(F.col("days_ago") <= days).where(event_condition(run.settings))


def titles_at(run: Run, as_of: dt.date) -> DataFrame | None:
    """``item_id, title, category, price``: the latest version that was known at as_of."""
    if not run.settings.sources.items:
        return None
    return items_at(run.warehouse.read(ITEMS), as_of, "title", "category", "price")


def _allowed(audiences: Mapping[str, Audience], items: DataFrame | None) -> DataFrame | None:
    """``item_id, shelf`` of what may be recommended; None where no audience limits it.

    With a limit anywhere, only items that are in the table ``items`` are recommended.
    """
    conditions = sorted({_shelf(audience) for audience in audiences.values()})
    if items is None or conditions == [EVERYTHING]:
        return None
    parts = [
        items.where(F.expr(f"({condition or 'true'})")).select(
            "item_id", F.lit(condition).alias("shelf")
        )
        for condition in conditions
    ]
    return reduce(DataFrame.unionByName, parts)
