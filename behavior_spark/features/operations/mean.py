"""The mean of the events' values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from behavior_spark.config.operations import OperationSpec
from behavior_spark.features.operation import EventOperation, Operands, ending, lately, within
from behavior_spark.features.tiles.definitions import Need
from behavior_spark.model.propensity.sayings import Saying

if TYPE_CHECKING:
    from pyspark.sql import Column


class Mean(EventOperation):
    """The mean of the events' values; null where none has one."""

    spec = OperationSpec("mean", "mean of the events' values", of=("value",))

    def name(self, operands: Operands, days: int | None) -> str:
        """Such as ``cart_value_mean_7d``."""
        return f"{operands.events.name}_value_mean_{ending(days)}"

    def comment(self, operands: Operands, days: int | None) -> str:
        """Its meaning."""
        return f"mean value of {operands.events.words} events {within(days)}"

    def saying(self, operands: Operands, days: int | None) -> Saying:
        """In a reason."""
        events, when = operands.events, lately(days)
        none = f"no {events.one} with a value {when}"
        return Saying(f"{events.many} worth {{n}} on average {when}", none=none, unit="amount")

    def needs(self, operands: Operands, days: int | None) -> tuple[Need, ...]:
        """Sum of values, and number of events with a value."""
        behaviours = operands.events.behaviours
        return Need("v", behaviours, days), Need("p", behaviours, days)

    def value(self, operands: Operands, days: int | None, totals: Sequence[Column]) -> Column:
        """Sum divided by number."""
        from pyspark.sql import functions as F

        total, valued = totals
        return F.try_divide(total.cast("double"), valued)


OPERATION = Mean()
