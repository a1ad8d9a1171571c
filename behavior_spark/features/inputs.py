"""The clean tables from which features are computed, and which of them are available."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pyspark.sql import DataFrame

from behavior_spark.config import FeatureSettings, Target
from behavior_spark.config.sources import ATTRIBUTE_KEYS, Sources
from behavior_spark.errors import InputError
from behavior_spark.features.tiles.activity import Activity
from behavior_spark.schemas import EVENTS


class UserVectorSource(Protocol):
    """A model that makes a user's events into a few numbers."""

    @property
    def dimensions(self) -> int:
        """How many numbers."""

    @property
    def trained_through(self) -> dt.date:
        """First day after the events that it learned from."""

    def vectors(self, histories: DataFrame) -> DataFrame:
        """``as_of, user_id, vector`` (array of doubles) of rows of ``item_histories_at``."""


@dataclass(frozen=True)
class Inputs:
    """The clean tables from which features are computed.

    Attributes:
        events: Contract ``events``.
        items: Contract ``items``; None without items.
        texts: Contract ``texts``; None without texts.
        embeddings: ``text_hash, embedding``, one row per text, of the encoder in use.
        scores: Contract ``text_scores``.
        heads: Digest of each head in use.
        head_labels: Labels of each head in use.
        sessions: Contract ``sessions``. None: sessions are computed from events, and there are no
            features of their content, no funnels and no ``is_bot``.
        attributes: Tables of attributes by name: ``user_id, valid_from, known_at`` and doubles.
        activity: Stored tiles of the events; None: they are built from the events.
        user_vectors: The model of the family ``user_vector``; None: it is not built.
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
    user_vectors: UserVectorSource | None = None


@dataclass(frozen=True)
class Offer:
    """The available inputs, known without reading a row.

    Attributes:
        texts: Whether there are texts.
        sessions: Whether there are stored sessions.
        head_labels: Labels of each head in use.
        similar_to: Targets with whose items texts can be compared.
        attributes: Columns of each table of attributes.
        without: Columns of the events that no source has, of those that features are made of.
        user_vector: Numbers of a user vector; 0: there is no model of them.
    """

    texts: bool = False
    sessions: bool = False
    head_labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    similar_to: tuple[str, ...] = ()
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    user_vector: int = 0

    @classmethod
    def of(
        cls, inputs: Inputs, targets: Mapping[str, Target], *, sources: Sources | None = None
    ) -> Offer:
        """The available inputs of some tables, and of the sources that they were made from."""
        tables = (inputs.texts, inputs.embeddings, inputs.items)
        similar = () if any(table is None for table in tables) else tuple(with_items(targets))
        return cls(
            texts=inputs.texts is not None,
            sessions=inputs.sessions is not None,
            head_labels=inputs.head_labels,
            similar_to=similar,
            attributes={
                name: [column for column in table.columns if column not in ATTRIBUTE_KEYS]
                for name, table in inputs.attributes.items()
            },
            without=unmapped(sources) if sources else frozenset(),
            user_vector=inputs.user_vectors.dimensions if inputs.user_vectors else 0,
        )

    def require(self, inputs: Inputs) -> None:
        """Check that inputs have everything that this offer has.

        Raises:
            InputError: Tables are missing; the message names them.
        """
        present = {
            "texts": inputs.texts is not None or not self.texts,
            "sessions": inputs.sessions is not None or not self.sessions,
            "items and embeddings": not self.similar_to
            or (inputs.items is not None and inputs.embeddings is not None),
            "attributes": self.attributes.keys() <= inputs.attributes.keys(),
            "a model of user vectors": inputs.user_vectors is not None or not self.user_vector,
        }
        missing = [name for name, is_present in present.items() if not is_present]
        if missing:
            raise InputError(
                "the inputs lack tables that the features are made of",
                found=f"without {', '.join(missing)}",
                fix="make the FeatureSet with Offer.of these inputs",
            )


def unmapped(sources: Sources) -> frozenset[str]:
    """Columns of the events that features are made of, and that no source has."""
    return frozenset({"value", "item_id"} - sources.mapped(EVENTS.name))


def with_items(targets: Mapping[str, Target]) -> list[str]:
    """Names of the targets with a condition on items."""
    return [name for name, target in targets.items() if target.item]


@dataclass(frozen=True)
class Request:
    """The settings of a run's features, and the available inputs.

    Attributes:
        settings: Event types, windows, declared features, session gap, groups.
        targets: Targets by name; their past events are features too.
        population: SQL condition on an event: users with such an event before as_of get a row.
        offer: Available inputs.
    """

    settings: FeatureSettings
    targets: Mapping[str, Target]
    population: str = "true"
    offer: Offer = field(default_factory=Offer)
