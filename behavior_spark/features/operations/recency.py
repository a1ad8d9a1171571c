"""Days since the last event; and days since the first event, for built-in features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from behavior_spark.config.operations import OperationSpec
from behavior_spark.features.operation import EventOperation, Operands
from behavior_spark.features.tiles.definitions import Need
from behavior_spark.model.propensity.sayings import Saying

if TYPE_CHECKING:
    from pyspark.sql import Column

DAY_SECONDS = 86_400


def days_since(time: Column) -> Column:
    """Days from a time to as_of, in whole seconds, to four decimals; null stays null."""
    from pyspark.sql import functions as F

    seconds = F.unix_timestamp(F.col("as_of").cast("timestamp")) - F.unix_timestamp(time)
    return F.round(seconds / DAY_SECONDS, 4)


class Recency(EventOperation):
    """Days since the last event, over all history."""

    spec = OperationSpec("recency", "days since the last event, over all history", fewest_windows=0)

    def name(self, operands: Operands, days: int | None) -> str:
        """Such as ``cart_recency_days``."""
        return f"{operands.events.name}_recency_days"

    def comment(self, operands: Operands, days: int | None) -> str:
        """Its meaning."""
        return f"days since the last {operands.events.words} events"

    def saying(self, operands: Operands, days: int | None) -> Saying:
        """In a reason."""
        event = operands.events.one
        return Saying(f"last {event} {{n}} ago", none=f"no {event} so far", unit="days")

    def needs(self, operands: Operands, days: int | None) -> tuple[Need, ...]:
        """Time of the last event."""
        return (Need("last", operands.events.behaviours, None),)

    def value(self, operands: Operands, days: int | None, totals: Sequence[Column]) -> Column:
        """Days from that time to as_of."""
        return days_since(totals[0])


class Tenure(Recency):
    """Days since the first event, over all history. It cannot be declared; see ``tenure_days``."""

    def name(self, operands: Operands, days: int | None) -> str:
        """Such as ``cart_tenure_days``."""
        return f"{operands.events.name}_tenure_days"

    def comment(self, operands: Operands, days: int | None) -> str:
        """Its meaning."""
        return f"days since the first {operands.events.words} events"

    def saying(self, operands: Operands, days: int | None) -> Saying:
        """In a reason."""
        event = operands.events.one
        return Saying(f"first {event} {{n}} ago", none=f"no {event} so far", unit="days")

    def needs(self, operands: Operands, days: int | None) -> tuple[Need, ...]:
        """Time of the first event."""
        return (Need("first", operands.events.behaviours, None),)


OPERATION = Recency()
