"""How far a log reaches and how often its targets happen: one look at all its events."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.cleaning.rows import REASON
from behavior_spark.cleaning.source_facts import fitting_as_of, last_arrival
from behavior_spark.config import Target


@dataclass(frozen=True)
class LogExtent:
    """What all events of a log tell of a night.

    Attributes:
        rows: Number of rows.
        refused: Of these, rows that would be refused.
        reason: A reason of some of them.
        first: Time of the first event, UTC; None without a usable one.
        last: When the last event was known.
        seen: Events that a night of the as_of sees.
        happened: Events that fulfil each target's condition, by target.
        doers: Users who did so within the horizon from a day on, by target and day.
        users: Users with an event of the population before a day, by day.
        members: Users of each target's population before a day, by target and day, of targets
            that are not about everybody.
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
    members: Mapping[str, Mapping[dt.date, int]] = field(default_factory=dict)

    @property
    def fitting(self) -> dt.date | None:
        """The as_of that sees the whole log."""
        return fitting_as_of(self.last) if self.last else None


@dataclass(frozen=True)
class ExtentQuestion:
    """What is asked of a log.

    Attributes:
        as_of: Day of the night.
        targets: Targets by name.
        days: Days from which each target's horizon is looked at.
        population: SQL condition on an event.
        types: Event types that the config names.
    """

    as_of: dt.date
    targets: Mapping[str, Target]
    days: Mapping[str, Sequence[dt.date]]
    population: str
    types: Sequence[str]


def extent_row(events: DataFrame, question: ExtentQuestion) -> DataFrame:
    """One row of figures; users are counted exactly, by way of a row for each.

    Args:
        events: Mapped events with ``_reason``; where targets have conditions on items, with the
            time since which the event's item fulfils each (``item_column``).
        question: What is asked.
    """
    flags, counts = _by_user(question), _by_row(question)
    by_user = events.groupBy("user_id").agg(
        *[metric.alias(name) for name, metric in {**flags, **counts}.items()]
    )
    somebody = F.col("user_id").isNotNull()
    sums = {name: F.sum(name) for name in counts if name not in ("first", "last", "reason")}
    return by_user.agg(
        F.min("first").alias("first"),
        F.max("last").alias("last"),
        F.max("reason").alias("reason"),
        *[total.alias(name) for name, total in sums.items()],
        *[F.count_if(somebody & F.col(name)).alias(name) for name in flags],
    )


def read_extent(figures: Mapping[str, Any], question: ExtentQuestion) -> LogExtent:
    """The extent, from the row of ``extent_row``."""

    def count(name: str) -> int:
        return int(figures.get(name) or 0)

    names = list(question.targets)
    return LogExtent(
        rows=count("rows"),
        refused=count("refused"),
        reason=figures.get("reason"),
        first=_moment(figures.get("first")),
        last=_moment(figures.get("last")),
        seen=count("seen"),
        happened={name: count(f"happened_{number}") for number, name in enumerate(names)},
        doers={
            name: {day: count(_named(f"doers_{number}", day)) for day in question.days[name]}
            for number, name in enumerate(names)
        },
        users={day: count(_named("users", day)) for day in _all_days(question)},
        types={kind: count(f"type_{number}") for number, kind in enumerate(question.types)},
        members={
            name: {day: count(_named(f"members_{number}", day)) for day in question.days[name]}
            for number, (name, target) in enumerate(question.targets.items())
            if not target.of_everybody
        },
    )


def _by_row(question: ExtentQuestion) -> dict[str, Column]:
    """What is counted of rows, and their ends."""
    ok = F.col(REASON).isNull()
    midnight = F.lit(question.as_of).cast("timestamp")
    metrics = {
        "rows": F.count(F.lit(1)),
        "refused": F.count_if(~ok),
        "reason": F.max(REASON),
        "first": F.min(F.when(ok, F.unix_micros("event_time"))),
        "last": last_arrival(),
        "seen": F.count_if(ok & (F.col("arrived_at") < midnight)),
    }
    for number, (name, target) in enumerate(question.targets.items()):
        metrics[f"happened_{number}"] = F.count_if(_hit(name, target))
    for number, kind in enumerate(question.types):
        metrics[f"type_{number}"] = F.count_if(F.col("event_type") == kind)
    return metrics


def _by_user(question: ExtentQuestion) -> dict[str, Column]:
    """Whether a user belonged to the population by a day, and did what a target asks after it."""
    time, flags = F.col("event_time"), {}
    member = _where_good(question.population)
    for day in _all_days(question):
        flags[_named("users", day)] = F.bool_or(member & (time < _start(day)))
    for number, (name, target) in enumerate(question.targets.items()):
        for day in question.days[name]:
            end = day + dt.timedelta(days=target.horizon_days)
            inside = (time >= _start(day)) & (time < _start(end))
            did = F.bool_or(_hit(name, target, known_by=min(end, question.as_of)) & inside)
            if not target.of_everybody:
                is_member = _is_member(name, target, member, day)
                flags[_named(f"members_{number}", day)] = is_member
                did = did & is_member
            flags[_named(f"doers_{number}", day)] = did
    return flags


def _is_member(name: str, target: Target, member: Column, day: dt.date) -> Column:
    """Whether a user is of a target's population at a day, as an aggregate over his events."""
    time = F.col("event_time")
    before = time < _start(day)
    since = day - dt.timedelta(days=target.seen_within_days or 0)
    seen = before & (time >= _start(since)) if target.seen_within_days else before
    conditions = [F.bool_or(member & before), F.bool_or(seen & F.col(REASON).isNull())]
    did_before = F.coalesce(F.bool_or(_hit(name, target, known_by=day) & before), F.lit(False))
    if target.who != "everybody":
        conditions.append(did_before if target.who == "before" else ~did_before)
    return reduce(lambda a, b: a & b, conditions)


def item_column(target: str) -> str:
    """Column of the time since which an event's item fulfils a target's condition on items."""
    return f"_item_{target}"


def _hit(name: str, target: Target, *, known_by: dt.date | None = None) -> Column:
    """Whether an event counts for a target, its item as it was known by a day."""
    hit = _where_good(target.event)
    if not target.item:
        return hit
    since = F.col(item_column(name))
    return hit & (
        since.isNotNull()
        if known_by is None
        else F.coalesce(since < _start(known_by), F.lit(False))
    )


def _where_good(condition: str) -> Column:
    """A condition is looked at where rows are good: others may hold what cannot be compared."""
    return F.when(F.col(REASON).isNull(), F.expr(f"({condition})"))


def _all_days(question: ExtentQuestion) -> list[dt.date]:
    return sorted({day for days in question.days.values() for day in days})


def _start(day: dt.date) -> Column:
    return F.lit(day).cast("timestamp")


def _named(what: str, day: dt.date) -> str:
    return f"{what}_{day:%Y%m%d}"


def _moment(micros: int | None) -> dt.datetime | None:
    if micros is None:
        return None
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=micros)
