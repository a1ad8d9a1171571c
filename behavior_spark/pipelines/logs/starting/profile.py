"""What a log holds: one aggregation by kind of event, one over all its rows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, MapType, StructType

from behavior_spark.cleaning import rows
from behavior_spark.cleaning.kinds_without import has
from behavior_spark.cleaning.readings import read_rows
from behavior_spark.cleaning.source_facts import last_arrival
from behavior_spark.config import Source
from behavior_spark.config.intake import Intake
from behavior_spark.io.counting import aggregated
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.sources import map_source
from behavior_spark.pipelines.logs.starting.kinds import SeenKind
from behavior_spark.schemas import EVENTS

SAMPLE_ROWS = 500
MOST_KINDS_READ = 300
_PARTS = ("value", "item_id")
BULK_SHARE = 0.1  # of the days: rows that arrived on fewer days were loaded at once


@dataclass(frozen=True)
class KindsSeen:
    """Kinds of events, and rows of each.

    Attributes:
        kinds: Those of most events first.
        more: Number of kinds beyond those that were read.
        without_user: Share of rows without a user.
        rows: Sample: some rows of each kind.
    """

    kinds: list[SeenKind]
    more: int
    without_user: float
    rows: list[dict[str, Any]]


@dataclass(frozen=True)
class Profile:
    """What all rows of a log tell, mapped to the contract.

    Attributes:
        rows: Number of rows.
        refused: Of these, rows that would be refused.
        reason: The most frequent reason; None if none is refused.
        first: Time of the first event, UTC; None without a usable one.
        last: Time of the last event.
        arrived: When the last row was known.
        users: About how many.
        nulls: Rows without a value, by mapped column.
        shared_ids: Ids of several rows that differ.
        event_days: Days with events.
        arrived_days: Days with arrivals.
        early: Rows that arrived before they happened.
        having: Kinds of which some event has a value other than 0, or an item, by the column.
    """

    rows: int
    refused: int
    reason: str | None
    first: dt.datetime | None
    last: dt.datetime | None
    arrived: dt.datetime | None
    users: int
    nulls: dict[str, int]
    shared_ids: int
    event_days: int
    arrived_days: int
    early: int
    having: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def days(self) -> int:
        """Days from the first event to the last."""
        return 0 if not self.first or not self.last else (self.last - self.first).days + 1

    @property
    def loaded_at_once(self) -> bool:
        """Whether arrivals tell when a table was filled, and not when events were known."""
        return self.event_days > 14 and self.arrived_days < BULK_SHARE * self.event_days


def sample_of(frame: DataFrame, *, label: str) -> list[dict[str, Any]]:
    """The first rows, nested ones as dictionaries."""
    with spark_errors(label):
        return [row.asDict(recursive=True) for row in frame.limit(SAMPLE_ROWS).collect()]


def look_at_kinds(
    frame: DataFrame, named: str, user: str, visitor: str, *, label: str
) -> KindsSeen:
    """Count events by kind, and take up to four rows of each.

    Args:
        frame: The log as it is.
        named: Expression of the kind.
        user: Expression of the user, or ``null``.
        visitor: Expression of the visitor, or ``null``.
        label: For messages.
    """
    flat = [
        F.col(f"`{field.name.replace('`', '``')}`")
        for field in frame.schema.fields
        if not isinstance(field.dataType, StructType | ArrayType | MapType)
    ]
    row, order = F.struct("*"), F.xxhash64(F.lit(0), *flat)
    who = F.expr(f"coalesce(cast({user} AS string), cast({visitor} AS string))")
    by_kind = (
        frame.select(
            F.expr(f"trim(cast({named} AS string))").alias("kind"), who.alias("who"),
            F.expr(f"cast({user} AS string)").alias("user"), row.alias("row"), order.alias("order"),
        )
        .groupBy("kind")
        .agg(
            F.count(F.lit(1)).alias("events"),
            F.approx_count_distinct("who").alias("users"),
            F.count_if(F.coalesce(F.trim("user"), F.lit("")) == "").alias("nobody"),
            F.first("row").alias("a"), F.last("row").alias("b"),
            F.max_by("row", "order").alias("c"), F.min_by("row", "order").alias("d"),
        )
        .orderBy(F.desc("events"), "kind")
    )  # fmt: skip
    with spark_errors(label):
        read = by_kind.limit(MOST_KINDS_READ + 1).collect()
    total = sum(sampled["events"] for sampled in read)
    nobody = sum(sampled["nobody"] for sampled in read)
    kinds = [SeenKind.of(r["kind"], r["events"], r["users"]) for r in read if r["kind"]]
    sample = [sampled[n].asDict(recursive=True) for sampled in read for n in "abcd"]
    return KindsSeen(
        kinds[:MOST_KINDS_READ], max(0, len(read) - MOST_KINDS_READ), nobody / max(1, total), sample
    )


def profile_log(frame: DataFrame, source: Source, kinds: Sequence[str], *, label: str) -> Profile:
    """Map all rows and aggregate them once.

    Args:
        frame: The log as it is.
        source: Its mapping.
        kinds: Kinds of events, by the name that the mapping gives them, asked for a value and item.
        label: For messages.
    """
    mapped = read_rows(map_source(frame, source, EVENTS, label=label), EVENTS)
    skew = Intake().clock_skew_seconds
    ready = rows.with_reason(rows.prepare(mapped, EVENTS, skew_seconds=skew), EVENTS)
    names = [name for name in source.columns if name != "event_id"]
    with spark_errors(label):
        facts = aggregated(ready, _metrics(names, kinds))
        shared = _shared_ids(ready, names).count()
    return Profile(
        rows=facts["rows"], refused=facts["refused"], reason=facts["reason"],
        first=_moment(facts["first"]), last=_moment(facts["last"]),
        arrived=_moment(facts["arrived"]), users=facts["users"],
        nulls={name: facts[f"null {name}"] for name in names},
        shared_ids=shared, event_days=facts["event_days"],
        arrived_days=facts["arrived_days"], early=facts["early"],
        having={name: frozenset(facts[f"having {name}"]) for name in _PARTS},
    )  # fmt: skip


def _shared_ids(ready: DataFrame, names: Sequence[str]) -> DataFrame:
    """Ids of good rows that are neither copies of one another nor, by their arrival, versions."""
    content = F.xxhash64(*[F.col(name) for name in names if name != "arrived_at"])
    key = ["event_id", *(name for name in names if name == "arrived_at")]
    good = ready.where(F.col(rows.REASON).isNull()).select(*key, content.alias("content"))
    by_id = good.groupBy(*key).agg(F.min("content").alias("a"), F.max("content").alias("b"))
    return by_id.where(F.col("a") != F.col("b"))


def _metrics(names: Sequence[str], kinds: Sequence[str]) -> dict[str, Column]:
    ok = F.col(rows.REASON).isNull()
    asked = ok & F.col("event_type").isin(*kinds)
    happened = F.when(ok, F.unix_micros("event_time"))
    return {
        "rows": F.count(F.lit(1)),
        "refused": F.count_if(~ok),
        "reason": F.mode(rows.REASON),
        "first": F.min(happened),
        "last": F.max(happened),
        "arrived": last_arrival(),
        "users": F.approx_count_distinct(F.when(ok, F.col("user_id")), 0.02),
        "event_days": _days(F.when(ok, F.to_date("event_time"))),
        "arrived_days": _days(F.when(ok, F.to_date("arrived_at"))),
        "early": F.count_if(F.col("arrived_at") < F.col("event_time")),
        **{f"null {name}": F.count_if(F.col(name).isNull()) for name in names},
        **{
            f"having {name}": F.collect_set(F.when(asked & has(name), F.col("event_type")))
            for name in _PARTS
        },
    }


def _days(day: Column) -> Column:
    """Number of distinct days: few enough to be kept as a set."""
    return F.size(F.collect_set(day))


def _moment(micros: int | None) -> dt.datetime | None:
    if micros is None:
        return None
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=micros)
