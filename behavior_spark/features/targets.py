"""Mark the events that count for targets, and compute outcomes from them."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Protocol, cast

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.config import Target
from behavior_spark.extensions import TARGET_OUTCOMES
from behavior_spark.model.propensity.population import TargetPopulation

ALWAYS = "1970-01-01 00:00:00"


class TargetOutcome(Protocol):
    """The part of a kind of target that computes outcomes from events.

    A module of ``target_outcomes`` defines one as ``OUTCOME``. The other part, for training, is
    ``behavior_spark.model.propensity.target_kind.TargetKind``.
    """

    @property
    def otherwise(self) -> int | float:
        """Outcome of a user without any event within the horizon."""

    @property
    def happens(self) -> bool:
        """Whether a high outcome means that events happen; False if it means that none do.

        If True, past events are features with the target's name, and the target can be a user's
        next action.
        """

    @property
    def past(self) -> str:
        """Statistic of past events that is most similar to the outcome: ``count`` or ``value``."""

    def label(self, hit: Column) -> Column:
        """The outcome, as an aggregate over a user's events from as_of on; never null.

        Args:
            hit: Boolean column, never null: the event counts for the target and is within its
                horizon. The aggregate may use columns of ``events`` too.
        """


def outcome_of(target: Target) -> TargetOutcome:
    """The ``TargetOutcome`` of a target's kind.

    Raises:
        ConfigError: There is none for its kind.
    """
    return cast(TargetOutcome, TARGET_OUTCOMES.load(target.kind))


def label_column(target: str) -> str:
    """Column of a target's outcomes."""
    return f"label_{target}"


def labels_otherwise(targets: Mapping[str, Target]) -> dict[str, bool | float | int | str]:
    """Outcome of a user without a row in ``labels``, by column."""
    return {label_column(name): outcome_of(t).otherwise for name, t in targets.items()}


def match_column(target: str) -> str:
    """Column of the time since which an event counts for a target; null if it does not."""
    return f"match_{target}"


def with_own_history(targets: Mapping[str, Target], event_types: Sequence[str]) -> list[str]:
    """Targets whose past events get their own features.

    A target that is just one event type, such as ``event_type = 'purchase'``, gets none: the
    features of that type are the same, and equal features would appear twice in reasons. Targets
    that predict that nothing happens get none either, unless their past says who is predicted.
    """
    return [
        name
        for name, target in targets.items()
        if target.is_event_type(event_types) is None
        and (outcome_of(target).happens or target.who != "everybody")
    ]


def population_of(name: str, target: Target, event_types: Sequence[str]) -> TargetPopulation:
    """The users that a target is about, by the feature that tells its past.

    Args:
        name: Name of the target.
        target: The target.
        event_types: Event types that have features of their own.
    """
    events = target.is_event_type(event_types) or name
    return TargetPopulation(target.who, target.seen_within_days, f"{events}_recency_days")


def past_column(name: str, target: Target, features: Sequence[str]) -> str | None:
    """The feature that is most similar to a target's past outcomes; of several the longest window.

    Args:
        name: Name of the target.
        target: The target.
        features: Names of the available features.

    Returns:
        Name of the feature; None if there is none.
    """
    single_type = re.fullmatch(r"event_type = '(\w+)'", " ".join(target.event.split()))
    prefixes = [name] if target.item or not single_type else [name, single_type[1]]
    for statistic in dict.fromkeys((outcome_of(target).past, "count")):
        for prefix in prefixes:
            windows = [
                int(match[1])
                for feature in features
                if (match := re.fullmatch(rf"{prefix}_{statistic}_(\d+)d", feature))
            ]
            if windows:
                return f"{prefix}_{statistic}_{max(windows)}d"
    return None


def item_matches(items: DataFrame, targets: Mapping[str, Target]) -> DataFrame:
    """One row per item: the time since which it satisfies the item condition of each target.

    An item counts from its first version that satisfies the condition, so that a later title
    does not change an earlier day.
    """
    filtered = {name: t.item for name, t in targets.items() if t.item}
    columns = [
        F.min(F.when(F.expr(f"({condition})"), F.col("valid_from"))).alias(match_column(name))
        for name, condition in filtered.items()
    ]
    return items.groupBy("item_id").agg(*columns)


def mark_targets(
    events: DataFrame, items: DataFrame | None, targets: Mapping[str, Target]
) -> DataFrame:
    """Add ``match_<target>`` (timestamp) to events: since when an event counts for the target.

    Args:
        events: Versions of events.
        items: Contract ``items``; None without items.
        targets: Targets by name.
    """
    filtered = [name for name, target in targets.items() if target.item]
    if filtered and items is not None:
        matches = item_matches(items, targets).withColumnsRenamed(
            {match_column(name): f"_item_{name}" for name in filtered}
        )
        events = events.join(matches, "item_id", "left")
    marked: dict[str, Column] = {}
    for name, target in targets.items():
        since = F.col(f"_item_{name}") if target.item else F.lit(ALWAYS).cast("timestamp")
        marked[match_column(name)] = F.when(F.expr(f"({target.event})"), since)
    marked_events = events.withColumns(marked) if marked else events
    return marked_events.drop(*[f"_item_{name}" for name in filtered])


def labels(
    marked: DataFrame,
    as_of_days: Sequence[dt.date],
    targets: Mapping[str, Target],
    *,
    known_before: dt.date,
) -> DataFrame:
    """Outcomes of each target within its horizon.

    Args:
        marked: Events with ``superseded_at`` and ``match_*`` columns.
        as_of_days: Days whose horizons have passed by ``known_before``.
        targets: Targets by name.
        known_before: Only events that arrived before this day count.

    Returns:
        One row per (as_of, user_id) with an event within the longest horizon:
        ``label_<target>`` (int 0 or 1 if the outcome is yes or no). Users without a row have the
        outcomes of ``labels_otherwise``.
    """
    end = F.lit(known_before).cast("timestamp")
    valid_events = marked.where(
        F.col("user_id").isNotNull()
        & (F.col("arrived_at") < end)
        & (F.col("superseded_at").isNull() | (F.col("superseded_at") >= end))
    )
    days = F.explode(F.array(*[F.lit(day) for day in sorted(as_of_days)]))
    longest = max(target.horizon_days for target in targets.values())
    candidates = valid_events.withColumn("as_of", days).where(
        (F.col("event_time") >= F.col("as_of").cast("timestamp"))
        & (F.col("event_time") < F.date_add("as_of", longest).cast("timestamp"))
    )
    label_columns = []
    for name, target in targets.items():
        stop = F.date_add("as_of", target.horizon_days).cast("timestamp")
        hit = (F.col("event_time") < stop) & (F.col(match_column(name)) < F.least(stop, end))
        label = outcome_of(target).label(F.coalesce(hit, F.lit(False)))
        label_columns.append(label.alias(label_column(name)))
    return candidates.groupBy("as_of", "user_id").agg(*label_columns)
