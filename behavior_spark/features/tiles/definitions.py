"""Definitions of features from tiles: behaviours, statistics and windows.

Built-in and declared features have the same form of definition, so that one engine (``windows``)
computes them all. A definition has *needs*, which are statistics of tiles, and a function that
computes the column from them.

Tiles are stored by behaviour: an event type, ``""`` for types without their own features, or a
condition, whose name begins with ``?`` (a target, the population, a declared ``where``). An event
that satisfies a condition counts for it as well as for its type.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from behavior_spark.files import digest_of

if TYPE_CHECKING:  # operations are read by the config, where there may be no Spark
    from pyspark.sql import Column

    from behavior_spark.features.declared import Feature

NOTHING = "''"


@dataclass(frozen=True)
class Selection:
    """The events of a feature.

    Attributes:
        name: Their part of the feature's name.
        words: Their description, for the feature's meaning.
        behaviours: Behaviours whose tiles count them.
        told: One of them in a sentence, such as "purchase"; by default "dear event" of the words
            "dear".
        told_many: Several of them; by default with an s.
    """

    name: str
    words: str
    behaviours: tuple[str, ...]
    told: str = ""
    told_many: str = ""

    @property
    def one(self) -> str:
        """One event in a sentence."""
        return self.told or f"{self.words.replace('_', ' ')} event"

    @property
    def many(self) -> str:
        """Several events in a sentence."""
        return self.told_many or f"{self.one}s"


@dataclass(frozen=True)
class Need:
    """A statistic over the tiles of some behaviours.

    Attributes:
        stat: ``n`` events, ``v`` sum of values, ``p`` events with a value, ``i`` distinct items,
            ``m`` events with an item, ``e`` sum of n ln n over items, ``days`` active days as
            bits, ``first`` and ``last`` time.
        behaviours: Behaviours of the tiles. Statistics of several behaviours are added (or the
            minimum, maximum or union is taken).
        window: Window in days; None for all history.
    """

    stat: str
    behaviours: tuple[str, ...]
    window: int | None

    @property
    def column(self) -> str:
        """Name of the intermediate column."""
        digest = hashlib.sha256("|".join(self.behaviours).encode()).hexdigest()[:10]
        return f"_{self.stat}_{self.window or 'all'}_{digest}"


@dataclass(frozen=True)
class Definition:
    """Definition of a feature.

    Attributes:
        feature: Its column.
        needs: Statistics that it is computed from.
        value: Function from the values of ``needs`` to the column; None with ``ranked``.
        ranked: The ranking that it is computed from, instead of needs and value.
    """

    feature: Feature
    needs: tuple[Need, ...] = ()
    value: Callable[..., Column] | None = None
    ranked: Ranked | None = None


@dataclass(frozen=True)
class Ranked:
    """Ranking of the items of a behaviour.

    Attributes:
        op: ``top_k`` (most frequent), ``first`` or ``last``.
        behaviour: Behaviour whose items are ranked.
        window: Window in days.
        k: Number of items to take.
    """

    op: str
    behaviour: str
    window: int
    k: int = 1


@dataclass(frozen=True)
class Mark:
    """A behaviour of the events that satisfy a condition.

    Attributes:
        behaviour: Its name in tiles, ``?...``.
        condition: SQL condition on an event.
        target: Its target, if it is one; events then count from when their item is known to match.
        item: SQL expression on an event for the item of the tile; by default none, which makes
            fewer tiles.
    """

    behaviour: str
    condition: str
    target: str | None = None
    item: str = NOTHING


@dataclass(frozen=True)
class Copy:
    """A behaviour of several others together, for statistics that cannot be added up over
    behaviours (distinct, entropy).

    Attributes:
        behaviour: Its name.
        sources: Behaviours of its tiles.
        category: Whether items are replaced by their categories as known at as_of.
    """

    behaviour: str
    sources: tuple[str, ...]
    category: bool = False


@dataclass(frozen=True)
class Plan:
    """Tiles to store, and features to compute from them.

    Attributes:
        types: Event types with their own tiles.
        marks: Conditions with their own tiles.
        copies: Behaviours that are derived from others when tiles are read.
        definitions: The features, in order.
        population: Behaviours; a user with an event of any of them is in the population.
        digest: Digest of everything that stored tiles depend on; if it changes, they must be
            built again.
    """

    types: tuple[str, ...]
    marks: tuple[Mark, ...]
    copies: tuple[Copy, ...]
    definitions: tuple[Definition, ...]
    population: tuple[str, ...]
    digest: str

    @property
    def needs(self) -> list[Need]:
        """The distinct needs, in order; the first is the population's."""
        people = Need("n", self.population, None)
        return list(dict.fromkeys([people, *[n for d in self.definitions for n in d.needs]]))

    @property
    def meaning(self) -> str:
        """Digest of all definitions, to identify the features of a model."""
        content = [
            [
                definition.feature.name,
                [need.column for need in definition.needs],
                repr(definition.ranked),
            ]
            for definition in self.definitions
        ]
        return digest_of([self.digest, content])

    @property
    def windows(self) -> list[int]:
        """All windows in days, ascending."""
        ranked = {d.ranked.window for d in self.definitions if d.ranked}
        return sorted({n.window for n in self.needs if n.window} | ranked)

    @property
    def longest_window(self) -> int:
        """Days before as_of whose tiles are read; 0 where features are of all history alone."""
        return max(self.windows, default=0)
