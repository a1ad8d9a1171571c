"""What a kind of alert is: it compares figures of subjects with a limit, and says what it saw.

A kind is a module of ``kinds`` that holds ``KIND``, or an entry point of the group
``behavior_spark.alert_kinds``. It needs no list: its name is its module's.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.config.alerts import Alerts
from behavior_spark.model.anomaly.forest import PeerForest

MOST_MEMBERS = 50
USER, GROUP, SOURCE = "user", "group", "source"


@dataclass(frozen=True)
class AlertInputs:
    """The tables of a night as they were known at as_of; what is not there is None.

    Attributes:
        as_of: The night.
        settings: The section ``alerts``.
        events: Visible versions of events of users: ``user_id, event_time, event_type, item_id,
            device, place, category, arrived_day`` and ``is_recent``, ``is_past`` (booleans).
        mapped: Columns of events that the log has.
        texts: Visible versions of texts of users: ``user_id, text_time, text, text_hash,
            arrived_day``, from the earliest day that a kind looks back to.
        labels: ``text_hash, head, label, probability, probabilities`` (of all labels) of the
            heads in use; one row for each text and head.
        users: ``user_id, peers`` and the night's features.
        forest: Fitted to a sample of ``users``.
        words: Meaning of each feature.
        quarantine: Contract ``quarantine``, up to as_of.
        nights: as_of of earlier nights that read new days alone, the latest first.
        links: Contract ``identities``, as known at as_of; None where none are mapped.
        earlier: Contract ``risk_alerts`` of earlier nights.
        habits_share: Share of the users from whom it is learned what is usual, by hash.
    """

    as_of: dt.date
    settings: Alerts
    events: DataFrame
    mapped: frozenset[str]
    earlier: DataFrame
    texts: DataFrame | None = None
    labels: DataFrame | None = None
    heads: frozenset[str] = frozenset()
    users: DataFrame | None = None
    forest: PeerForest | None = None
    words: Mapping[str, str] = field(default_factory=dict)
    quarantine: DataFrame | None = None
    nights: Sequence[dt.date] = ()
    links: DataFrame | None = None
    habits_share: float = 1.0


@dataclass(frozen=True)
class Candidates:
    """Subjects that a kind has looked at; those at or above their limit become alerts.

    Attributes:
        frame: One row a subject, with ``times_limit`` (double; null: nothing can be said).
        subject_kind: user, group or source.
        subject: Key of the subject.
        evidence: One or two sentences, without a text.
        figures: The figures of the sentences: a map of doubles by name.
        check_sql: A query that shows what the alert rests on.
        about: What of the subject the alert is about; the same every night.
        members: Users of a group.
        texts: Hashes of texts.
        silent: Reason -> aggregate over ``frame``: how many subjects it left out.
    """

    frame: DataFrame
    subject_kind: Column
    subject: Column
    evidence: Column
    figures: Column
    check_sql: Column
    about: Column = field(default_factory=lambda: F.lit(""))
    members: Column | None = None
    texts: Column | None = None
    silent: Mapping[str, Column] = field(default_factory=dict)


class AlertKind(Protocol):
    """A kind of alert."""

    @property
    def does(self) -> str:
        """What it alerts, in one line."""

    def lacks(self, inputs: AlertInputs) -> str | None:
        """Why it cannot say anything about this night; None if it can."""

    def candidates(self, inputs: AlertInputs) -> Candidates:
        """What it saw; starts no action."""


def by_name(figures: Mapping[str, Column]) -> Column:
    """Figures as a map of doubles; those that are null are left out."""
    pairs = [
        part for name, value in figures.items() for part in (F.lit(name), value.cast("double"))
    ]
    return F.map_filter(F.create_map(*pairs), lambda _, value: value.isNotNull())


def number(value: Column) -> Column:
    """A number as a person reads it: at most one decimal, none from 10 on."""
    whole = F.format_number(value, 0)
    return F.when((F.abs(value) >= 10) | (value == F.floor(value)), whole).otherwise(
        F.format_number(value, 1)
    )


def first_members(name: str, place: Column) -> Column:
    """The different values of a column that are placed first, at most ``MOST_MEMBERS``, sorted.

    Args:
        name: The column; null is not listed.
        place: Its place within the group, from 1; null where a row is not to be listed.
    """
    return F.array_sort(F.collect_set(F.when(place <= MOST_MEMBERS, F.col(name))))


def median_with_zeros(past: Column, periods: Column) -> Column:
    """Median of what is in an array, ascending, and of zeros for the periods that it lacks.

    Args:
        past: Array of doubles, one for each period that has any.
        periods: How many periods there were.
    """
    place = F.size(past) - F.floor(periods / 2).cast("int")
    return F.when(place >= 1, F.element_at(past, place)).otherwise(0.0)


def sentence(*parts: str | Column) -> Column:
    """Words and columns in one string; a null is shown as ``unknown``."""
    columns = [
        F.lit(part) if isinstance(part, str) else F.coalesce(part.cast("string"), F.lit("unknown"))
        for part in parts
    ]
    return F.concat(*columns)


def quoted(value: Column) -> Column:
    """A value as a string literal of SQL."""
    escaped = F.replace(F.replace(value, F.lit("\\"), F.lit("\\\\")), F.lit("'"), F.lit("\\'"))
    return F.concat(F.lit("'"), escaped, F.lit("'"))


def midnight_sql(day: dt.date) -> str:
    """00:00 UTC of a day as a literal of SQL."""
    return f"TIMESTAMP'{day} 00:00:00'"
