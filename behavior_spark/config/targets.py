"""The section ``targets``: what is predicted."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from behavior_spark.config.section import Section, known_name
from behavior_spark.extensions import TARGET_KINDS


class Target(Section):
    """What a user may do within a horizon after as_of."""

    kind: str = Field(
        "does",
        description="what is predicted of the events: does (probability that at least one "
        "happens), does_not (that none happens: churn), count (their number), amount (their "
        "value), or a kind that you added",
    )
    event: str = Field(description="SQL condition on an event, such as event_type = 'purchase'")
    item: str | None = Field(
        None, description="SQL condition on its item: item_id, title, category, price"
    )
    horizon_days: int = Field(30, ge=1, le=730, description="[as_of, as_of + horizon)")
    description: str = Field("", description="meaning of a high prediction, for readers")

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, value: str) -> str:
        return known_name(TARGET_KINDS, value)

    @property
    def meaning(self) -> dict[str, Any]:
        """Everything that the meaning of a prediction depends on, as JSON values."""
        # The default kind is left out, so that models made before there was a choice stay valid.
        excluded = {"description"} | ({"kind"} if self.kind == "does" else set())
        return self.model_dump(exclude=excluded)
