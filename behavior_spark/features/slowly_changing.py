"""Point-in-time joins of outside tables: what a row said, as it was known at an as_of.

Two clocks: since when a row is true (``valid_from``) and since when it was known. At as_of the
row with the latest ``valid_from`` of those true and known before its 00:00 UTC counts. A row
that became known late changes no earlier as_of.

Each row of the table first gets the stretch of as_of days at which it is the one that counts: one
sort of the table, which is small beside the frame. Stretches of a key do not overlap, so the join
is an equality and a comparison, finds one row at most, and needs no aggregation of the frame.
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
    """Add to each row of a frame what the table said of its key, as known at its as_of.

    Args:
        frame: Rows with the columns ``on`` and ``as_of`` (date or timestamp).
        table: Versions: any number a key. A null key, or a null time, matches nothing.
        on: Columns that both have.
        columns: Columns of the table to add, of a type that can be ordered (no map).
        valid_from: Column of the table (timestamp or date): since when the row is true.
        known_at: Likewise: since when it was known; None where that is the same.
        as_of: Column of the frame whose 00:00 UTC bounds what is seen.

    Returns:
        The frame, as many rows as before, with ``columns``; null where nothing was known. Of
        versions with the same times one is taken, by its content.

    Raises:
        ConfigError: A column is not there, or stands in the frame already.
    """
    times = [valid_from] if known_at is None else [valid_from, known_at]
    _check(frame, table, on=[*on], columns=[*columns], times=times, as_of=as_of)
    stretches = _stretches(table, on=on, columns=columns, times=times)
    named = {name: f"_key_{name}" for name in on}
    right = stretches.withColumnsRenamed(named).hint("shuffle_hash")
    moment = F.col(as_of).cast("timestamp")
    match = (F.col("_since") < moment) & (F.col("_until").isNull() | (F.col("_until") >= moment))
    for name, key in named.items():
        match = match & (F.col(name) == F.col(key))
    return frame.join(right, match, "left").drop("_since", "_until", *named.values())


def _stretches(
    table: DataFrame, *, on: Sequence[str], columns: Sequence[str], times: Sequence[str]
) -> DataFrame:
    """Of each key the rows that ever count, with ``(_since, _until]`` of the as_of moments.

    In order of when a row could first be seen, the largest by its times and content so far counts.
    """
    moments = [F.col(name).cast("timestamp") for name in times]
    known = table.where(" AND ".join(f"`{name}` IS NOT NULL" for name in [*on, *times]))
    payload = F.struct(*columns)
    rank = F.struct(*moments, F.xxhash64(*columns).alias("_hash"), payload.alias("_payload"))
    order = Window.partitionBy(*on).orderBy("_since", "_rank")
    seen = known.select(
        *on,
        (F.greatest(*moments) if len(moments) > 1 else moments[0]).alias("_since"),
        rank.alias("_rank"),
    )
    best = F.max("_rank").over(order.rowsBetween(Window.unboundedPreceding, Window.currentRow))
    following = F.lead("_since").over(order)
    return (
        seen.withColumns({"_best": best, "_until": following})
        # Of rows seen from one moment on, the last holds the largest of all.
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
    for name, place, wanted in (
        ("frame", frame, [*on, as_of]),
        ("table", table, on + columns + times),
    ):
        missing = [column for column in wanted if column not in place.columns]
        if missing:
            raise ConfigError(
                f"join_as_of: the {name} has no column {missing[0]}",
                found=", ".join(place.columns[:20]),
            )
    twice = [column for column in columns if column in frame.columns]
    if twice:
        raise ConfigError(
            f"join_as_of: the frame has a column {twice[0]} already",
            fix="rename it in one of the two",
        )
