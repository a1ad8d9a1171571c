"""The features and labels again, by plain loops: slow, and meant to be right at a glance.

Rows are dicts with the columns of the contracts; times are datetimes in UTC.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from functools import partial
from typing import Any

from tests.features.taste_reference import taste

Row = dict[str, Any]
Condition = Callable[[Row], bool]
Features = dict[str, Any]


@dataclass(frozen=True)
class PlainTarget:
    """A target whose SQL conditions are Python functions."""

    event: Condition
    horizon_days: int
    item: Condition | None = None
    own_history: bool = True  # false where an event type's features tell the same


@dataclass(repr=False)
class Log:
    """Everything the features are made of.

    Attributes:
        events: Versions of events.
        items: Versions of items.
        texts: Versions of texts.
        embeddings: Unit vector of each text hash; None where the model failed.
        labels: For each head the label of each text hash.
    """

    events: list[Row] = field(default_factory=list)
    items: list[Row] = field(default_factory=list)
    texts: list[Row] = field(default_factory=list)
    embeddings: dict[str, list[float] | None] = field(default_factory=dict)
    labels: dict[str, dict[str, str | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class PlainSettings:
    """What is asked of the log."""

    event_types: Sequence[str]
    windows: Sequence[int]
    gap_minutes: int
    targets: Mapping[str, PlainTarget]
    population: Condition
    head_labels: Mapping[str, Mapping[str, str]]  # head -> label -> its part of the column name
    taste: bool = False


def midnight(day: dt.date) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(), dt.UTC)


def known_rows(rows: Iterable[Row], key: str, before: dt.datetime) -> list[Row]:
    """Of each key the version that had arrived last before a moment, if it has a user."""
    latest: dict[str, Row] = {}
    for row in rows:
        if row["arrived_at"] < before:
            other = latest.get(row[key])
            if other is None or other["arrived_at"] < row["arrived_at"]:
                latest[row[key]] = row
    return [row for row in latest.values() if row["user_id"] is not None]


def seen_rows(rows: Iterable[Row], key: str, time: str, day: dt.date) -> dict[str, list[Row]]:
    """Rows that a day may see, of each user, in order of time."""
    by_user: dict[str, list[Row]] = {}
    for row in known_rows(rows, key, midnight(day)):
        if row[time] < midnight(day):
            by_user.setdefault(row["user_id"], []).append(row)
    for mine in by_user.values():
        mine.sort(key=lambda row: (row[time], row[key]))
    return by_user


def counts_since(items: Iterable[Row], condition: Condition) -> dict[str, dt.datetime]:
    """Of each item that ever satisfies a condition: when its first such version was known."""
    since: dict[str, dt.datetime] = {}
    for version in items:
        if condition(version):
            item, known = version["item_id"], version["valid_from"]
            since[item] = min(known, since.get(item, known))
    return since


def reference_features(log: Log, day: dt.date, settings: PlainSettings) -> dict[str, Features]:
    """Features of every user of the population at a day."""
    events = seen_rows(log.events, "event_id", "event_time", day)
    texts = seen_rows(log.texts, "text_id", "text_time", day)
    similar = {
        name: direction(log, target.item, day)
        for name, target in settings.targets.items()
        if target.item
    }
    since = {
        name: counts_since(log.items, target.item)
        for name, target in settings.targets.items()
        if target.item
    }
    counting = {
        name: partial(hits, target, since[name], day)
        for name, target in settings.targets.items()
        if target.item
    }
    tastes: Mapping[str, Features] = {}
    if settings.taste:
        tastes = taste(events, day, settings.event_types, counting)
    table = {}
    for user, mine in events.items():
        if any(settings.population(event) for event in mine):
            row = activity(mine, day, settings, since)
            row |= tastes.get(user, {})
            row |= sessions(mine, day, settings)
            row |= text_features(log, texts.get(user, []), day, settings, similar)
            table[user] = row
    return table


def hits(target: PlainTarget, since: Mapping[str, dt.datetime], day: dt.date, event: Row) -> bool:
    """Whether an event counts for a target with items, as a day sees it."""
    known = since.get(event["item_id"])
    return target.event(event) and known is not None and known < midnight(day)


def activity(
    events: list[Row],
    day: dt.date,
    settings: PlainSettings,
    since: Mapping[str, Mapping[str, dt.datetime]],
) -> Features:
    row: Features = {
        "recency_days": days_since_last(events, day),
        "tenure_days": max(days_since(event["event_time"], day) for event in events),
        "event_count_all": len(events),
        "value_all": value(events),
    }
    for window in settings.windows:
        row[f"event_count_{window}d"] = len(within(events, "event_time", day, window))
    for kind in settings.event_types:
        of_kind = [event for event in events if event["event_type"] == kind]
        row[f"{kind}_recency_days"] = days_since_last(of_kind, day)
        row[f"{kind}_count_all"] = len(of_kind)
        row[f"{kind}_value_all"] = value(of_kind)
        for window in settings.windows:
            recent = within(of_kind, "event_time", day, window)
            row[f"{kind}_count_{window}d"] = len(recent)
            row[f"{kind}_value_{window}d"] = value(recent)
            items = {event["item_id"] for event in recent} - {None}
            row[f"{kind}_item_count_{window}d"] = len(items)
    for name, target in settings.targets.items():
        if not target.own_history:
            continue
        hits = []
        for event in events:
            counts = target.event(event)
            if target.item:
                known = since[name].get(event["item_id"])
                counts = counts and known is not None and known < midnight(day)
            if counts:
                hits.append(event)
        row[f"{name}_recency_days"] = days_since_last(hits, day)
        row[f"{name}_count_all"] = len(hits)
        for window in settings.windows:
            row[f"{name}_count_{window}d"] = len(within(hits, "event_time", day, window))
    return row


def sessions(events: list[Row], day: dt.date, settings: PlainSettings) -> Features:
    """Events come in order of time."""
    pause = dt.timedelta(minutes=settings.gap_minutes)
    by_session: dict[tuple[str, Any], list[Row]] = {}
    run, before = 0, None
    for event in events:
        if before is not None and event["event_time"] - before > pause:
            run += 1
        before = event["event_time"]
        own = event["session_id"]
        session = ("run", run) if own is None else ("own", own)
        by_session.setdefault(session, []).append(event)
    active = sorted({event["event_time"].date() for event in events})
    gap = in_gaps = None
    if len(active) > 1:
        gap = rounded((active[-1] - active[0]).days / (len(active) - 1), 6)
        in_gaps = rounded((day - active[-1]).days / gap, 6)
    row: Features = {
        "session_count_all": len(by_session),
        "active_days_all": len(active),
        "active_gap_days": gap,
        "recency_in_gaps": in_gaps,
    }
    for window in settings.windows:
        recent = within(events, "event_time", day, window)
        row[f"session_count_{window}d"] = sum(
            any(event in recent for event in mine) for mine in by_session.values()
        )
        row[f"active_days_{window}d"] = len({event["event_time"].date() for event in recent})
    return row


def text_features(
    log: Log,
    texts: list[Row],
    day: dt.date,
    settings: PlainSettings,
    similar: Mapping[str, list[float] | None],
) -> Features:
    row: Features = {}
    for window in settings.windows:
        recent = within(texts, "text_time", day, window)
        row[f"text_count_{window}d"] = len(recent)
        for name, towards in similar.items():
            close = []
            for text in recent:
                vector = log.embeddings.get(text["text_hash"])
                if towards is not None and vector is not None:
                    cosine = sum(a * b for a, b in zip(vector, towards, strict=True))
                    close.append(Decimal(str(round(cosine, 6))))
            mean = rounded(float(sum(close)) / len(close), 6) if close else None
            row[f"text_similarity_{name}_{window}d"] = mean
            row[f"text_similarity_max_{name}_{window}d"] = float(max(close)) if close else None
        for head, parts in settings.head_labels.items():
            said = [log.labels[head].get(text["text_hash"]) for text in recent]
            said = [label for label in said if label is not None]
            for label, part in parts.items():
                share = said.count(label) / len(said) if said else None
                row[f"{head}_{part}_share_{window}d"] = share
    return row


def direction(log: Log, condition: Condition, day: dt.date) -> list[float] | None:
    """Unit vector of the mean title of the items that count for a target by a day."""
    first: dict[str, Row] = {}
    for version in log.items:
        titled = version["title_hash"] is not None
        if titled and condition(version) and version["valid_from"] < midnight(day):
            other = first.get(version["item_id"])
            if other is None or version["valid_from"] < other["valid_from"]:
                first[version["item_id"]] = version
    found = [log.embeddings.get(version["title_hash"]) for version in first.values()]
    vectors = [vector for vector in found if vector is not None]
    if not vectors:
        return None
    mean = [math.fsum(numbers) / len(vectors) for numbers in zip(*vectors, strict=True)]
    norm = math.sqrt(math.fsum(number * number for number in mean))
    return [number / norm for number in mean] if norm else None


def reference_labels(
    log: Log, day: dt.date, settings: PlainSettings, known_before: dt.date
) -> dict[str, Features]:
    """For each user with a positive: the label of every target."""
    table: dict[str, Features] = {}
    for event in known_rows(log.events, "event_id", midnight(known_before)):
        for name, target in settings.targets.items():
            stop = midnight(day) + dt.timedelta(days=target.horizon_days)
            hit = midnight(day) <= event["event_time"] < stop and target.event(event)
            if hit and target.item:
                known = counts_since(log.items, target.item).get(event["item_id"])
                hit = known is not None and known < min(stop, midnight(known_before))
            if hit:
                none = {f"label_{other}": 0 for other in settings.targets}
                table.setdefault(event["user_id"], none)[f"label_{name}"] = 1
    return table


def reference_training_set(
    log: Log, day: dt.date, settings: PlainSettings, known_before: dt.date
) -> dict[str, Features]:
    """Features of every user of the population with their labels, 0 where nothing followed."""
    none = {f"label_{name}": 0 for name in settings.targets}
    labels = reference_labels(log, day, settings, known_before)
    return {
        user: row | labels.get(user, none) | {"weight": 1.0}
        for user, row in reference_features(log, day, settings).items()
    }


def within(rows: Iterable[Row], time: str, day: dt.date, window: int) -> list[Row]:
    """Rows in [day - window, day)."""
    start = midnight(day) - dt.timedelta(days=window)
    return [row for row in rows if start <= row[time] < midnight(day)]


def value(events: Iterable[Row]) -> float:
    return float(sum((event["value"] for event in events if event["value"] is not None), Decimal()))


def days_since(time: dt.datetime, day: dt.date) -> float:
    """Days to midnight of a day, in whole seconds, to four decimals."""
    seconds = (midnight(day) - time.replace(microsecond=0)) // dt.timedelta(seconds=1)
    return rounded(Decimal(seconds) / Decimal(86_400), 4)


def days_since_last(events: list[Row], day: dt.date) -> float | None:
    return min((days_since(event["event_time"], day) for event in events), default=None)


def rounded(number: float | Decimal, digits: int) -> float:
    """Half up, as SQL's round."""
    exact = Decimal(repr(number)) if isinstance(number, float) else number
    return float(exact.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP))
