"""Another future: the same tables until a day; from it on rows go, change and are added.

Whatever is blind to the future gives the same on both. Nothing stored is touched.
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
    """The inputs in another future from as_of on.

    Args:
        inputs: Tables, rows known after as_of among them or not.
        as_of: The day; what was known before its 00:00 UTC stays as it is.
        gap_minutes: Inactivity that ends a session; sessions are found anew among the events.
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
    """A table with the same past and another future.

    Of the rows known from as_of on, a third goes and a third changes. To these come, known at
    as_of or a microsecond later: new rows that happen then; rows that happened before and arrive
    late; corrections and retractions of rows known before.

    Args:
        frame: Versions of rows.
        as_of: The day whose 00:00 UTC divides the past from the future.
        key: Column that versions share.
        time: When it happened or is true from.
        known: When it was known.
    """
    midnight = F.lit(as_of).cast("timestamp")
    later = midnight + F.expr("INTERVAL 1 MICROSECOND")
    is_past = F.coalesce(F.col(known) < midnight, F.lit(True))
    past, future = frame.where(is_past), frame.where(~is_past)
    third = F.pmod(F.xxhash64(key, known), F.lit(3))
    other = _other_content(frame)
    arrives = {known: later}
    if "arrived_day" in frame.columns:
        arrives["arrived_day"] = F.to_date(later)
    # Users and items keep their key, as others refer to it: there a new row is a new version.
    new = other if key in ("user_id", "item_id") else {key: F.concat(F.lit("added-"), key)}
    parts = [
        past,
        future.where(third == 1),
        future.where(third == 2).withColumns({**other, **_other_user(frame, key)}),
        past.where(third == 0).withColumns({**new, **arrives, time: midnight, known: midnight}),
        past.where(third == 1).withColumns({**new, **arrives}),
        past.where(third == 2).withColumns({**other, **_other_user(frame, key), **arrives}),
    ]
    if _other_user(frame, key):
        nobody = F.lit(None).cast("string")
        parts.append(past.where(third == 0).withColumns({**arrives, "user_id": nobody}))
    return reduce(DataFrame.unionByName, parts)


def _other_content(frame: DataFrame) -> dict[str, Column]:
    """Another number in every number, and titles and categories backwards."""
    numbers = [f for f in frame.schema.fields if isinstance(f.dataType, NumericType)]
    other = {
        f.name: (F.coalesce(f.name, F.lit(0)).cast("double") * -3 + 7).try_cast(f.dataType)
        for f in numbers
    }
    words = [name for name in ("title", "category") if name in frame.columns]
    return other | {name: F.reverse(name) for name in words}


def _other_user(frame: DataFrame, key: str) -> dict[str, Column]:
    if key == "user_id" or "user_id" not in frame.columns:
        return {}
    return {"user_id": F.concat(F.lit("other-"), F.coalesce("user_id", F.lit("nobody")))}


def count_differences(before: DataFrame, after: DataFrame) -> DataFrame:
    """One row: for each column of ``before`` the users and days at which ``after`` differs.

    Args:
        before: One row per ``user_id, as_of``; compared exactly, null equal to null.
        after: Likewise. ``_rows`` counts rows that stand in one alone.
    """
    names = [name for name in before.columns if name not in ("user_id", "as_of")]
    left = before.withColumn("_left", F.lit(True))
    right = after.withColumn("_right", F.lit(True)).withColumnsRenamed(
        {name: f"_after_{name}" for name in names}
    )
    both = left.join(right, ["user_id", "as_of"], "full")
    paired = F.col("_left").isNotNull() & F.col("_right").isNotNull()
    return both.agg(
        F.count_if(~paired).alias("_rows"),
        *[
            F.count_if(paired & ~F.col(name).eqNullSafe(F.col(f"_after_{name}"))).alias(name)
            for name in names
        ],
    )
