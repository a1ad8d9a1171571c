"""The clean tables that features are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame

from behavior_spark.config import Target
from behavior_spark.features.tiles.activity import Activity


@dataclass(frozen=True)
class Inputs:
    """The clean tables features are made of.

    Attributes:
        events: Contract ``events``.
        items: Contract ``items``; None where the log has none.
        texts: Contract ``texts``; None where the log has none.
        embeddings: ``text_hash, embedding``, one row per text of the backbone in use.
        scores: Contract ``text_scores``.
        heads: Digest of each head in use.
        head_labels: Labels of each head in use.
        sessions: Contract ``sessions``; None: sessions are found among the events, and there is
            no feature of what they were like, no funnel and no ``is_bot``.
        attributes: By name ``user_id, valid_from, known_at`` and doubles: the user's own tables.
        activity: Tiles of the events, where they are stored; made of the events where not.
    """

    events: DataFrame
    items: DataFrame | None = None
    texts: DataFrame | None = None
    embeddings: DataFrame | None = None
    scores: DataFrame | None = None
    heads: Mapping[str, str] = field(default_factory=dict)
    head_labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    sessions: DataFrame | None = None
    attributes: Mapping[str, DataFrame] = field(default_factory=dict)
    activity: Activity | None = None


def similar_targets(targets: Mapping[str, Target], inputs: Inputs) -> list[str]:
    """Targets that texts can be close to: those with items of their own."""
    if inputs.texts is None or inputs.embeddings is None or inputs.items is None:
        return []
    return [name for name, target in targets.items() if target.item]
