"""Settings of funnels, of bots and of what kinds of events never have."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from behavior_spark.config.section import Section


class Funnel(Section):
    """Event types in an order; other events may be between them."""

    steps: Annotated[list[str], Field(min_length=2, max_length=10)] = Field(
        description="event types in order, such as [view, cart, purchase]"
    )
    within: Literal["session"] | Annotated[int, Field(ge=1, le=365)] = Field(
        "session", description="session, or the days from the first step to the last"
    )

    @field_validator("steps")
    @classmethod
    def _each_once(cls, value: list[str]) -> list[str]:
        if len(set(value)) != len(value):
            raise ValueError("a step is listed twice")
        return value


class Without(Section):
    """Event types that never have a value or an item, by the column."""

    value: list[str] = Field(
        default_factory=list, description="event types that never have a value, or always 0"
    )
    item_id: list[str] = Field(
        default_factory=list, description="event types that are never on an item"
    )

    def of(self, column: str) -> list[str]:
        """Event types that never have a column; empty for every other column."""
        return {"value": self.value, "item_id": self.item_id}.get(column, [])

    @property
    def by_column(self) -> dict[str, list[str]]:
        """Event types by column, of the columns that have any."""
        return {column: self.of(column) for column in ("value", "item_id") if self.of(column)}


class BotSettings(Section):
    """When a user is a bot. A threshold that is null is not applied."""

    window_days: int = Field(
        30, ge=1, description="days before as_of; sessions with an event in these days count"
    )
    events_per_day: int | None = Field(
        2000, ge=1, description="volume: at least this many events per active day"
    )
    quartile_distances: float | None = Field(
        3.0,
        gt=0,
        description="volume: events per active day, on a logarithmic scale, at least this many "
        "interquartile ranges above the third quartile of all users (Tukey 1977 calls 3 far out)",
    )
    quartile_floor: int = Field(
        200, ge=1, description="with quartile_distances: fewer events per day are never too many"
    )
    events_per_minute: float | None = Field(
        60.0,
        gt=0,
        description="rate: at least this many moments with an event per minute, on average over a "
        "session of min_session_events or more",
    )
    min_session_events: int = Field(
        100, ge=2, description="rate: sessions with fewer events do not count"
    )
    gap_variation: float | None = Field(
        0.2,
        gt=0,
        description="regularity: standard deviation of the pauses between events, divided by "
        "their mean, at most this; people are near 1 and above, a timer is near 0",
    )
    min_gaps: int = Field(100, ge=2, description="regularity: needs at least this many pauses")


class LeakageSettings(Section):
    """Thresholds of `check-leakage`."""

    suspicious_auc: float = Field(
        0.95,
        gt=0.5,
        le=1,
        description="a feature whose AUC alone is at least this, or at most 1 minus this, is shown",
    )
    shuffled_deviations: float = Field(
        3.3,
        gt=0,
        description="standard deviations by which AUC on shuffled outcomes may differ from 0.5; "
        "3.3 gives one false alarm in a thousand checks",
    )
