"""Change the future of the input tables, to test that features do not depend on it.

Rows known before a day stay the same; later rows are deleted, changed and added. Features without
leakage are equal on both. Stored tables are not changed.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType

from behavior_spark.features.inputs import Inputs
from behavior_spark.features.point_in_time import of_users
from behavior_spark.features.sessions.versions import session_versions


def alter_future(inputs: Inputs, as_of: dt.date, *, gap_minutes: int) -> Inputs:
    """The inputs with a changed future from as_of on.

    Args:
        inputs: Tables, with or without rows known after as_of.
        as_of: The day; rows known before its 00:00 UTC stay the same.
        gap_minutes: Minutes without an event that end a session; sessions are computed again.
    """
    changed = replace(
        inputs,
        activity=None,
        events=alter_rows(inputs.events, as_of, key="event_id", time="event_time"),
        attributes={
            name: alter_rows(table, as_of, key="user_id", time="valid_from", known="known_at")
            for name, table in inputs.attributes.items()
        },
    )
    if inputs.texts is not None:
        texts = alter_rows(inputs.texts, as_of, key="text_id", time="text_time")
        changed = replace(changed, texts=texts)
    if inputs.items is not None:
        items = alter_rows(
            inputs.items, as_of, key="item_id", time="valid_from", known="valid_from"
        )
        changed = replace(changed, items=items)
    if inputs.sessions is not None:
        versions = of_users(changed.events, key="event_id")
        changed = replace(changed, sessions=session_versions(versions, gap_minutes=gap_minutes))
    return changed


def alter_rows(
    frame: DataFrame, as_of: dt.date, *, key: str, time: str, known: str = "arrived_at"
) -> DataFrame:
    """A table with the same past and a changed future.

    Of the rows known from as_of on, a third is deleted and a third is changed. The following are
    added, known at as_of or a microsecond later: new rows with that time; late rows with an
    earlier time; corrections and retractions of earlier rows.

    Args:
        frame: Versions of rows.
        as_of: The day whose 00:00 UTC separates past and future.
        key: Column that versions share.
        time: Column of the time at which a row happened or became valid.
        known: Column of the time at which a row was known.
    """
    midnight = F.lit(as_of).cast("timestamp")
    late = midnight + F.expr("INTERVAL 1 MICROSECOND")
    is_past = F.coalesce(F.col(known) < midnight, F.lit(True))
    past, future = frame.where(is_past), frame.where(~is_past)
    share = F.pmod(F.xxhash64(key, known), F.lit(3))
    changed_content = _other_content(frame)
    arrival = {known: late}
    if "arrived_day" in frame.columns:
        arrival["arrived_day"] = F.to_date(late)
    # Users and items keep their key, because other tables refer to it: a new version is added.
    new_row = (
        changed_content if key in ("user_id", "item_id") else {key: F.concat(F.lit("added-"), key)}
    )
    parts = [
        past,
        future.where(share == 1),
        future.where(share == 2).withColumns({**changed_content, **_other_user(frame, key)}),
        past.where(share == 0).withColumns({**new_row, **arrival, time: midnight, known: midnight}),
        past.where(share == 1).withColumns({**new_row, **arrival}),
        past.where(share == 2).withColumns(
            {**changed_content, **_other_user(frame, key), **arrival}
        ),
    ]
    if _other_user(frame, key):
        no_user = F.lit(None).cast("string")
        parts.append(past.where(share == 0).withColumns({**arrival, "user_id": no_user}))
    return reduce(DataFrame.unionByName, parts)


def _other_content(frame: DataFrame) -> dict[str, Column]:
    """Changed columns: other numbers, and reversed titles and categories."""
    numbers = [f for f in frame.schema.fields if isinstance(f.dataType, NumericType)]
    content = {
        f.name: (F.coalesce(f.name, F.lit(0)).cast("double") * -3 + 7).try_cast(f.dataType)
        for f in numbers
    }
    text_columns = [name for name in ("title", "category") if name in frame.columns]
    return content | {name: F.reverse(name) for name in text_columns}


def _other_user(frame: DataFrame, key: str) -> dict[str, Column]:
    if key == "user_id" or "user_id" not in frame.columns:
        return {}
    return {"user_id": F.concat(F.lit("other-"), F.coalesce("user_id", F.lit("nobody")))}


def count_differences(before: DataFrame, after: DataFrame) -> DataFrame:
    """Count differences between two feature tables.

    Args:
        before: One row per ``user_id, as_of``; compared exactly, null equal to null.
        after: Likewise.

    Returns:
        One row: for each column of ``before`` the number of rows with another value in ``after``;
        ``_rows`` is the number of rows that only one of them has.
    """
    names = [name for name in before.columns if name not in ("user_id", "as_of")]
    left = before.withColumn("_left", F.lit(True))
    right = after.withColumn("_right", F.lit(True)).withColumnsRenamed(
        {name: f"_after_{name}" for name in names}
    )
    joined = left.join(right, ["user_id", "as_of"], "full")
    in_both = F.col("_left").isNotNull() & F.col("_right").isNotNull()
    return joined.agg(
        F.count_if(~in_both).alias("_rows"),
        *[
            F.count_if(in_both & ~F.col(name).eqNullSafe(F.col(f"_after_{name}"))).alias(name)
            for name in names
        ],
    )
