"""Build all features of users at as_of days from the clean tables, for training and for nights."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructField

from behavior_spark.config import FeatureSettings, Settings, Target
from behavior_spark.errors import ConfigError, InputError
from behavior_spark.features.choosing import (
    built_families,
    check_movable,
    check_names,
    listed_features,
    make_plan,
)
from behavior_spark.features.declared import LONG, Feature
from behavior_spark.features.family import Family
from behavior_spark.features.inputs import Inputs, Offer, Request
from behavior_spark.features.point_in_time import of_users
from behavior_spark.features.sampling import ALL, Shares, sampled
from behavior_spark.features.sessions.by_user import by_user, sessions_seen
from behavior_spark.features.targets import labels, labels_otherwise, mark_targets
from behavior_spark.features.tiles.activity import Activity, build_facts, build_tiles
from behavior_spark.features.tiles.definitions import Plan
from behavior_spark.features.tiles.windows import build_activity
from behavior_spark.model.propensity.goals import Movable
from behavior_spark.model.propensity.sayings import Saying, Told
from behavior_spark.names import counted


@dataclass(frozen=True)
class FeatureSet:
    """The features of a run, created once from the settings.

    Attributes:
        request: Settings, targets, population and available inputs.
        families: Families that are built, in order.
        plan: Features from tiles. ``plan.digest`` identifies the tiles, ``plan.meaning`` the
            definitions of a model's features.
        features: All features of the table, in order.
        left_out: Features that would be the same for everybody, as the log lacks what they read.
    """

    request: Request
    families: tuple[Family, ...]
    plan: Plan
    features: tuple[Feature, ...]
    left_out: tuple[Feature, ...] = ()

    @classmethod
    def make(
        cls,
        settings: FeatureSettings,
        targets: Mapping[str, Target],
        population: str = "true",
        offer: Offer | None = None,
    ) -> FeatureSet:
        """The features for some settings and inputs.

        Args:
            settings: Event types, windows, declared features, groups, session gap.
            targets: Targets by name; their past events are features too.
            population: SQL condition on an event: users with such an event before as_of get a row.
            offer: Available inputs; by default only events.

        Raises:
            ConfigError: Two features would have the same name, or one cannot be built.
        """
        request = Request(settings, targets, population, offer or Offer())
        families = built_families(request)
        plan, without = make_plan(request, families)
        listed, unlisted = listed_features(request, families)
        features = (*(definition.feature for definition in plan.definitions), *listed)
        left_out = (*without, *unlisted)
        check_names(features)
        check_movable(settings, [*features, *left_out])
        return cls(request, families, plan, features, left_out)

    @classmethod
    def of(cls, settings: Settings, offer: Offer) -> FeatureSet:
        """The features of a job; see :meth:`make`.

        Raises:
            ConfigError: The job has no events.
        """
        if not settings.sources.events:
            raise ConfigError(
                "features are of what users did",
                found="no sources.events: of this job's texts alone there are scores",
                fix="map sources.events, and name features.event_types and targets",
            )
        return cls.make(settings.features, settings.targets, settings.population, offer)

    @property
    def targets(self) -> Mapping[str, Target]:
        """Targets by name."""
        return self.request.targets

    @property
    def notes(self) -> list[str]:
        """What a reader should know of the features, such as how many are left out."""
        unmapped = [f for f in self.left_out if f.reads in self.request.offer.without]
        reasons = {}
        if unmapped:
            missing = " and no ".join(sorted({feature.reads for feature in unmapped}))
            reasons[f"sources.events maps no {missing}"] = len(unmapped)
        if by_kind := len(self.left_out) - len(unmapped):
            reasons["of kinds of events without a value or an item (features.without)"] = by_kind
        return [
            f"{counted(count, 'feature is', 'features are')} left out, as they would be the same "
            f"for everybody: {why}"
            for why, count in reasons.items()
        ]

    @property
    def names(self) -> list[str]:
        """Names of the features that models use, in order."""
        return [feature.name for feature in self.features if feature.numeric]

    @cached_property
    def told(self) -> dict[str, Told]:
        """What is said of each feature, by name; ``features.movable.NAME.told`` comes first."""
        told = {feature.name: feature.in_reasons for feature in self.features}
        for name, entry in self.request.settings.movable.items():
            if entry.told and name in told:
                told[name] = replace(told[name], saying=Saying(entry.told, unit="amount"))
        return told

    @property
    def movable(self) -> dict[str, Movable]:
        """How a business can move features, by name: those that ``features.movable`` names.

        A feature's own entry comes before that of its event type, and that before its group's.
        """
        declared = self.request.settings.movable
        movable = {}
        for feature in self.features:
            told = self.told[feature.name]
            entries = (declared.get(n) for n in (feature.name, told.subject, feature.group))
            entry = next((entry for entry in entries if entry), None)
            if feature.numeric and entry is not None and entry.direction != "fixed":
                whole = feature.data_type == LONG or told.saying.whole
                movable[feature.name] = Movable(entry.direction, whole)
        return movable

    @property
    def columns(self) -> list[StructField]:
        """Columns of the table after ``user_id`` and ``as_of``: features, then flags."""
        return [feature.field for feature in self.features] + self._flags

    @property
    def _flags(self) -> list[StructField]:
        return [flag for family in self.families for flag in family.flags(self.request)]

    def build(self, inputs: Inputs, days: Sequence[dt.date]) -> DataFrame:
        """Features of every user of the population at every as_of day.

        Args:
            inputs: The clean tables. Tiles are ``inputs.activity`` if given, else they are built
                from the events.
            days: As-of days; all are built in one job.

        Returns:
            ``user_id, as_of`` and the features. Without events, counts and sums are 0 and other
            features null. With stored sessions also ``is_bot`` and ``bot_reason``.

        Raises:
            InputError: The inputs lack tables that the features need.
        """
        self.request.offer.require(inputs)
        activity = inputs.activity or self._activity_of(inputs, before=max(days))
        inputs = replace(inputs, activity=activity)
        frame = build_activity(activity, days, self.plan, items=inputs.items)
        if self.request.offer.sessions and inputs.sessions is not None:
            frame = frame.join(self._of_sessions(inputs.sessions, days), ["as_of", "user_id"],
                               "left")  # fmt: skip
        for family in self.families:
            frame = family.join(frame, inputs, days, self.request)
        zeros = {
            kind: F.lit(0).cast(kind) for kind in {f.data_type for f in self.features if f.zero}
        }
        columns = []
        for feature in self.features:
            value = F.col(feature.name).cast(feature.data_type)
            if feature.zero:
                value = F.coalesce(value, zeros[feature.data_type])
            columns.append(value.alias(feature.name))
        return frame.select("user_id", "as_of", *columns, *[flag.name for flag in self._flags])

    def _of_sessions(self, sessions: DataFrame, days: Sequence[dt.date]) -> DataFrame:
        """Stored sessions aggregated for each (as_of, user_id), for all families at once."""
        parts = [family.session_part(self.request) for family in self.families]
        users = by_user(sessions_seen(sessions, days), [part for part in parts if part])
        for family in self.families:
            users = family.after_sessions(users, self.request)
        return users

    def _activity_of(self, inputs: Inputs, *, before: dt.date) -> Activity:
        """Tiles of all events that arrived before a day."""
        events = inputs.events.where(F.col("arrived_at") < F.lit(before).cast("timestamp"))
        facts = self.facts(of_users(events, key="event_id"), inputs.items)
        return build_tiles(facts, end=before)

    def facts(self, versions: DataFrame, items: DataFrame | None) -> DataFrame:
        """Facts of versions of events (from ``of_users``), including those of targets."""
        targets = {
            mark.target: self.targets[mark.target] for mark in self.plan.marks if mark.target
        }
        return build_facts(mark_targets(versions, items, targets), self.plan)

    def training_set(
        self,
        inputs: Inputs,
        days: Sequence[dt.date],
        *,
        known_before: dt.date,
        labelled: Sequence[str] | None = None,
        shares: Shares = ALL,
        seed: int = 7,
    ) -> DataFrame:
        """Features with outcomes ``label_<target>``, built by the same code as the nightly table.

        Users who are bots at a day (``is_bot``) are left out of that day.

        Args:
            inputs: The clean tables; see :meth:`build`.
            days: As-of days whose horizons have all passed.
            known_before: Day of the night; outcomes use only what arrived before it.
            labelled: Targets that get outcomes; all by default.
            shares: Shares of rows to keep, chosen by a hash of user and day.
            seed: Seed of the choice of rows.

        Returns:
            Rows as from :meth:`build`, with outcomes and ``weight`` (double): the inverse of the
            probability with which a row was kept.

        Raises:
            InputError: A horizon has not passed, so that an outcome would be incomplete.
        """
        names = list(self.targets if labelled is None else labelled)
        targets = {name: self.targets[name] for name in names}
        _check_horizons(days, targets, known_before)
        frame = self.build(inputs, days)
        for family in self.families:
            frame = family.learned_from(frame, self.request)
        outcomes = self.label_rows(inputs, days, names, known_before=known_before)
        default_labels = labels_otherwise(targets)
        frame = frame.join(outcomes, ["as_of", "user_id"], "left").fillna(default_labels)
        return sampled(frame, list(default_labels), shares, seed=seed)

    def label_rows(
        self,
        inputs: Inputs,
        days: Sequence[dt.date],
        labelled: Sequence[str],
        *,
        known_before: dt.date,
    ) -> DataFrame:
        """``as_of, user_id`` and outcomes, for users with events in a horizon; see ``labels``."""
        targets = {name: self.targets[name] for name in labelled}
        # Events after the first day, and their later versions, arrived after that day too.
        start = F.lit(min(days)).cast("timestamp")
        events = of_users(inputs.events.where(F.col("arrived_at") >= start), key="event_id")
        marked = mark_targets(events, inputs.items, targets)
        return labels(marked, days, targets, known_before=known_before)


def _check_horizons(
    days: Sequence[dt.date], targets: Mapping[str, Target], known_before: dt.date
) -> None:
    for name, target in targets.items():
        end = max(days) + dt.timedelta(days=target.horizon_days)
        if end > known_before:
            raise InputError(
                f"the horizon of {name} at {max(days)} has not passed",
                found=f"it ends on {end}; known is what arrived before {known_before}",
                fix="take earlier as-of days, or a later night",
            )
