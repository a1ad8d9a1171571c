"""The section ``targets``: what is predicted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

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
    who: Literal["everybody", "never_before", "before"] = Field(
        "everybody",
        description="whose outcome is predicted: everybody's; never_before: of users who never "
        "did it before as_of (the first time); before: of users who did (again)",
    )
    seen_within_days: int | None = Field(
        None,
        ge=1,
        description="only of users with any event within so many days before as_of; by default "
        "of all",
    )
    wanted: Literal["more", "less"] | None = Field(
        None,
        description="which way predictions should go: of what features.movable names, the nearest "
        "change that moves a user's prediction so is told; none: none is looked for",
    )
    told: list[str] = Field(
        default_factory=list,
        max_length=2,
        description="one of its events in reasons, and several if an s is not enough, such as "
        "[purchase of a lunch bag, purchases of lunch bags]; by default 'event that counts for "
        "NAME'",
    )
    description: str = Field("", description="meaning of a high prediction, for readers")

    @property
    def words(self) -> tuple[str, str]:
        """One of its past events in a sentence, and several; empty if the config has no words."""
        if not self.told:
            return "", ""
        one, *several = self.told
        return one, several[0] if several else f"{one}s"

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, value: str) -> str:
        return known_name(TARGET_KINDS, value)

    @property
    def meaning(self) -> dict[str, Any]:
        """Everything that the meaning of a prediction depends on, as JSON values."""
        # Defaults are left out, so that models made before there was a choice stay valid.
        defaults = {"kind": "does", "who": "everybody", "seen_within_days": None}
        usual = {name for name, default in defaults.items() if getattr(self, name) == default}
        return self.model_dump(exclude={"description", "wanted", "told"} | usual)

    @property
    def of_everybody(self) -> bool:
        """Whether it is predicted of all users."""
        return self.who == "everybody" and self.seen_within_days is None

    def is_event_type(self, event_types: Sequence[str]) -> str | None:
        """The event type that the target is, such as of ``event_type = 'purchase'``; else None."""
        if self.item:
            return None
        condition = " ".join(self.event.split())
        return next((n for n in event_types if condition == f"event_type = '{n}'"), None)
