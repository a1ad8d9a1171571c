"""The clean tables that features are made of, and what of them there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import DataFrame

from behavior_spark.config import FeatureSettings, Target
from behavior_spark.config.sources import ATTRIBUTE_KEYS
from behavior_spark.errors import InputError
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


@dataclass(frozen=True)
class Offer:
    """Which features the inputs can give: what is known of them without reading a row.

    Attributes:
        texts: Whether there are texts.
        sessions: Whether table ``sessions`` is read, which tells more than the events.
        head_labels: Labels of each head in use.
        similar_to: Targets that texts can be close to: those with items of their own.
        attributes: Columns of each of the user's own tables.
    """

    texts: bool = False
    sessions: bool = False
    head_labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    similar_to: tuple[str, ...] = ()
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, inputs: Inputs, targets: Mapping[str, Target]) -> Offer:
        """What these inputs give."""
        compared = (inputs.texts, inputs.embeddings, inputs.items)
        similar = () if any(table is None for table in compared) else tuple(with_items(targets))
        return cls(
            texts=inputs.texts is not None,
            sessions=inputs.sessions is not None,
            head_labels=inputs.head_labels,
            similar_to=similar,
            attributes={
                name: [column for column in table.columns if column not in ATTRIBUTE_KEYS]
                for name, table in inputs.attributes.items()
            },
        )

    def require(self, inputs: Inputs) -> None:
        """Refuse inputs that lack what the features are made of.

        Raises:
            InputError: It names the tables.
        """
        present = {
            "texts": inputs.texts is not None or not self.texts,
            "sessions": inputs.sessions is not None or not self.sessions,
            "items and embeddings": not self.similar_to
            or (inputs.items is not None and inputs.embeddings is not None),
            "attributes": self.attributes.keys() <= inputs.attributes.keys(),
        }
        missing = [name for name, there in present.items() if not there]
        if missing:
            raise InputError(
                "the inputs lack tables that the features are made of",
                found=f"without {', '.join(missing)}",
                fix="make the FeatureSet with Offer.of these inputs",
            )


def with_items(targets: Mapping[str, Target]) -> list[str]:
    """Targets with items of their own."""
    return [name for name, target in targets.items() if target.item]


@dataclass(frozen=True)
class Request:
    """What a run asks for, and what there is to make it of.

    Attributes:
        settings: Event types, windows, declared features, session gap, groups.
        targets: By name; their past occurrences are features too.
        population: SQL condition on an event: users with one before as_of get a row.
        offer: What the inputs give.
    """

    settings: FeatureSettings
    targets: Mapping[str, Target]
    population: str = "true"
    offer: Offer = field(default_factory=Offer)
