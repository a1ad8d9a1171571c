"""Settings of what a night takes in: what it forgives, and when it stops."""

from __future__ import annotations

from pydantic import Field

from behavior_spark.config.section import Section


class Intake(Section):
    """When rows are put right, and when a night stops because its sources cannot be right."""

    clock_skew_seconds: int = Field(
        300,
        ge=0,
        le=86_400,
        description="an arrival so little before its event is set to the event's time and "
        "counted; one earlier than that is refused",
    )
    max_bad_times_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="a night stops, and leaves the tables as they were, where a larger share of a "
        "table's rows has no usable time: a wrong unit, mostly",
    )
    max_fall_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="a night that would replace days stops where its source shows that share "
        "fewer rows of them than are stored",
    )
