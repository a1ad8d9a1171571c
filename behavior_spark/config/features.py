"""Settings of features: event types, windows, groups, and what a business can move."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from behavior_spark.config.behaviour import BotSettings, Funnel, Without
from behavior_spark.config.declared import DeclaredFeature, On, checked_windows
from behavior_spark.config.operations import MOST_DAYS_AS_BITS
from behavior_spark.config.section import Section, checked_names
from behavior_spark.config.sequence import UserVectorSettings
from behavior_spark.config.taste import TasteSettings
from behavior_spark.config.taxonomy import Behaviour, described
from behavior_spark.extensions import FAMILIES

GROUPS = (
    "activity", "targets", "seasons", "taste", "sessions", "funnels", "attributes", "texts",
    "user_vector",
)  # fmt: skip

# Families that are built whatever ``groups`` is.
ALWAYS_BUILT = ("bots", "declared")


class MovableFeature(Section):
    """How a business can move a feature; a plain word is the direction."""

    direction: Literal["lower", "higher", "either", "fixed"] = Field(
        description="to lower values, to higher ones, either, or not at all"
    )
    told: str = Field(
        "",
        description="of one feature, how its value is told, such as 'answered within {n} hours'; "
        "by default as reasons tell it",
    )

    @model_validator(mode="before")
    @classmethod
    def _plain_word(cls, value: object) -> object:
        return {"direction": value} if isinstance(value, str) else value

    @field_validator("told")
    @classmethod
    def _with_value(cls, value: str) -> str:
        if value and "{n}" not in value:
            raise ValueError("told needs {n}, in the place of the value")
        return value


class FeatureSettings(Section):
    """Features to build."""

    event_types: list[str] = Field(
        default_factory=list,
        description="event types with their own features; other types count in totals only",
    )
    without: Without = Field(
        default_factory=Without,
        description="event types that never have a value or an item: features of it, which would "
        "be the same for everybody, are not built; `init` lists them, `check` says what speaks "
        "against it",
    )
    windows_days: Annotated[list[int], Field(min_length=1)] = Field(
        default=[1, 7, 30, 90], description="windows in days before as_of, ascending"
    )
    same_season: bool = Field(
        False,
        description="features of the same days a year ago: how often a user did what a target "
        "foretells, within its horizon; for logs of more than a year",
    )
    session_gap_minutes: int = Field(
        30, ge=1, description="minutes without an event that end a session without a session id"
    )
    funnels: dict[str, Funnel] = Field(
        default_factory=dict,
        description="by name: steps (event types in order) and within (session, or days)",
    )
    bots: BotSettings = Field(default_factory=BotSettings, description="when a user is a bot")
    taste: TasteSettings | None = Field(
        None,
        description="builds the group taste, for targets with a condition on items; {} takes the "
        "defaults; none: it is not built",
    )
    user_vector: UserVectorSettings | None = Field(
        None,
        description="builds the group user_vector by a sequence model trained on what was known "
        "before the training days; {} takes the defaults; none: it is not built",
    )
    taxonomy: dict[str, Behaviour] = Field(
        default_factory=dict,
        description="meaning of event types, such as {refund: {kind: cancel, sentiment: "
        "negative}}; common names have a default",
    )
    declared: list[DeclaredFeature] = Field(
        default_factory=list, description="declared features; see `features describe`"
    )
    movable: dict[str, MovableFeature] = Field(
        default_factory=dict,
        description="what your business can move, such as {attribute_service_answer_hours: lower}: "
        "a feature, or all of an event type or group, and which way (lower, higher, either, fixed; "
        "or direction and told); for targets with wanted; none: nothing is movable",
    )
    groups: list[str] | None = Field(
        None,
        description=f"build only these groups: {', '.join(GROUPS)} and your own; none: all (taste "
        "and user_vector where their sections are given)",
    )
    correction_days: int | None = Field(
        None,
        ge=1,
        description="a night looks for corrected events in this many arrival days; none: in all "
        "history, which is always exact and reads the ids of all events",
    )

    @field_validator("windows_days")
    @classmethod
    def _ascending(cls, value: list[int]) -> list[int]:
        return checked_windows(value)

    @field_validator("event_types")
    @classmethod
    def _types(cls, value: list[str]) -> list[str]:
        checked_names(dict.fromkeys(value), "event type")
        if len(set(value)) != len(value):
            raise ValueError("an event type is listed twice")
        return value

    @field_validator("funnels")
    @classmethod
    def _funnel_names(cls, value: dict[str, Funnel]) -> dict[str, Funnel]:
        return checked_names(value, "funnel")

    @field_validator("taxonomy")
    @classmethod
    def _known_names(cls, value: dict[str, Behaviour]) -> dict[str, Behaviour]:
        return checked_names(value, "event type")

    @model_validator(mode="after")
    def _declared_fit(self) -> FeatureSettings:
        for number, feature in enumerate(self.declared):
            for on in (feature.on, feature.to):
                if on is not None and (on.kind or on.sentiment) and not self.types_of(on):
                    what = f"kind {on.kind}" if on.kind else f"sentiment {on.sentiment}"
                    raise ValueError(f"declared[{number}]: no event type is of {what}")
            windows = self.windows_of(feature)
            if feature.name and len(windows) != 1 and feature.spec.takes_windows:
                raise ValueError(
                    f"declared[{number}]: one name for {len(windows)} columns; give one window"
                )
            if feature.counts_days and not windows:
                raise ValueError(f"declared[{number}]: give windows of {MOST_DAYS_AS_BITS} days "
                                 "at most")  # fmt: skip
        return self

    @model_validator(mode="after")
    def _conditions_have_own_names(self) -> FeatureSettings:
        conditions: dict[str, str] = {}
        for feature in self.declared:
            for on in (feature.on, feature.to):
                if on and on.name and conditions.setdefault(on.name, str(on.where)) != on.where:
                    raise ValueError(f"two conditions are named {on.name}")
                if on and on.name in self.behaviours:
                    raise ValueError(f"a condition and an event type share the name {on.name}")
        return self

    @model_validator(mode="after")
    def _groups_are_known(self) -> FeatureSettings:
        if self.taste is None and "taste" in (self.groups or ()):
            raise ValueError("groups: taste needs the section taste; {} takes the defaults")
        if self.user_vector is None and "user_vector" in (self.groups or ()):
            raise ValueError("groups: user_vector needs its section; {} takes the defaults")
        own = self.taste.event_types if self.taste else None
        unlisted = sorted(set(own or ()) - set(self.behaviours))
        if unlisted:
            raise ValueError(f"taste: no event type {unlisted[0]}; list it in event_types")
        groups = {*GROUPS, *(feature.group for feature in self.declared)}
        if set(self.groups or ()) - groups:
            groups |= set(FAMILIES.names()) - set(ALWAYS_BUILT)
        unknown = sorted(set(self.groups or ()) - groups)
        if unknown:
            raise ValueError(f"no group {unknown[0]}; known: {', '.join(sorted(groups))}")
        return self

    @property
    def behaviours(self) -> dict[str, Behaviour]:
        """Kind and sentiment of every event type that the settings name."""
        named = [feature.on.type for feature in self.declared]
        named += [feature.to.type for feature in self.declared if feature.to]
        types = [*self.event_types, *self.taxonomy, *[name for name in named if name]]
        return {name: described(name, self.taxonomy.get(name)) for name in types}

    def types_of(self, on: On) -> list[str]:
        """Event types with the type, kind or sentiment of ``on``."""
        return [
            name
            for name, behaviour in self.behaviours.items()
            if name == on.type
            or (on.kind is not None and behaviour.kind == on.kind)
            or (on.sentiment is not None and behaviour.sentiment == on.sentiment)
        ]

    def windows_of(self, feature: DeclaredFeature) -> list[int]:
        """Windows of a declared feature; by default all that its operation supports."""
        if not feature.spec.takes_windows:
            return []
        longest = MOST_DAYS_AS_BITS if feature.counts_days else self.windows_days[-1]
        return feature.windows or [days for days in self.windows_days if days <= longest]

    def built(self, group: str) -> bool:
        """Whether a feature group is built."""
        asked_for = {
            "taste": self.taste is not None,
            "seasons": self.same_season,
            "user_vector": self.user_vector is not None,
        }
        return asked_for.get(group, True) and (self.groups is None or group in self.groups)

    @property
    def longest_window(self) -> int:
        """Length of the longest window, in days."""
        return max([self.windows_days[-1], *[w for f in self.declared for w in f.windows or ()]])
