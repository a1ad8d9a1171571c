"""Point-in-time joins of slowly changing tables: the row of a key as known at an as_of.

A row has the time since which it is valid (``valid_from``) and the time since which it was known.
At as_of, of the rows valid and known before its 00:00 UTC, the one with the latest ``valid_from``
is used. A row that became known late does not change an earlier as_of.

First the range of as_of moments of each row is computed by one sort of the table, which is small
compared with the frame. The ranges of a key do not overlap. So the join has an equality and a
range condition, matches at most one row, and needs no aggregation of the frame.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.errors import ConfigError


def join_as_of(
    frame: DataFrame,
    table: DataFrame,
    *,
    on: Sequence[str],
    columns: Sequence[str],
    valid_from: str = "valid_from",
    known_at: str | None = None,
    as_of: str = "as_of",
) -> DataFrame:
    """Add columns of a table to each row of a frame, as known at its as_of.

    Args:
        frame: Rows with the columns ``on`` and ``as_of`` (date or timestamp).
        table: Any number of versions per key. A null key, or a null time, matches no row.
        on: Key columns that both have.
        columns: Columns of the table to add, of types that can be ordered (no map).
        valid_from: Column of the table (timestamp or date): since when a row is valid.
        known_at: Column of the table: since when it was known; None if that is ``valid_from``.
        as_of: Column of the frame; only rows valid and known before its 00:00 UTC are used.

    Returns:
        The frame, with the same rows, and ``columns``; null if nothing was known. Of versions
        with the same times one is chosen by its content.

    Raises:
        ConfigError: A column is missing, or is in the frame already.
    """
    times = [valid_from] if known_at is None else [valid_from, known_at]
    _check(frame, table, on=[*on], columns=[*columns], times=times, as_of=as_of)
    stretches = _stretches(table, on=on, columns=columns, times=times)
    renamed = {name: f"_key_{name}" for name in on}
    right = stretches.withColumnsRenamed(renamed).hint("shuffle_hash")
    moment = F.col(as_of).cast("timestamp")
    match = (F.col("_since") < moment) & (F.col("_until").isNull() | (F.col("_until") >= moment))
    for name, key in renamed.items():
        match = match & (F.col(name) == F.col(key))
    return frame.join(right, match, "left").drop("_since", "_until", *renamed.values())


def _stretches(
    table: DataFrame, *, on: Sequence[str], columns: Sequence[str], times: Sequence[str]
) -> DataFrame:
    """The rows that are ever used, with their range ``(_since, _until]`` of as_of moments.

    At the moment at which a row becomes visible, the row with the largest times and content of
    all visible rows of the key is used from then on.
    """
    moments = [F.col(name).cast("timestamp") for name in times]
    complete = table.where(" AND ".join(f"`{name}` IS NOT NULL" for name in [*on, *times]))
    payload = F.struct(*columns)
    rank = F.struct(*moments, F.xxhash64(*columns).alias("_hash"), payload.alias("_payload"))
    order = Window.partitionBy(*on).orderBy("_since", "_rank")
    ranked = complete.select(
        *on,
        (F.greatest(*moments) if len(moments) > 1 else moments[0]).alias("_since"),
        rank.alias("_rank"),
    )
    best = F.max("_rank").over(order.rowsBetween(Window.unboundedPreceding, Window.currentRow))
    next_since = F.lead("_since").over(order)
    return (
        ranked.withColumns({"_best": best, "_until": next_since})
        # Of rows that become visible at the same moment, the last has the largest of all.
        .where(F.col("_until").isNull() | (F.col("_until") > F.col("_since")))
        .select(*on, "_since", "_until", "_best._payload.*")
    )


def _check(
    frame: DataFrame,
    table: DataFrame,
    *,
    on: list[str],
    columns: list[str],
    times: list[str],
    as_of: str,
) -> None:
    for name, table_or_frame, required in (
        ("frame", frame, [*on, as_of]),
        ("table", table, on + columns + times),
    ):
        missing = [column for column in required if column not in table_or_frame.columns]
        if missing:
            raise ConfigError(
                f"join_as_of: the {name} has no column {missing[0]}",
                found=", ".join(table_or_frame.columns[:20]),
            )
    duplicate = [column for column in columns if column in frame.columns]
    if duplicate:
        raise ConfigError(
            f"join_as_of: the frame has a column {duplicate[0]} already",
            fix="rename it in one of the two",
        )
