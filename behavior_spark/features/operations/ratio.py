"""Number of events divided by the number of other events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from behavior_spark.config.operations import OperationSpec
from behavior_spark.features.operation import EventOperation, Operands, ending, lately, within
from behavior_spark.features.tiles.definitions import Need
from behavior_spark.model.propensity.sayings import Saying

if TYPE_CHECKING:
    from pyspark.sql import Column


class Ratio(EventOperation):
    """Number of events divided by the number of events ``to``; null without events ``to``."""

    spec = OperationSpec("ratio", "events for each event of `to`", divides=True)

    def name(self, operands: Operands, days: int | None) -> str:
        """Such as ``cart_per_view_7d``."""
        return f"{operands.events.name}_per_{operands.divisor.name}_{ending(days)}"

    def comment(self, operands: Operands, days: int | None) -> str:
        """Its meaning."""
        events, to = operands.events.words, operands.divisor.words
        return f"{events} events for each {to} event {within(days)}"

    def saying(self, operands: Operands, days: int | None) -> Saying:
        """In a reason."""
        events, to, when = operands.events, operands.divisor, lately(days)
        none = f"no {to.one} {when}"
        return Saying(f"{{n}} {events.many} for each {to.one} {when}", none=none)

    def needs(self, operands: Operands, days: int | None) -> tuple[Need, ...]:
        """Numbers of both kinds of events."""
        return (
            Need("n", operands.events.behaviours, days),
            Need("n", operands.divisor.behaviours, days),
        )

    def value(self, operands: Operands, days: int | None, totals: Sequence[Column]) -> Column:
        """The ratio of the numbers."""
        from pyspark.sql import functions as F

        events, to = totals
        return F.try_divide(F.coalesce(events, F.lit(0)).cast("double"), to)


OPERATION = Ratio()
