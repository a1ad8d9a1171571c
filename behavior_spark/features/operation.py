"""What an operation on events is: one class that says how a column follows from tiles.

The idea is that of Chronon's aggregators (``aggregator/base/BaseAggregator.scala``): an operation
is one class that names what it needs of partial aggregates, and finishes it. Here the partial
aggregates are tiles, and one engine adds them up for all features together.

An operation's file is read by the config too, where there may be no Spark: at its top it imports
none. The methods that make columns import it themselves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, ClassVar, Literal

from behavior_spark.config.operations import OperationSpec
from behavior_spark.features.tiles.definitions import Definition, Need, Ranked, Selection

if TYPE_CHECKING:
    from pyspark.sql import Column

ResultType = Literal["long", "double", "string", "strings"]


def within(days: int | None) -> str:
    """Words for a window; None: all history.

    >>> within(7)
    'in the 7 days before as_of'
    """
    return f"in the {days} days before as_of" if days else "ever"


def ending(days: int | None) -> str:
    """The end of a feature's name: its window.

    >>> ending(7), ending(None)
    ('7d', 'all')
    """
    return f"{days}d" if days else "all"


@dataclass(frozen=True)
class Operands:
    """What an operation on events is done with.

    Attributes:
        events: The events.
        windows: All windows of the feature, ascending; none: all history.
        of: Dimension whose values are looked at: value, item_id, category, hour or day.
        items: Behaviour whose items are these values.
        to: Events to divide by.
        k: How many values are taken.
    """

    events: Selection
    windows: tuple[int, ...] = ()
    of: str | None = None
    items: str = ""
    to: Selection | None = None
    k: int = 1

    @property
    def values(self) -> str:
        """The dimension as part of a name."""
        return (self.of or "").removesuffix("_id")

    @property
    def divisor(self) -> Selection:
        """Events to divide by.

        Raises:
            ValueError: There are none.
        """
        if self.to is None:
            raise ValueError("the operation divides, and was given nothing to divide by")
        return self.to


class EventOperation(ABC):
    """What is done with events: a column for each window.

    Attributes:
        spec: What it may be declared with.
        result: Type of the column; models learn from long and double.
        zero: Whether the column is 0 where nothing was seen; else it is null.
    """

    spec: ClassVar[OperationSpec]
    result: ClassVar[ResultType] = "double"
    zero: ClassVar[bool] = False

    @abstractmethod
    def name(self, operands: Operands, days: int | None) -> str:
        """Name of the column for a window (days; None: all history)."""

    @abstractmethod
    def comment(self, operands: Operands, days: int | None) -> str:
        """Its meaning in words."""

    @abstractmethod
    def needs(self, operands: Operands, days: int | None) -> tuple[Need, ...]:
        """The statistics of tiles from which it follows."""

    def value(self, operands: Operands, days: int | None, totals: Sequence[Column]) -> Column:
        """The column from its needs, one total each in their order; null where none was seen."""
        return totals[0]

    def ranked(self, operands: Operands, days: int | None) -> Ranked | None:
        """Instead of needs and value: an order of items of which the first are taken."""
        return None

    def windows(self, operands: Operands) -> Sequence[int | None]:
        """Windows of the columns: those that were asked for, or None for all history."""
        return operands.windows or (None,)

    def looks_back(self, operands: Operands, days: int | None) -> int | None:
        """Days that a column looks back in all."""
        return days

    def definition(
        self, operands: Operands, days: int | None, *, name: str = "", comment: str = ""
    ) -> Definition:
        """The column for one window; with a name and meaning other than those by rule."""
        from behavior_spark.features.declared import TYPES, Feature

        feature = Feature(
            name or self.name(operands, days),
            TYPES[self.result],
            comment or self.comment(operands, days),
            zero=self.zero,
            window=self.looks_back(operands, days),
            source="events and items" if operands.of == "category" else "",
        )
        ranked = self.ranked(operands, days)
        if ranked is not None:
            return Definition(feature, ranked=ranked)
        value = partial(self._value, operands, days)
        return Definition(feature, self.needs(operands, days), value)

    def _value(self, operands: Operands, days: int | None, *totals: Column) -> Column:
        return self.value(operands, days, totals)

    def definitions(self, operands: Operands) -> list[Definition]:
        """A column for each window."""
        return [self.definition(operands, days) for days in self.windows(operands)]


class RankingOperation(EventOperation):
    """Values in an order, of which the first are taken: see ``Ranked``."""

    result: ClassVar[ResultType] = "string"

    def needs(self, operands: Operands, days: int | None) -> tuple[Need, ...]:
        """None: the items themselves are ranked."""
        return ()

    @abstractmethod
    def ranked(self, operands: Operands, days: int | None) -> Ranked:
        """The order, and how many are taken."""
