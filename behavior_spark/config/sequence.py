"""The section ``sequence``: next items of each user, by a sequence model; and user vectors."""

from __future__ import annotations

from pydantic import Field

from behavior_spark.config.section import Section


class SequenceTraining(Section):
    """What a sequence model reads, and how it is trained."""

    event_types: list[str] = Field(
        default_factory=list,
        description="types of events with an item that make a user's sequence; none listed: all",
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
    width: int = Field(64, ge=8, le=1024, description="width of user vectors; a multiple of 8")
    blocks: int = Field(1, ge=1, le=12, description="layers of the transformer")
    length: int = Field(50, ge=2, le=1000, description="events back that the transformer looks")
    dropout: float = Field(0.3, ge=0, lt=1, description="share of numbers left out in training")
    epochs: int = Field(14, ge=1, description="most passes over the events")
    networks: int = Field(1, ge=1, le=10, description="networks whose scores are added up")
    seed: int = Field(7, description="seed of training")


class SequenceSettings(SequenceTraining):
    """Whether and how next items of each user are predicted."""

    next_items: int = Field(10, ge=1, le=1000, description="number of items for each user")
    leave_out_seen: bool = Field(
        True, description="leave out items of the user's own events, as many as are read"
    )
    reasons: int = Field(
        5,
        ge=0,
        le=50,
        description="newest events among which the reason of an item is looked for; 0: no reasons",
    )
    retrain_every_days: int = Field(
        7, ge=1, description="a night trains again if the model is older than this many days"
    )


class UserVectorSettings(SequenceTraining):
    """The features of the group ``user_vector``: what a sequence model makes of a user's events."""

    dimensions: int = Field(16, ge=1, le=64, description="number of features: principal components")
    width: int = Field(32, ge=8, le=1024, description="width of the model; a multiple of 8")
    retrain_every_days: int = Field(
        90,
        ge=1,
        description="a night trains the model again if its first training day has moved on by so "
        "many days; then all targets are trained again too",
    )
