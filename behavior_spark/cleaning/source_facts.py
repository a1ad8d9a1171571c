"""Facts about a source from one pass over it, for ``check``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType

from behavior_spark.cleaning.kinds_without import (
    counts_against,
    describe_against,
    kinds_against,
)
from behavior_spark.cleaning.readings import change_counts, describe_changes
from behavior_spark.cleaning.rows import ALWAYS, BAD_TIMES, REASON, describe_bad_times, time_counts
from behavior_spark.schemas import ITEMS, Contract

# Values that tables use for a missing id.
SENTINELS = (
    "null", "none", "nil", "nan", "na", "n/a", "undefined", "unknown", "anonymous", "guest",
    "(not set)", "0", "-1", "-", "?",
)  # fmt: skip
IDS = ("user_id", "anonymous_id", "item_id", "session_id")
FREQUENT = 0.01  # share of rows
_NO_ID, _POINT_ZERO, _REPLACED, _TYPE = "no_id", "point_zero", "replaced", "type"
LAST = "last_arrival"  # of a good event, in microseconds since 1970
_ITEMS, _DATED = "items", "dated"


def last_arrival() -> Column:
    """Aggregate: when the last good event was known, in microseconds since 1970.

    What lies in the future, by a clock that is wrong, is no end of a log.
    """
    real = F.col(REASON).isNull() & (F.col("arrived_at") < F.date_add(F.current_date(), 2))
    return F.max(F.when(real, F.unix_micros("arrived_at")))


def fitting_as_of(last: dt.datetime) -> dt.date:
    """The as_of whose night sees a whole log: the day after its last one.

    A log that stops before noon is taken as cut off during that day, which then is not seen; times
    of 0:00 are days without a time.

    >>> fitting_as_of(dt.datetime(2024, 6, 29, 22, 10)), fitting_as_of(dt.datetime(2024, 6, 29))
    (datetime.date(2024, 6, 30), datetime.date(2024, 6, 30))
    >>> fitting_as_of(dt.datetime(2024, 6, 29, 9, 30))
    datetime.date(2024, 6, 29)
    """
    day = last.date()
    cut_off = last.hour < 12 and last.time() != dt.time()
    return day if cut_off else day + dt.timedelta(days=1)


def source_metrics(
    frame: DataFrame,
    contract: Contract,
    types: Sequence[str],
    *,
    mapped: Collection[str],
    without: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, Column]:
    """Aggregates over a source's rows, by name, for one ``agg``.

    Args:
        frame: Rows with ``_reason`` (from ``rows.with_reason``).
        contract: Contract to which they are mapped.
        types: Event types that the config names; counted if there is a column ``event_type``.
        mapped: Columns that the source has.
        without: Event types by the column that they never have, by the config.
    """
    all_rows = F.lit(True)
    metrics = {
        "rows": F.count(F.lit(1)),
        "refused": F.count_if(F.col(REASON).isNotNull()),
        "most_frequent_reason": F.mode(REASON),
        **change_counts(frame, contract, among=all_rows, mapped=mapped),
        **time_counts(contract, among=all_rows),
    }
    for name in contract.names:
        if name not in mapped or not isinstance(frame.schema[name].dataType, StringType):
            continue
        if name in IDS:
            metrics[f"{_NO_ID}:{name}"] = F.count_if(F.lower(name).isin(*SENTINELS))
            metrics[f"{_POINT_ZERO}:{name}"] = F.count_if(F.col(name).rlike(r"\A-?\d+\.0+\z"))
        metrics[f"{_REPLACED}:{name}"] = F.count_if(F.col(name).contains("\ufffd"))
    if contract is ITEMS:
        dated = F.col("valid_from") > F.lit(ALWAYS).cast("timestamp")
        metrics[_ITEMS] = F.count_distinct("item_id")
        metrics[_DATED] = F.count_if(dated)
    if "event_type" in frame.columns:
        metrics[LAST] = last_arrival()
        good = F.col(REASON).isNull()
        metrics |= counts_against(without or {}, among=good) | kinds_against(without or {})
        for index, event_type in enumerate(types):
            metrics[f"{_TYPE}:{index}"] = F.count_if(F.col("event_type") == event_type)
    return metrics


def type_counts(facts: Mapping[str, Any], types: Sequence[str]) -> dict[str, int]:
    """Number of events of each type that the config names, from a source's facts."""
    return {kind: int(facts.get(f"{_TYPE}:{n}") or 0) for n, kind in enumerate(types)}


def describe_facts(facts: Mapping[str, Any], contract: Contract, *, label: str) -> list[str]:
    """Remarks and questions about a source, one a line; empty for a clean source.

    Args:
        facts: Values of the aggregates of ``source_metrics``.
        contract: Contract to which the source is mapped.
        label: Key of the source in the config.
    """
    rows = facts["rows"] or 0
    if not rows:
        return [f"{label}: no row"]
    counts = {n: value for n, value in facts.items() if isinstance(value, int) and n != LAST}
    lines = [line.replace(contract.name, label, 1) for line in describe_changes(contract, counts)]
    if counts.get(BAD_TIMES):
        lines.append(f"{label}: of {rows:,} rows {describe_bad_times(counts)}")
    if counts.get("refused"):
        lines.append(
            f"{label}: {counts['refused']:,} of {rows:,} rows would be refused; mostly: "
            f"{facts['most_frequent_reason']}"
        )
    if counts.get(_DATED) and counts[_ITEMS] == rows:
        lines.append(
            f"{label}: each item has one version; if valid_from is its last edit, what it was "
            "before is not there, and its history begins on the first night"
        )
    lines += describe_against(facts)
    for key, count in counts.items():
        question, _, name = key.partition(":")
        if not name or not count:
            continue
        if question == _NO_ID and count >= FREQUENT * rows:
            lines.append(
                f"{label}.{name}: {count:,} of {rows:,} read null, none, 0, anonymous or the like: "
                f"no user? then map CASE WHEN ... THEN NULL"
            )
        elif question == _POINT_ZERO and count >= FREQUENT * rows:
            lines.append(
                f"{label}.{name}: {count:,} look like 123.0: whole numbers? then map "
                "cast(try_cast(... AS decimal(38,0)) AS string)"
            )
        elif question == _REPLACED:
            lines.append(
                f"{label}.{name}: {count:,} have characters that are not UTF-8: another encoding? "
                "then options: {encoding: ISO-8859-1}"
            )
    return lines
