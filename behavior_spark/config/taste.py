"""Settings of taste: what a user's items say about the items of a target."""

from __future__ import annotations

from pydantic import Field, field_validator

from behavior_spark.config.section import Section


class TasteSettings(Section):
    """The features of the group ``taste``, of targets with a condition on items."""

    days: int = Field(
        365, ge=30, le=730, description="days before as_of whose events are read; what is older "
        "has no part in taste",
    )  # fmt: skip
    half_life_days: float = Field(
        90.0, gt=0, description="an event of so many days ago counts half, one of twice as many a "
        "quarter",
    )  # fmt: skip
    event_types: list[str] | None = Field(
        None, min_length=1, description="event types whose items are a user's baskets; by default "
        "those of features.event_types",
    )  # fmt: skip
    smoothing: float = Field(
        30.0, gt=0, description="weight of an item: as if it had been in so many more baskets, "
        "with the target as often as in all; keeps weights of rare items small",
    )  # fmt: skip

    @field_validator("event_types")
    @classmethod
    def _each_once(cls, value: list[str] | None) -> list[str] | None:
        if value is not None and len(set(value)) != len(value):
            raise ValueError("an event type is listed twice")
        return value
