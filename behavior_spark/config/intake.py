"""Settings of reading sources: which rows are corrected, and when a night stops."""

from __future__ import annotations

from pydantic import Field

from behavior_spark.config.section import Section


class Intake(Section):
    """When a row is corrected, and when a night stops because of its sources."""

    clock_skew_seconds: int = Field(
        300,
        ge=0,
        le=86_400,
        description="an arrival at most this long before its event is set to the event's time and "
        "counted; an earlier one is refused",
    )
    max_bad_times_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="a night stops, and leaves the tables unchanged, if a larger share of a "
        "table's rows has no plausible time; the usual cause is a wrong unit",
    )
    max_fall_share: float = Field(
        0.5,
        ge=0,
        le=1,
        description="a night that would replace days stops if its source has fewer rows of these "
        "days than are stored, by more than this share",
    )
