"""Event types that the config names, against those there are."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.config import Settings
from behavior_spark.config.event_types import named_event_types
from behavior_spark.errors import ConfigError
from behavior_spark.io.failures import spark_errors
from behavior_spark.names import normal_name

_MOST_TYPES = 1000
# Names that are as near as 'purchse' and 'purchase' (0.93), or 'refund' and 'refunded' (0.86).
_SURELY_MEANT = 0.8


def refuse_types_never_stored(settings: Settings) -> None:
    """Refuse a condition on a type that no event can have, as types are stored in lower case.

    Raises:
        ConfigError: A type is written otherwise than any event's.
    """
    listed = set(settings.features.event_types)
    for place, types in named_event_types(settings).items():
        for kind in types:
            normal = normal_name(kind, lower=True)
            joined = re.sub(r"[\W_]+", "_", normal).strip("_")
            if kind != normal:
                raise ConfigError(
                    f"{place}: event_type = '{kind}' is true of no event",
                    found="event types are stored in lower case, without white space at the ends",
                    fix=f"write '{joined if joined in listed else normal}'",
                )


def all_named_types(settings: Settings) -> list[str]:
    """Every type that the config names, each once."""
    places = named_event_types(settings).values()
    return list(dict.fromkeys(kind for types in places for kind in types))


def describe_missing_types(
    settings: Settings, counts: Mapping[str, int], events: DataFrame
) -> list[str]:
    """A line for each place that names a type of which there is no event; mostly none.

    Only where there is one the events are read, for the spellings that exist.

    Args:
        settings: The config.
        counts: Events of each type that it names.
        events: All events, with ``event_type``.
    """
    missing = {kind for kind, count in counts.items() if not count}
    if not missing:
        return []
    there = _types_there(events)
    return [
        f"{place}: event_type = '{kind}' matches no event; {_nearest(kind, there)}"
        for place, types in named_event_types(settings).items()
        for kind in types
        if kind in missing
    ]


@dataclass(frozen=True)
class MisspeltType:
    """A type that the config names, no event has, and one of nearly the same name has events.

    Attributes:
        place: Key of the config.
        name: As the config writes it.
        meant: The type that there is.
        events: Number of its events.
    """

    place: str
    name: str
    meant: str
    events: int


def misspelt_types(
    settings: Settings, counts: Mapping[str, int], events: DataFrame
) -> list[MisspeltType]:
    """Types without an event of which one that the same key does not name is a near spelling.

    Only where a type has no event the events are read.

    Args:
        settings: The config.
        counts: Events of each type that it names.
        events: All events, with ``event_type``.
    """
    if all(counts.values()):
        return []
    there = _types_there(events)
    misspelt = []
    for place, types in named_event_types(settings).items():
        others = [kind for kind in there if kind not in types]
        for kind in types:
            close = difflib.get_close_matches(kind, others, n=1, cutoff=_SURELY_MEANT)
            if close and not counts.get(kind):
                misspelt.append(MisspeltType(place, kind, close[0], there[close[0]]))
    return misspelt


def _types_there(events: DataFrame) -> dict[str, int]:
    """Number of events by type, of the commonest types."""
    with spark_errors("counting event types"):
        rows = (
            events.where(F.col("event_type").isNotNull())
            .groupBy("event_type")
            .agg(F.count(F.lit(1)).alias("events"))
            .orderBy(F.desc("events"), "event_type")
            .limit(_MOST_TYPES)
            .collect()
        )
    return {row["event_type"]: row["events"] for row in rows}


def _nearest(kind: str, there: Mapping[str, int]) -> str:
    close = difflib.get_close_matches(kind, list(there), n=3, cutoff=0.5) or list(there)[:5]
    shown = ", ".join(f"{there[name]:,} '{name}'" for name in close)
    return f"there are {shown}" if shown else "there is no event"
