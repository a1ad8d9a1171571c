"""Base classes of operations on events, which compute a column from statistics of tiles.

As with Chronon's aggregators (``aggregator/base/BaseAggregator.scala``), an operation is a class
that names the partial aggregates it needs and computes the final value from them. Here partial
aggregates are tiles, and one engine aggregates them for all features together.

The config imports the files of operations too, perhaps without Spark. So they do not import Spark
at the top; methods that build columns import it.
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

    from behavior_spark.model.propensity.sayings import Saying, Told

# Columns of the events that dimensions are read from, where a log need not have them.
_READS = {"value": "value", "item_id": "item_id", "category": "item_id"}
ResultType = Literal["long", "double", "string", "strings"]


def within(days: int | None) -> str:
    """A window in words; None for all history.

    >>> within(7)
    'in the 7 days before as_of'
    """
    return f"in the {days} days before as_of" if days else "ever"


def lately(days: int | None) -> str:
    """A window in a sentence; None for all history.

    >>> lately(7), lately(1), lately(None)
    ('in the last 7 days', 'in the last day', 'so far')
    """
    if days is None:
        return "so far"
    return "in the last day" if days == 1 else f"in the last {days} days"


def ending(days: int | None) -> str:
    """The window as the last part of a feature's name; None for all history.

    >>> ending(7), ending(None)
    ('7d', 'all')
    """
    return f"{days}d" if days else "all"


@dataclass(frozen=True)
class Operands:
    """Arguments of an operation on events.

    Attributes:
        events: The events.
        windows: All windows of the feature, in days, ascending; empty: all history.
        of: Dimension of the values: value, item_id, category, hour or day.
        items: Behaviour whose items are the values of this dimension.
        to: Events to divide by.
        k: Number of values, for ``top_k``.
        known_by: Behaviours of any event: a user is known since the first of them. By default those
            of ``events``.
    """

    events: Selection
    windows: tuple[int, ...] = ()
    of: str | None = None
    items: str = ""
    to: Selection | None = None
    k: int = 1
    known_by: tuple[str, ...] = ()

    @property
    def values(self) -> str:
        """The dimension as part of a column name."""
        return (self.of or "").removesuffix("_id")

    @property
    def divisor(self) -> Selection:
        """Events to divide by.

        Raises:
            ValueError: ``to`` is None.
        """
        if self.to is None:
            raise ValueError("the operation divides, and was given nothing to divide by")
        return self.to


class EventOperation(ABC):
    """An operation on events, with one column for each window.

    Attributes:
        spec: Its declaration.
        result: Type of the column; models use long and double.
        zero: Whether the column is 0 without events; otherwise it is null.
    """

    spec: ClassVar[OperationSpec]
    result: ClassVar[ResultType] = "double"
    zero: ClassVar[bool] = False

    @abstractmethod
    def name(self, operands: Operands, days: int | None) -> str:
        """Name of the column for a window (days; None: all history)."""

    @abstractmethod
    def comment(self, operands: Operands, days: int | None) -> str:
        """Meaning of the column in words."""

    def saying(self, operands: Operands, days: int | None) -> Saying | None:
        """How a value is told in a reason; None: the column's meaning and the value."""
        return None

    @abstractmethod
    def needs(self, operands: Operands, days: int | None) -> tuple[Need, ...]:
        """Statistics of tiles that the column is computed from."""

    def value(self, operands: Operands, days: int | None, totals: Sequence[Column]) -> Column:
        """The column, computed from ``needs``.

        Args:
            operands: Arguments of the operation.
            days: Window; None: all history.
            totals: Value of each need, in order; null without events.
        """
        return totals[0]

    def ranked(self, operands: Operands, days: int | None) -> Ranked | None:
        """The ranking that the column is computed from, instead of needs and value."""
        return None

    def windows(self, operands: Operands) -> Sequence[int | None]:
        """Windows of the columns; None for all history."""
        return operands.windows or (None,)

    def looks_back(self, operands: Operands, days: int | None) -> int | None:
        """Days before as_of that the column for a window depends on; None: all history."""
        return days

    def definition(
        self, operands: Operands, days: int | None, *, name: str = "", comment: str = ""
    ) -> Definition:
        """Definition of the column for one window; name and comment replace the default ones."""
        from behavior_spark.features.declared import TYPES, Feature

        feature = Feature(
            name or self.name(operands, days),
            TYPES[self.result],
            comment or self.comment(operands, days),
            zero=self.zero,
            window=self.looks_back(operands, days),
            source="events and items" if operands.of == "category" else "",
            reads=_READS.get(self._dimension(operands), ""),
            told=self._told(operands, days),
        )
        ranked = self.ranked(operands, days)
        if ranked is not None:
            return Definition(feature, ranked=ranked)
        value = partial(self._value, operands, days)
        return Definition(feature, self.needs(operands, days), value)

    def _told(self, operands: Operands, days: int | None) -> Told | None:
        from behavior_spark.model.propensity.sayings import Told

        saying = self.saying(operands, days)
        return Told(operands.events.name, self.spec.name, saying) if saying else None

    def _dimension(self, operands: Operands) -> str:
        """What the values are of; empty: of the events themselves."""
        allowed = self.spec.of
        return (operands.of if operands.of in allowed else allowed[0]) or "" if allowed else ""

    def _value(self, operands: Operands, days: int | None, *totals: Column) -> Column:
        return self.value(operands, days, totals)

    def definitions(self, operands: Operands) -> list[Definition]:
        """Definitions of the columns for all windows."""
        return [self.definition(operands, days) for days in self.windows(operands)]


class RankingOperation(EventOperation):
    """An operation that ranks items and takes the first ones; see ``Ranked``."""

    result: ClassVar[ResultType] = "string"

    def needs(self, operands: Operands, days: int | None) -> tuple[Need, ...]:
        """Empty: items are ranked instead."""
        return ()

    @abstractmethod
    def ranked(self, operands: Operands, days: int | None) -> Ranked:
        """The ranking, and the number of items to take."""
