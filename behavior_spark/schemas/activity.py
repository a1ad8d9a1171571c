"""Contracts of tiles (``activity_days``) and of lifelong totals (``user_state``)."""

from __future__ import annotations

from pyspark.sql.types import DateType, DecimalType, LongType, StringType, TimestampType

from behavior_spark.schemas.contract import Contract, column

_STRING, _LONG = StringType(), LongType()
_TIME, _DAY = TimestampType(), DateType()
_TOTAL = DecimalType(38, 4)
_TOTALS = (
    column("events", _LONG, "how many", required=True),
    column("value", _TOTAL, "sum of their values; null where none has one"),
    column("valued_events", _LONG, "how many have a value", required=True),
    column("first_time", _TIME, "time of the first of them, UTC"),
    column("last_time", _TIME, "time of the last of them, UTC"),
)
_BEHAVIOUR = column(
    "behaviour",
    _STRING,
    "event type; empty: a type without features; ?...: events that satisfy a condition",
    required=True,
)

ACTIVITY_DAYS = Contract(
    name="activity_days",
    comment="One row per version of a tile: what a user did on a day, as known by another day; "
    "for an as_of, use of each key the row with the latest known_day before it",
    columns=(
        column("user_id", _STRING, "who", required=True),
        column("event_day", _DAY, "UTC day on which it happened", required=True),
        column("first_known_day", _DAY, "UTC day on which it became known", required=True),
        _BEHAVIOUR,
        column("item_id", _STRING, "on which item; empty: none", required=True),
        column("known_day", _DAY, "day of this version; a later one replaces it", required=True),
        *_TOTALS,
    ),
    key=("user_id", "event_day", "first_known_day", "behaviour", "item_id", "known_day"),
    cluster_by=("known_day", "event_day"),
)

USER_STATE = Contract(
    name="user_state",
    comment="One row per user, behaviour and snapshot: totals of all history before before_day; "
    "later days are read from activity_days",
    columns=(
        column("user_id", _STRING, "who", required=True),
        _BEHAVIOUR,
        column("known_day", _DAY, "totals as known before this day's 00:00 UTC", required=True),
        column("before_day", _DAY, "totals of events before this day's 00:00 UTC", required=True),
        *_TOTALS,
        column("active_days", _LONG, "days on which it happened", required=True),
    ),
    key=("user_id", "behaviour", "known_day"),
    cluster_by=("known_day",),
)
