"""The section ``sequence``: next items of each user, by a sequence model."""

from __future__ import annotations

from pydantic import Field

from behavior_spark.config.section import Section


class SequenceSettings(Section):
    """Whether and how next items of each user are predicted."""

    event_types: list[str] = Field(
        default_factory=list,
        description="types of events with an item that make a user's sequence; none listed: all",
    )
    next_items: int = Field(10, ge=1, le=1000, description="number of items for each user")
    leave_out_seen: bool = Field(
        True, description="leave out items of the user's own events, as many as are read"
    )
    days: int = Field(365, ge=1, description="days before as_of whose events are read")
    max_events: int = Field(
        200, ge=2, description="newest events of each user that are read; the others are not seen"
    )
    max_users: int = Field(
        200_000, ge=100, description="most users to learn from; more are sampled by hash"
    )
    min_item_events: int = Field(
        3, ge=1, description="items with fewer events are known by their words alone"
    )
    reasons: int = Field(
        5,
        ge=0,
        le=50,
        description="newest events among which the reason of an item is looked for; 0: no reasons",
    )
    width: int = Field(64, ge=8, le=1024, description="width of user vectors; a multiple of 8")
    blocks: int = Field(1, ge=1, le=12, description="layers of the transformer")
    length: int = Field(50, ge=2, le=1000, description="events back that the transformer looks")
    dropout: float = Field(0.3, ge=0, lt=1, description="share of numbers left out in training")
    epochs: int = Field(14, ge=1, description="most passes over the events")
    networks: int = Field(1, ge=1, le=10, description="networks whose scores are added up")
    retrain_every_days: int = Field(
        7, ge=1, description="a night trains again if the model is older than this many days"
    )
    seed: int = Field(7, description="seed of training")
