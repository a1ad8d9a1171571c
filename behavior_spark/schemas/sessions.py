"""Contract of the table of sessions."""

from __future__ import annotations

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DateType,
    DecimalType,
    DoubleType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from behavior_spark.schemas.contract import Contract, column

_STRING, _LONG, _DOUBLE = StringType(), LongType(), DoubleType()
_TIME, _DAY = TimestampType(), DateType()

TURN = StructType(
    [
        StructField("event_type", _STRING, True, {"comment": "what, one or more times in a row"}),
        StructField("event_count", _LONG, True, {"comment": "how many times"}),
        StructField("started_at", _TIME, True, {"comment": "the first of them, UTC"}),
        StructField("ended_at", _TIME, True, {"comment": "the last of them, UTC"}),
    ]
)

SESSIONS = Contract(
    name="sessions",
    comment="One row per version of a session; for an as_of, use of each key the latest one known "
    "before it",
    columns=(
        column("user_id", _STRING, "who", required=True),
        column(
            "session_key",
            _STRING,
            "i and the log's session id, or r and the microsecond of a run's first event",
            required=True,
        ),
        column(
            "known_day",
            _DAY,
            "UTC day at whose end this version was known; a later as_of uses it",
            required=True,
        ),
        column("event_count", _LONG, "events; 0: there is no such session any more", required=True),
        column("session_id", _STRING, "the log's own id; null where a pause ended the session"),
        column("session_start", _TIME, "its first event, UTC"),
        column("session_end", _TIME, "its last event, UTC"),
        column("duration_seconds", _DOUBLE, "from its first event to its last"),
        column("event_days", ArrayType(_DAY), "UTC days with an event of it, ascending"),
        column("depth", _LONG, "distinct items in it, counted up to 1,000"),
        column("is_bounce", BooleanType(), "whether it is one event"),
        column("value", DecimalType(38, 4), "worth of its events, in the log's currency"),
        column("entry_type", _STRING, "type of its first event"),
        column("entry_item", _STRING, "item of its first event"),
        column("exit_type", _STRING, "type of its last event"),
        column("exit_item", _STRING, "item of its last event"),
        column("path", ArrayType(TURN), "types in order, repeats as one; the first 50"),
        column("gap_count", _LONG, "pauses between its events, of a millisecond to an hour"),
        column("gap_sum", _LONG, "their sum, in milliseconds"),
        column("gap_squares", _LONG, "sum of their squares, in milliseconds squared"),
    ),
    key=("user_id", "session_key", "known_day"),
    cluster_by=("known_day",),
)
