"""Shapes of logs that well-known tools export, recognised by their columns.

Sources: Segment's and RudderStack's common fields (segment.com/docs/connections/spec/common,
rudderstack.com/docs/event-spec), the schema of GA4's BigQuery export (support.google.com/analytics,
answer 7029846), Snowplow's atomic events (docs.snowplow.io, canonical event), PostHog's batch
export of events, Amplitude's event export.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

_EVENTS_NAME = ("event", "event_text", "event_name")


@dataclass(frozen=True)
class Shape:
    """How a tool writes its log.

    Attributes:
        name: The tool.
        marks: It is this shape if every set has a key that the log has.
        keys: For a column of the contract the keys that hold it, best first, before all guesses.
        without: Columns of the contract that this shape does not have, whatever guesses say.
    """

    name: str
    marks: tuple[frozenset[str], ...]
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    without: frozenset[str] = frozenset()


def _marks(*alternatives: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(words.split()) for words in alternatives)


_SEGMENT_KEYS = {
    "event_id": ("message_id", "id"),
    "user_id": ("user_id",),
    "anonymous_id": ("anonymous_id",),
    "event_time": ("timestamp", "original_timestamp", "sent_at"),
    "event_type": _EVENTS_NAME,
    "item_id": ("properties_product_id", "properties_sku", "properties_products_product_id",
                "properties_item_id", "product_id", "sku"),
    "value": ("properties_revenue", "properties_total", "properties_value", "properties_amount",
              "revenue", "total"),
    "session_id": ("context_session_id", "properties_session_id", "session_id"),
    "arrived_at": ("received_at",),
}  # fmt: skip
SHAPES = (
    Shape(
        "Segment",
        _marks("anonymous_id", "message_id id", "original_timestamp sent_at",
               "received_at context_library_name context_library_version"),
        _SEGMENT_KEYS,
    ),
    Shape(
        "GA4",
        _marks("user_pseudo_id", "event_timestamp", "event_name", "event_date"),
        {
            "user_id": ("user_id", "user_pseudo_id"),
            "anonymous_id": ("user_pseudo_id",),
            "event_time": ("event_timestamp",),
            "event_type": ("event_name",),
            "item_id": ("items_item_id", "item_id", "event_params_item_id"),
            "value": ("ecommerce_purchase_revenue", "purchase_revenue", "event_value_in_usd",
                      "event_params_value", "value"),
            "session_id": (),
        },
        frozenset({"event_id"}),
    ),
    Shape(
        "Snowplow",
        _marks("domain_userid", "collector_tstamp", "event_name event"),
        {
            "event_id": ("event_id",),
            "user_id": ("user_id", "domain_userid"),
            "anonymous_id": ("domain_userid",),
            "event_time": ("derived_tstamp", "collector_tstamp", "dvce_created_tstamp"),
            "event_type": ("event_name", "event"),
            "item_id": ("ti_sku", "se_property"),
            "value": ("tr_total", "se_value"),
            "session_id": ("domain_sessionid",),
            "arrived_at": ("load_tstamp", "etl_tstamp"),
        },
    ),
    Shape(
        "PostHog",
        _marks("distinct_id", "event", "timestamp", "properties properties_current_url uuid"),
        {
            "event_id": ("uuid",),
            "user_id": ("distinct_id",),
            "event_time": ("timestamp",),
            "event_type": ("event",),
            "item_id": ("properties_product_id", "properties_sku", "properties_item_id"),
            "value": ("properties_revenue", "properties_total", "properties_amount",
                      "properties_value"),
            "session_id": ("properties_session_id",),
        },
        frozenset({"anonymous_id"}),
    ),
    Shape(
        "Amplitude",
        _marks("event_type", "event_time", "device_id", "user_id amplitude_id"),
        {
            "event_id": ("uuid", "insert_id"),
            "user_id": ("user_id", "amplitude_id"),
            "anonymous_id": ("device_id",),
            "event_time": ("event_time",),
            "event_type": ("event_type",),
            "item_id": ("event_properties_product_id", "event_properties_item_id"),
            "value": ("event_properties_revenue", "event_properties_total", "revenue"),
            "session_id": ("session_id",),
            "arrived_at": ("server_received_time", "server_upload_time"),
        },
    ),
)  # fmt: skip


def recognise_shape(keys: Collection[str]) -> Shape | None:
    """The shape whose every mark is among a log's keys; None if there is none.

    >>> shape = recognise_shape({"user_pseudo_id", "event_timestamp", "event_name", "event_date"})
    >>> shape.name
    'GA4'
    """
    having = set(keys)
    for shape in SHAPES:
        if all(having & marks for marks in shape.marks):
            if shape.name == "Segment" and any("rudder" in key for key in having):
                return Shape("RudderStack", shape.marks, shape.keys, shape.without)
            return shape
    return None
