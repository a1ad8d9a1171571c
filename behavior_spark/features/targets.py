"""Targets over events: which event counts for which target, since when, and what that makes."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from typing import Protocol, cast

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.config import Target
from behavior_spark.extensions import TARGET_OUTCOMES

ALWAYS = "1970-01-01 00:00:00"


class TargetOutcome(Protocol):
    """The half of a kind of target that makes labels of events.

    A module of ``target_outcomes`` holds it as ``OUTCOME``. The other half, which learns the
    labels, is ``behavior_spark.model.propensity.target_kind.TargetKind``.
    """

    @property
    def otherwise(self) -> int | float:
        """Label of a user without any event within the horizon."""

    @property
    def happens(self) -> bool:
        """Whether a high label is events that happen, not events that do not.

        If so, past ones are features under the target's name, and it can be a user's next action.
        """

    @property
    def past(self) -> str:
        """What of past events is most like the label: their ``count`` or their ``value``."""

    def label(self, hit: Column) -> Column:
        """An aggregate over a user's events from as_of on, never null.

        Args:
            hit: Condition, never null: the event counts for the target and lies within its
                horizon. Columns of ``events`` may be read beside it.
        """


def outcome_of(target: Target) -> TargetOutcome:
    """What makes the labels of a target.

    Raises:
        ConfigError: There is nothing for its kind.
    """
    return cast(TargetOutcome, TARGET_OUTCOMES.load(target.kind))


def label_column(target: str) -> str:
    """Column of a target's labels."""
    return f"label_{target}"


def labels_otherwise(targets: Mapping[str, Target]) -> dict[str, bool | float | int | str]:
    """By label column, the label of a user whom ``labels`` gives no row."""
    return {label_column(name): outcome_of(t).otherwise for name, t in targets.items()}


def match_column(target: str) -> str:
    """Column that holds since when an event counts for a target; null when it does not."""
    return f"match_{target}"


def with_own_history(targets: Mapping[str, Target], event_types: Sequence[str]) -> list[str]:
    """Targets whose past is a feature of its own: not those that are one event type, bare.

    ``event_type = 'purchase'`` is told by the purchase features already; the same number under
    two names would fill a prediction's reasons twice. Nor those that foretell what does not happen.
    """
    bare = {f"event_type = '{kind}'" for kind in event_types}
    return [
        name
        for name, target in targets.items()
        if (target.item or " ".join(target.event.split()) not in bare)
        and outcome_of(target).happens
    ]


def past_column(name: str, target: Target, features: Sequence[str]) -> str | None:
    """The feature that says most plainly what a target's label was in the past; the longest window.

    Args:
        name: The target's.
        target: The target.
        features: Names of the features that there are.
    """
    bare = re.fullmatch(r"event_type = '(\w+)'", " ".join(target.event.split()))
    owners = [name] if target.item or not bare else [name, bare[1]]
    for what in dict.fromkeys((outcome_of(target).past, "count")):
        for owner in owners:
            windows = [
                int(found[1])
                for feature in features
                if (found := re.fullmatch(rf"{owner}_{what}_(\d+)d", feature))
            ]
            if windows:
                return f"{owner}_{what}_{max(windows)}d"
    return None


def item_matches(items: DataFrame, targets: Mapping[str, Target]) -> DataFrame:
    """One row per item: since when it satisfies each target's item condition.

    An item counts from the first version that satisfies the condition, so that a later
    title cannot change what an earlier day saw.
    """
    filtered = {name: t.item for name, t in targets.items() if t.item}
    firsts = [
        F.min(F.when(F.expr(f"({condition})"), F.col("valid_from"))).alias(match_column(name))
        for name, condition in filtered.items()
    ]
    return items.groupBy("item_id").agg(*firsts)


def mark_targets(
    events: DataFrame, items: DataFrame | None, targets: Mapping[str, Target]
) -> DataFrame:
    """Add ``match_<target>`` (timestamp) to events: since when the event counts for it."""
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
    return events.withColumns(marked).drop(*[f"_item_{name}" for name in filtered])


def labels(
    marked: DataFrame,
    as_of_days: Sequence[dt.date],
    targets: Mapping[str, Target],
    *,
    known_before: dt.date,
) -> DataFrame:
    """What happened within each target's horizon, as its kind counts it.

    Args:
        marked: Events with ``superseded_at`` and ``match_*`` columns.
        as_of_days: Days whose horizons have passed by ``known_before``.
        targets: By name.
        known_before: Only what had arrived before this day is counted.

    Returns:
        One row per (as_of, user_id) with an event within the longest horizon:
        ``label_<target>`` (int 0 or 1 where the answer is yes or no). Users without a row have
        the labels of ``labels_otherwise``.
    """
    end = F.lit(known_before).cast("timestamp")
    known = marked.where(
        F.col("user_id").isNotNull()
        & (F.col("arrived_at") < end)
        & (F.col("superseded_at").isNull() | (F.col("superseded_at") >= end))
    )
    days = F.explode(F.array(*[F.lit(day) for day in sorted(as_of_days)]))
    longest = max(target.horizon_days for target in targets.values())
    candidates = known.withColumn("as_of", days).where(
        (F.col("event_time") >= F.col("as_of").cast("timestamp"))
        & (F.col("event_time") < F.date_add("as_of", longest).cast("timestamp"))
    )
    made = []
    for name, target in targets.items():
        stop = F.date_add("as_of", target.horizon_days).cast("timestamp")
        hit = (F.col("event_time") < stop) & (F.col(match_column(name)) < F.least(stop, end))
        label = outcome_of(target).label(F.coalesce(hit, F.lit(False)))
        made.append(label.alias(label_column(name)))
    return candidates.groupBy("as_of", "user_id").agg(*made)
