"""Why a night of a log cannot run: nothing usable, a day past its end, a type that no event has."""

from __future__ import annotations

import datetime as dt
from functools import reduce

from pyspark.sql import DataFrame

from behavior_spark.cleaning.log_extent import LogExtent
from behavior_spark.config import Settings
from behavior_spark.errors import BehaviorError, ConfigError, InputError
from behavior_spark.pipelines.logs.event_types import misspelt_types
from behavior_spark.pipelines.logs.mapped_sources import MappedSources
from behavior_spark.schemas import EVENTS

# A quiet weekend, or a feed that is a day late, is no mistake.
LATE_DAYS = 7


def refusal_of_rows(settings: Settings, extent: LogExtent, as_of: dt.date) -> BehaviorError | None:
    """Why no row of the log serves a night of ``as_of``; None if some do."""
    places = ", ".join(source.location for source in settings.sources.events)
    if not extent.rows:
        return InputError(
            f"no events before {as_of}",
            found=f"no row in {places}",
            fix="check sources.events.path, and its where",
        )
    if extent.refused == extent.rows or extent.fitting is None:
        return InputError(
            f"every row of {places} would be refused",
            found=f"{extent.rows:,} rows; such as: {extent.reason}",
            fix="see the sample of `behavior-spark check`, and map sources.events.columns anew",
        )
    if (as_of - extent.fitting).days > LATE_DAYS:
        return InputError(
            f"as_of {as_of} is past the log's end: nobody has done anything lately",
            found=f"your log ends {extent.last:%Y-%m-%d}",
            fix=f"use --as-of {extent.fitting}",
        )
    if not extent.seen:
        return InputError(
            f"no events before {as_of}",
            found=f"your log begins {extent.first:%Y-%m-%d} and ends {extent.last:%Y-%m-%d}",
            fix=f"use --as-of {extent.fitting}",
        )
    return None


def refusal_of_types(
    settings: Settings, mapped: MappedSources, extent: LogExtent
) -> BehaviorError | None:
    """A type that no event has, where the config must mean another of nearly the same name."""
    misspelt = misspelt_types(settings, extent.types, _types(mapped))
    if not misspelt:
        return None
    first = misspelt[0]
    more = f", and {len(misspelt) - 1} more" if len(misspelt) > 1 else ""
    return ConfigError(
        f"{first.place}: no event is of the type '{first.name}'{more}",
        found=f"there are {first.events:,} '{first.meant}'",
        fix=f"write '{first.meant}'",
    )


def _types(mapped: MappedSources) -> DataFrame:
    frames = [frame.select("event_type") for frame in mapped[EVENTS.name].values()]
    return reduce(DataFrame.unionByName, frames)
