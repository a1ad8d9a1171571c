"""How many events."""

from __future__ import annotations

from behavior_spark.config.operations import OperationSpec
from behavior_spark.features.operation import EventOperation, Operands, ending, lately, within
from behavior_spark.features.tiles.definitions import Need
from behavior_spark.model.propensity.sayings import Saying


class Count(EventOperation):
    """How many events."""

    spec = OperationSpec("count", "how many events")
    result = "long"
    zero = True

    def name(self, operands: Operands, days: int | None) -> str:
        """Such as ``cart_count_7d``."""
        return f"{operands.events.name}_count_{ending(days)}"

    def comment(self, operands: Operands, days: int | None) -> str:
        """Its meaning."""
        return f"{operands.events.words} events {within(days)}"

    def saying(self, operands: Operands, days: int | None) -> Saying:
        """In a reason."""
        events, when = operands.events, lately(days)
        one, zero = f"1 {events.one} {when}", f"no {events.one} {when}"
        return Saying(f"{{n}} {events.many} {when}", one=one, zero=zero)

    def needs(self, operands: Operands, days: int | None) -> tuple[Need, ...]:
        """Number of events."""
        return (Need("n", operands.events.behaviours, days),)


OPERATION = Count()
