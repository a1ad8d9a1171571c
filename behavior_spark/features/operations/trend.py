"""Events per day in a window, divided by events per day in the longest window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from behavior_spark.config.operations import OperationSpec
from behavior_spark.features.operation import EventOperation, Operands, ending, lately, within
from behavior_spark.features.tiles.definitions import Need
from behavior_spark.model.propensity.sayings import Saying

if TYPE_CHECKING:
    from pyspark.sql import Column


class Trend(EventOperation):
    """Events per day in a window divided by those in the longest window; null without events."""

    spec = OperationSpec(
        "trend", "events a day, over those a day in the longest window", fewest_windows=2
    )

    def windows(self, operands: Operands) -> Sequence[int | None]:
        """All windows except the longest, with which they are compared."""
        return operands.windows[:-1]

    def looks_back(self, operands: Operands, days: int | None) -> int | None:
        """The longest window."""
        return operands.windows[-1]

    def name(self, operands: Operands, days: int | None) -> str:
        """Such as ``cart_trend_7d``."""
        return f"{operands.events.name}_trend_{ending(days)}"

    def comment(self, operands: Operands, days: int | None) -> str:
        """Its meaning."""
        longest = operands.windows[-1]
        words = operands.events.words
        return f"{words} events a day {within(days)}, over those a day in {longest} days"

    def saying(self, operands: Operands, days: int | None) -> Saying:
        """In a reason."""
        events, longest = operands.events, operands.windows[-1]
        some = f"{events.many} {lately(days)} are {{n}} times as frequent as {lately(longest)}"
        return Saying(some, none=f"no {events.one} {lately(longest)}")

    def needs(self, operands: Operands, days: int | None) -> tuple[Need, ...]:
        """Numbers of events in the window and in the longest window."""
        behaviours = operands.events.behaviours
        return Need("n", behaviours, days), Need("n", behaviours, operands.windows[-1])

    def value(self, operands: Operands, days: int | None, totals: Sequence[Column]) -> Column:
        """The ratio of events per day."""
        from pyspark.sql import functions as F

        short, long = totals
        longest = operands.windows[-1]
        return F.try_divide(
            F.coalesce(short, F.lit(0)).cast("double") * longest, long * F.lit(days)
        )


OPERATION = Trend()
