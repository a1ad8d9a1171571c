"""Number of consecutive days with events, up to as_of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from behavior_spark.config.operations import OperationSpec
from behavior_spark.features.operation import EventOperation, Operands, ending
from behavior_spark.features.tiles.definitions import Need
from behavior_spark.model.propensity.sayings import Saying

if TYPE_CHECKING:
    from pyspark.sql import Column


class Streak(EventOperation):
    """Number of consecutive days with events, up to the day before as_of."""

    spec = OperationSpec("streak", "days in a row up to as_of", days_as_bits=True)
    result = "long"
    zero = True

    def name(self, operands: Operands, days: int | None) -> str:
        """Such as ``cart_streak_7d``."""
        return f"{operands.events.name}_streak_{ending(days)}"

    def comment(self, operands: Operands, days: int | None) -> str:
        """Its meaning."""
        return f"days in a row with {operands.events.words} events up to as_of, {days} at most"

    def saying(self, operands: Operands, days: int | None) -> Saying:
        """In a reason."""
        events = operands.events
        one, zero = f"{events.many} on the last day", f"no {events.one} on the last day"
        return Saying(f"{events.many} on each of the last {{n}} days", one=one, zero=zero)

    def needs(self, operands: Operands, days: int | None) -> tuple[Need, ...]:
        """Days as bits."""
        return (Need("days", operands.events.behaviours, days),)

    def value(self, operands: Operands, days: int | None, totals: Sequence[Column]) -> Column:
        """Number of consecutive set bits from the lowest, which is the day before as_of."""
        from pyspark.sql import functions as F

        bits = F.coalesce(totals[0], F.lit(0)).cast("long")
        return F.bit_count(bits.bitwiseAND(F.bitwise_not(bits + F.lit(1))))


OPERATION = Streak()
