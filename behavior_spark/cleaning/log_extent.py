"""How far a log reaches and how often its targets happen: aggregates for one look at its rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from behavior_spark.cleaning.rows import REASON
from behavior_spark.cleaning.source_facts import about_distinct, fitting_as_of
from behavior_spark.config import Target

_PREFIX = "extent"


@dataclass(frozen=True)
class LogExtent:
    """What all events of a log tell of a night.

    Attributes:
        rows: Number of rows.
        refused: Of these, rows that would be refused.
        reason: The most frequent reason.
        first: Time of the first event, UTC; None without a usable one.
        last: When the last event was known.
        seen: Events that a night of the as_of sees.
        happened: Events that fulfil each target's condition, by target.
        doers: About how many users did so within the horizon from a day on, by target and day.
        users: About how many users had an event of the population before a day, by day.
        types: Events of each type that the config names.
    """

    rows: int
    refused: int
    reason: str | None
    first: dt.datetime | None
    last: dt.datetime | None
    seen: int
    happened: Mapping[str, int]
    doers: Mapping[str, Mapping[dt.date, int]]
    users: Mapping[dt.date, int]
    types: Mapping[str, int]

    @property
    def fitting(self) -> dt.date | None:
        """The as_of that sees the whole log."""
        return fitting_as_of(self.last) if self.last else None


def extent_metrics(
    targets: Mapping[str, Target],
    days: Mapping[str, Sequence[dt.date]],
    *,
    types: Sequence[str],
    population: str,
    as_of: dt.date,
) -> dict[str, Column]:
    """Aggregates over mapped events with ``_reason``, by name, for one ``agg``.

    Args:
        targets: Targets by name; a condition on items is not looked at.
        days: Days from which each target's horizon is looked at.
        types: Event types that the config names.
        population: SQL condition on an event.
        as_of: Day of the night.
    """
    ok = F.col(REASON).isNull()
    midnight = F.lit(as_of).cast("timestamp")
    metrics = {
        "rows": F.count(F.lit(1)),
        "refused": F.count_if(~ok),
        "reason": F.mode(REASON),
        "first": F.min(F.when(ok, F.unix_micros("event_time"))),
        "last": F.max(F.when(ok, F.unix_micros("arrived_at"))),
        "seen": F.count_if(ok & (F.col("arrived_at") < midnight)),
    }
    # Conditions are looked at where rows are good: others may hold what cannot be compared.
    member = F.when(ok, F.expr(f"({population})"))
    for day in sorted({day for of_target in days.values() for day in of_target}):
        before = member & (F.col("event_time") < F.lit(day).cast("timestamp"))
        metrics[f"users {day}"] = _users(before)
    for number, (name, target) in enumerate(targets.items()):
        hit = F.when(ok, F.expr(f"({target.event})"))
        metrics[f"happened {number}"] = F.count_if(hit)
        for day in days[name]:
            end = day + dt.timedelta(days=target.horizon_days)
            inside = (F.col("event_time") >= F.lit(day).cast("timestamp")) & (
                F.col("event_time") < F.lit(end).cast("timestamp")
            )
            metrics[f"doers {number} {day}"] = _users(hit & inside)
    for number, kind in enumerate(types):
        metrics[f"type {number}"] = F.count_if(F.col("event_type") == kind)
    return {f"{_PREFIX} {name}": metric for name, metric in metrics.items()}


def read_extent(
    facts: Sequence[Mapping[str, Any]],
    targets: Mapping[str, Target],
    days: Mapping[str, Sequence[dt.date]],
    *,
    types: Sequence[str],
) -> LogExtent:
    """The extent of a log of one or several sources, from the values of ``extent_metrics``.

    Users of several sources are added up: they may be the same.
    """

    def total(name: str) -> int:
        return sum(int(values.get(f"{_PREFIX} {name}") or 0) for values in facts)

    def values_of(name: str) -> list[Any]:
        values = [each.get(f"{_PREFIX} {name}") for each in facts]
        return [value for value in values if value is not None]

    all_days = {day for of_target in days.values() for day in of_target}
    return LogExtent(
        rows=total("rows"),
        refused=total("refused"),
        reason=next(iter(values_of("reason")), None),
        first=_moment(min(values_of("first"), default=None)),
        last=_moment(max(values_of("last"), default=None)),
        seen=total("seen"),
        happened={name: total(f"happened {number}") for number, name in enumerate(targets)},
        doers={
            name: {day: total(f"doers {number} {day}") for day in days[name]}
            for number, name in enumerate(targets)
        },
        users={day: total(f"users {day}") for day in all_days},
        types={kind: total(f"type {number}") for number, kind in enumerate(types)},
    )


def _users(condition: Column) -> Column:
    return about_distinct(F.when(condition, F.col("user_id")))


def _moment(micros: int | None) -> dt.datetime | None:
    if micros is None:
        return None
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=micros)
