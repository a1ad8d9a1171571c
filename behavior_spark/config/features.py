"""Which features are built: the taxonomy of events, the windows, and features of one's own.

A declared feature says on which events (``on``), what is done with them (``op``, ``of``) and over
which days before as_of (``windows``). Its name follows by rule:

    - {on: {type: cart}, op: count, windows: [7]}                   cart_count_7d
    - {on: {kind: purchase}, op: mean, of: value, windows: [30]}    kind_purchase_value_mean_30d
    - {on: {sentiment: negative}, op: recency}                      negative_recency_days
    - {on: {where: value > 100, name: dear}, op: count}             dear_count_1d, ...
    - {on: {type: cart}, op: ratio, to: {type: view}}               cart_per_view_7d, ...
    - {op: text_share, head: emotion, label: anger, windows: [14]}  emotion_anger_share_14d
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from behavior_spark.config.behaviour import BotSettings, Funnel
from behavior_spark.config.operations import (
    MOST_DAYS_AS_BITS,
    OperationSpec,
    operation_spec,
    operation_specs,
)
from behavior_spark.config.section import NAME, Section, checked_names
from behavior_spark.errors import ConfigError
from behavior_spark.extensions import FAMILIES, OPERATIONS

Kind = Literal[
    "browse", "search", "click", "cart", "purchase", "cancel", "contact", "post", "other"
]
Sentiment = Literal["positive", "neutral", "negative"]
Dimension = Literal["value", "item_id", "category", "hour", "day"]
GROUPS = ("activity", "targets", "sessions", "funnels", "attributes", "texts")

# Families that ``groups`` does not choose among: they are built in any case.
ALWAYS_BUILT = ("bots", "declared")

_USUAL: dict[str, tuple[Kind, Sentiment]] = {
    "view": ("browse", "neutral"), "page_view": ("browse", "neutral"),
    "browse": ("browse", "neutral"), "search": ("search", "neutral"),
    "click": ("click", "neutral"), "cart": ("cart", "positive"),
    "add_to_cart": ("cart", "positive"), "purchase": ("purchase", "positive"),
    "order": ("purchase", "positive"), "cancel": ("cancel", "negative"),
    "return": ("cancel", "negative"), "refund": ("cancel", "negative"),
    "contact": ("contact", "neutral"), "complaint": ("contact", "negative"),
    "post": ("post", "neutral"), "review": ("post", "neutral"), "comment": ("post", "neutral"),
    "question": ("post", "neutral"), "answer": ("post", "positive"),
}  # fmt: skip


class Behaviour(Section):
    """What an event type means."""

    kind: Kind = Field("other", description=f"one of {', '.join(get_args(Kind))}")
    sentiment: Sentiment = Field("neutral", description="positive | neutral | negative")


class On(Section):
    """Which events a feature is about: one of these; nothing means every event."""

    type: str | None = Field(None, description="events of this type")
    kind: Kind | None = Field(None, description="events whose type is of this kind (taxonomy)")
    sentiment: Sentiment | None = Field(None, description="events whose type has this sign")
    where: str | None = Field(None, description="SQL condition on an event; give it a name")
    name: str | None = Field(None, description="how features name the events of a condition")

    @model_validator(mode="after")
    def _one(self) -> On:
        chosen = [self.type, self.kind, self.sentiment, self.where]
        if sum(each is not None for each in chosen) > 1:
            raise ValueError("give one of type, kind, sentiment and where")
        if (self.where is None) != (self.name is None):
            raise ValueError("where and name go together: the name begins the columns' names")
        for name in (self.type, self.name):
            if name is not None and not NAME.match(name):
                raise ValueError(f"{name!r} must be lower-case letters, digits and _")
        return self


class DeclaredFeature(Section):
    """A feature of one's own."""

    name: str | None = Field(
        None, description="column name instead of the one by rule; for one window alone"
    )
    group: str = Field("declared", description="shown by features describe, chosen by groups")
    on: On = Field(On(), description="which events")
    op: str = Field(
        description="what is done with them", json_schema_extra=lambda schema: _list_ops(schema)
    )
    of: Dimension | None = Field(None, description="of what: value, item_id, category, hour, day")
    to: On | None = Field(None, description="ratio: the events to divide by")
    k: int = Field(3, ge=1, le=20, description="top_k: how many")
    head: str | None = Field(None, description="text_share, text_mean: the head that labels texts")
    label: str | None = Field(None, description="text_share, text_mean: the label")
    target: str | None = Field(None, description="text_similarity: the target")
    windows: list[int] | None = Field(
        None, description="days before as_of; by default features.windows_days"
    )
    description: str = Field("", description="meaning; by default one made of the above")

    @model_validator(mode="before")
    @classmethod
    def _on_is_a_word(cls, value: object) -> object:
        """YAML 1.1 reads a bare ``on`` as true."""
        if isinstance(value, dict) and True in value:
            return {("on" if key is True else key): each for key, each in value.items()}
        return value

    @field_validator("op")
    @classmethod
    def _known(cls, value: str) -> str:
        try:
            OPERATIONS.require(value)
        except ConfigError:
            *others, last = [repr(name) for name in OPERATIONS.names()]
            expected = f"{', '.join(others)} or {last}"
            raise PydanticCustomError("literal_error", f"Input should be {expected}") from None
        return value

    @field_validator("name", "group")
    @classmethod
    def _plain(cls, value: str | None) -> str | None:
        if value is not None and not NAME.match(value):
            raise ValueError(f"{value!r} must be lower-case letters, digits and _")
        return value

    @field_validator("windows")
    @classmethod
    def _ascending(cls, value: list[int] | None) -> list[int] | None:
        return value if value is None else checked_windows(value)

    @model_validator(mode="after")
    def _possible(self) -> DeclaredFeature:
        self.spec.check(self)
        return self

    @property
    def spec(self) -> OperationSpec:
        """What the operation may be declared with."""
        return operation_spec(self.op)

    @property
    def dimension(self) -> str | None:
        """``of``, or what is meant without it."""
        return self.of or next(iter(self.spec.of), None)

    @property
    def counts_days(self) -> bool:
        """Whether days are kept as bits, which limits the windows."""
        return self.spec.counts_days(self.of)


class FeatureSettings(Section):
    """Which features are built."""

    event_types: list[str] = Field(
        default_factory=list,
        description="event types that get features of their own; all count in the totals",
    )
    windows_days: Annotated[list[int], Field(min_length=1)] = Field(
        default=[1, 7, 30, 90], description="days before as_of; 1 is real time, the last day"
    )
    session_gap_minutes: int = Field(
        30, ge=1, description="inactivity that ends a session, where the log has no session id"
    )
    funnels: dict[str, Funnel] = Field(
        default_factory=dict,
        description="by name: steps (event types in order) and within (session, or days)",
    )
    bots: BotSettings = Field(
        default_factory=BotSettings, description="when a user is taken for a machine"
    )
    taxonomy: dict[str, Behaviour] = Field(
        default_factory=dict,
        description="what an event type means, such as {refund: {kind: cancel, sentiment: "
        "negative}}; usual names are known",
    )
    declared: list[DeclaredFeature] = Field(
        default_factory=list, description="features of your own; see `features describe`"
    )
    groups: list[str] | None = Field(
        None,
        description=f"build these groups alone, of {', '.join(GROUPS)} and your own; none: all",
    )
    correction_days: int | None = Field(
        None,
        ge=1,
        description="a night looks this many arrival days back for events it corrects; none: "
        "all of them, which is exact at any distance and reads the ids of all history",
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
            raise ValueError("an event type stands twice")
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
    def _consistent(self) -> FeatureSettings:
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
        named: dict[str, str] = {}
        for feature in self.declared:
            for on in (feature.on, feature.to):
                if on and on.name and named.setdefault(on.name, str(on.where)) != on.where:
                    raise ValueError(f"two conditions are named {on.name}")
                if on and on.name in self.behaviours:
                    raise ValueError(f"a condition and an event type share the name {on.name}")
        known = {*GROUPS, *(feature.group for feature in self.declared)}
        if set(self.groups or ()) - known:
            known |= set(FAMILIES.names()) - set(ALWAYS_BUILT)
        unknown = sorted(set(self.groups or ()) - known)
        if unknown:
            raise ValueError(f"no group {unknown[0]}; known: {', '.join(sorted(known))}")
        return self

    @property
    def behaviours(self) -> dict[str, Behaviour]:
        """Meaning of every event type that is named anywhere."""
        named = [feature.on.type for feature in self.declared]
        named += [feature.to.type for feature in self.declared if feature.to]
        types = [*self.event_types, *self.taxonomy, *[name for name in named if name]]
        return {name: self.taxonomy.get(name) or usual_behaviour(name) for name in types}

    def types_of(self, on: On) -> list[str]:
        """The event types of a type, kind or sentiment."""
        return [
            name
            for name, behaviour in self.behaviours.items()
            if name == on.type
            or (on.kind is not None and behaviour.kind == on.kind)
            or (on.sentiment is not None and behaviour.sentiment == on.sentiment)
        ]

    def windows_of(self, feature: DeclaredFeature) -> list[int]:
        """Windows of a declared feature; those too long for it are left out of the default."""
        if not feature.spec.takes_windows:
            return []
        longest = MOST_DAYS_AS_BITS if feature.counts_days else self.windows_days[-1]
        return feature.windows or [days for days in self.windows_days if days <= longest]

    def built(self, group: str) -> bool:
        """Whether a group is to be built."""
        return self.groups is None or group in self.groups

    @property
    def longest_window(self) -> int:
        """Days that windows look back at most."""
        return max([self.windows_days[-1], *[w for f in self.declared for w in f.windows or ()]])


def usual_behaviour(event_type: str) -> Behaviour:
    """What a type of such a name usually means.

    >>> usual_behaviour("cancel").kind, usual_behaviour("cancel").sentiment
    ('cancel', 'negative')
    >>> usual_behaviour("badge").kind
    'other'
    """
    kind, sentiment = _USUAL.get(event_type, ("other", "neutral"))
    return Behaviour(kind=kind, sentiment=sentiment)


def checked_windows(value: list[int]) -> list[int]:
    """Windows, if they are positive, ascending and not longer than two years.

    Raises:
        ValueError: They are not.
    """
    if not value or any(day < 1 for day in value) or sorted(set(value)) != value:
        raise ValueError("windows must be positive days, ascending, each once")
    if value[-1] > 730:
        raise ValueError("a window is 730 days at most: what is older is lifelong")
    return value


def _list_ops(schema: dict[str, Any]) -> None:
    """Each operation with its line of documentation, as JSON Schema says it."""
    schema["oneOf"] = [{"const": spec.name, "description": spec.doc} for spec in operation_specs()]
