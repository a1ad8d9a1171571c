"""Settings of funnels, of machine-like users and of the leakage check."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from behavior_spark.config.section import Section


class Funnel(Section):
    """Steps a user takes in this order, others between them or not."""

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
            raise ValueError("a step stands twice")
        return value


class BotSettings(Section):
    """When a user is taken for a machine. A threshold that is null is not applied."""

    window_days: int = Field(
        30, ge=1, description="days before as_of: the sessions with an event in them are judged"
    )
    events_per_day: int | None = Field(
        2000, ge=1, description="volume: at least so many events an active day"
    )
    quartile_distances: float | None = Field(
        3.0,
        gt=0,
        description="volume: events an active day, on a logarithmic scale, so many interquartile "
        "ranges above the third quartile of all users (Tukey 1977 calls 3 far out)",
    )
    quartile_floor: int = Field(
        200, ge=1, description="with quartile_distances: fewer events a day are never too many"
    )
    events_per_minute: float | None = Field(
        60.0,
        gt=0,
        description="rate: moments with an event, on average over a session of "
        "min_session_events or more",
    )
    min_session_events: int = Field(100, ge=2, description="shorter sessions have no rate")
    gap_variation: float | None = Field(
        0.2,
        gt=0,
        description="regularity: standard deviation of the pauses between events over their "
        "mean, at most; people are near 1 and above, a timer is near 0",
    )
    min_gaps: int = Field(100, ge=2, description="fewer pauses have no regularity")


class LeakageSettings(Section):
    """What `check-leakage` finds suspicious."""

    suspicious_auc: float = Field(
        0.95,
        gt=0.5,
        le=1,
        description="a feature that ranks a target this well alone, either way up, is shown",
    )
    shuffled_deviations: float = Field(
        3.3,
        gt=0,
        description="standard deviations by which the AUC on shuffled labels may be off 0.5; "
        "3.3 is wrong once in a thousand checks",
    )
