"""What every activity feature is made of: which tiles, which statistic of them, which window.

The built-in features and those that the config declares are defined in the same words, so that
one engine (``windows``) builds them all. A definition names *needs*, sums over tiles, and says
how a column follows from them.

Tiles are kept by behaviour: an event type, ``""`` for types without features of their own, or a
condition whose name begins with ``?`` (a target, the population, a declared ``where``). An event
that satisfies a condition counts for it beside its type.
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
    """Events that a feature looks at.

    Attributes:
        name: Their part of the feature's name.
        words: Words for them, for the feature's meaning.
        behaviours: Behaviours whose tiles hold them.
    """

    name: str
    words: str
    behaviours: tuple[str, ...]


@dataclass(frozen=True)
class Need:
    """A statistic over the tiles of some behaviours.

    Attributes:
        stat: ``n`` events, ``v`` sum of values, ``p`` events with a value, ``i`` distinct items,
            ``m`` events with an item, ``e`` sum of n ln n over items, ``days`` active days as
            bits, ``first`` and ``last`` time.
        behaviours: Which tiles; the statistic of several is their sum (least, greatest, union).
        window: Days before as_of; None for all history.
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
    """A feature, what it needs, and how it follows from that (``None``: see ``ranked``)."""

    feature: Feature
    needs: tuple[Need, ...] = ()
    value: Callable[..., Column] | None = None
    ranked: Ranked | None = None


@dataclass(frozen=True)
class Ranked:
    """Items of a behaviour in an order: the k most frequent, the first or the last one."""

    op: str
    behaviour: str
    window: int
    k: int = 1


@dataclass(frozen=True)
class Mark:
    """A behaviour of its own: the events that satisfy a condition.

    Attributes:
        behaviour: Its name in tiles, ``?...``.
        condition: SQL over an event.
        target: The target it stands for; it counts since its item is known to match.
        item: SQL over an event: what stands in the tile as the item; by default nothing, which
            makes fewer tiles.
    """

    behaviour: str
    condition: str
    target: str | None = None
    item: str = NOTHING


@dataclass(frozen=True)
class Copy:
    """Tiles of some behaviours taken together, for what cannot be summed (distinct, entropy).

    Attributes:
        behaviour: The copy's name.
        sources: Behaviours of the tiles.
        category: Whether the items are replaced by their categories as known at as_of.
    """

    behaviour: str
    sources: tuple[str, ...]
    category: bool = False


@dataclass(frozen=True)
class Plan:
    """Everything the engine has to know.

    Attributes:
        types: Event types with tiles of their own.
        marks: Conditions with tiles of their own.
        copies: Behaviours made of others when read.
        definitions: The features, in order.
        population: Behaviours of which a user of the population has had an event.
        digest: What stored tiles rest on; where it differs they must be built anew.
    """

    types: tuple[str, ...]
    marks: tuple[Mark, ...]
    copies: tuple[Copy, ...]
    definitions: tuple[Definition, ...]
    population: tuple[str, ...]
    digest: str

    @property
    def needs(self) -> list[Need]:
        """Every need once, in order."""
        people = Need("n", self.population, None)
        return list(dict.fromkeys([people, *[n for d in self.definitions for n in d.needs]]))

    @property
    def meaning(self) -> str:
        """Digest of what every feature is made of: a model's features mean this."""
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
        """Windows that something needs, ascending."""
        ranked = {d.ranked.window for d in self.definitions if d.ranked}
        return sorted({n.window for n in self.needs if n.window} | ranked)
