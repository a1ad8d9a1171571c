"""Family ``sessions``: number, length and content of sessions, from events or stored sessions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.config.taxonomy import event_words, with_article
from behavior_spark.features.declared import DOUBLE, LONG, Feature
from behavior_spark.features.family import Family
from behavior_spark.features.inputs import Inputs, Request
from behavior_spark.features.operation import lately
from behavior_spark.features.point_in_time import as_seen, of_users
from behavior_spark.features.sessions.by_user import SessionPart
from behavior_spark.features.sessions.from_events import build_sessions
from behavior_spark.model.propensity.sayings import Saying, Told, Unit


class Sessions(Family):
    """Sessions and active days; with stored sessions also their length and content."""

    name = "sessions"
    order = 40

    def features(self, request: Request) -> list[Feature]:
        """Features of stored sessions if there are any, else features of events."""
        settings = request.settings
        if not request.offer.sessions:
            return session_features(settings.windows_days)
        words = {name: event_words(name, of.told)[0] for name, of in settings.behaviours.items()}
        features = stored_session_features(settings.event_types, settings.windows_days, words)
        return [replace(feature, source="sessions") for feature in features]

    def session_part(self, request: Request) -> SessionPart:
        """Aggregates of stored sessions."""
        return stored_sessions(request.settings.event_types, request.settings.windows_days)

    def join(
        self, frame: DataFrame, inputs: Inputs, days: Sequence[dt.date], request: Request
    ) -> DataFrame:
        """Compute sessions from events if there are no stored sessions."""
        if request.offer.sessions:
            return frame
        settings = request.settings
        visible = as_seen(of_users(inputs.events, key="event_id"), days, time="event_time")
        sessions = build_sessions(
            visible, windows=settings.windows_days, gap_minutes=settings.session_gap_minutes
        )
        return frame.join(sessions, ["as_of", "user_id"], "left")


def session_features(windows: Sequence[int]) -> list[Feature]:
    """The features that ``build_sessions`` computes."""
    features = [
        Feature("session_count_all", LONG, "sessions ever", told=_visits(None)),
        Feature("active_days_all", LONG, "days with an event, ever", told=_active(None)),
        Feature("active_gap_days", DOUBLE, "mean days between active days; null with fewer than 2",
                zero=False, told=_told("gap", "comes back after {n} on average", unit="days",
                                       none="has come on one day")),
        Feature("recency_in_gaps", DOUBLE, "days since the last active day over active_gap_days",
                zero=False, told=_told("away", "away for {n} times the usual pause",
                                       one="away for the usual pause", none="has come on one day")),
    ]  # fmt: skip
    for days in windows:
        features += [
            Feature(f"session_count_{days}d", LONG,
                    f"sessions with an event in the {days} days before as_of",
                    told=_visits(days)),
            Feature(f"active_days_{days}d", LONG,
                    f"days with an event in the {days} days before as_of", told=_active(days)),
        ]  # fmt: skip
    return features


def _visits(days: int | None) -> Told:
    when = lately(days)
    return _told("count", f"{{n}} visits {when}", one=f"1 visit {when}", zero=f"no visit {when}")


def _active(days: int | None) -> Told:
    when = lately(days)
    some, one = f"active on {{n}} days {when}", f"active on 1 day {when}"
    return _told("days", some, one=one, zero=f"not active {when}")


def _told(
    aspect: str, some: str, *, one: str = "", zero: str = "", none: str = "", unit: Unit = "number"
) -> Told:
    # One subject with the counts of all events, which say nearly the same.
    return Told("event", aspect, Saying(some, one=one, zero=zero, none=none, unit=unit))


def stored_session_features(
    event_types: Sequence[str], windows: Sequence[int], words: Mapping[str, str]
) -> list[Feature]:
    """The features that :func:`stored_sessions` computes: those of ``build_sessions``, and
    length and content of sessions.

    Args:
        event_types: Event types with their own features.
        windows: Windows in days.
        words: One event in a sentence, by event type.
    """
    features = session_features(windows)
    for kind in event_types:
        began = f"with {with_article(words[kind])}"
        features.append(
            Feature(f"session_last_entry_{kind}", LONG,
                    f"1 where the last session began with {kind}",
                    told=_told("entry", f"the last visit began {began}",
                               zero=f"the last visit did not begin {began}"))
        )  # fmt: skip
    for days in windows:
        of = f"of sessions with an event in the {days} days before as_of"
        when, none = lately(days), f"no visit {lately(days)}"
        features += [
            Feature(f"session_bounce_share_{days}d", DOUBLE, f"share {of} that are one event",
                    zero=False, told=_told(
                        "bounces", f"{{n}} of the visits {when} ended after one event",
                        one=f"every visit {when} ended after one event",
                        zero=f"no visit {when} ended after one event", none=none, unit="share")),
            Feature(f"session_depth_mean_{days}d", DOUBLE, f"mean distinct items {of}",
                    zero=False, reads="item_id",
                    told=_told("depth", f"{{n}} different items a visit {when}", none=none,
                               one=f"1 item a visit {when}", zero=f"no item in any visit {when}")),
            Feature(f"session_seconds_mean_{days}d", DOUBLE, f"mean duration in seconds {of}",
                    zero=False, told=_told("length", f"visits of {{n}} on average {when}",
                                           none=none, unit="seconds")),
            Feature(f"session_value_max_{days}d", DOUBLE, f"largest value {of}",
                    zero=False, reads="value",
                    told=_told("value", f"the dearest visit {when} was worth {{n}}", none=none,
                               zero=f"no visit worth anything {when}", unit="amount")),
        ]  # fmt: skip
    return features


def stored_sessions(event_types: Sequence[str], windows: Sequence[int]) -> SessionPart:
    """Aggregates for the features of ``stored_session_features``.

    Args:
        event_types: Event types with their own features.
        windows: Windows in days.
    """
    sums = {
        "session_count_all": F.count(F.lit(1)),
        "_days": F.array_distinct(F.flatten(F.collect_list("event_days"))),
        "_entry": F.max_by("entry_type", F.struct("session_start", "session_key")),
    }
    for window in windows:
        sums |= _of_window(window)
    first = F.datediff("as_of", F.array_min("_days"))
    last = F.datediff("as_of", F.array_max("_days"))
    active = F.size("_days").cast("long")
    gap = F.round(F.when(active > 1, (first - last) / (active - 1)), 6)
    derived = {
        "active_days_all": active,
        "active_gap_days": gap,
        "recency_in_gaps": F.round(last / gap, 6),
    }
    for kind in event_types:
        derived[f"session_last_entry_{kind}"] = (F.col("_entry") == kind).cast("long")
    for window in windows:
        derived[f"active_days_{window}d"] = _days_within(window)
    return SessionPart(sums, derived=derived)


def _of_window(window: int) -> dict[str, Column]:
    inside = F.col("days_ago") <= window
    count = F.count_if(inside)
    bounces = F.count_if(inside & F.col("is_bounce")).cast("double")
    # Sums of whole numbers and decimals, so that the order of rows has no effect.
    depth = F.sum(F.when(inside, F.col("depth"))).cast("double")
    seconds = F.sum(F.when(inside, F.col("duration_seconds").cast("decimal(18,6)")))
    return {
        f"session_count_{window}d": count,
        f"session_bounce_share_{window}d": F.try_divide(bounces, count),
        f"session_depth_mean_{window}d": F.try_divide(depth, count),
        f"session_seconds_mean_{window}d": F.try_divide(seconds.cast("double"), count),
        f"session_value_max_{window}d": F.max(F.when(inside, F.col("value"))).cast("double"),
    }


def _days_within(window: int) -> Column:
    start = F.date_sub("as_of", window)
    return F.size(F.filter("_days", lambda day: day >= start)).cast("long")


FAMILY = Sessions()
