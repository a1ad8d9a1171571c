"""The sum of the events' values."""

from __future__ import annotations

from behavior_spark.config.operations import OperationSpec
from behavior_spark.features.operation import EventOperation, Operands, ending, lately, within
from behavior_spark.features.tiles.definitions import Need
from behavior_spark.model.propensity.sayings import Saying


class Sum(EventOperation):
    """The sum of the events' values."""

    spec = OperationSpec("sum", "sum of the events' values", of=("value",))
    zero = True

    def name(self, operands: Operands, days: int | None) -> str:
        """Such as ``cart_value_7d``."""
        return f"{operands.events.name}_value_{ending(days)}"

    def comment(self, operands: Operands, days: int | None) -> str:
        """Its meaning."""
        return f"value of {operands.events.words} events {within(days)}"

    def saying(self, operands: Operands, days: int | None) -> Saying:
        """In a reason."""
        events, when = operands.events, lately(days)
        return Saying(
            f"{events.many} worth {{n}} {when}", zero=f"no {events.one} worth anything {when}",
            unit="amount",
        )

    def needs(self, operands: Operands, days: int | None) -> tuple[Need, ...]:
        """Sum of values."""
        return (Need("v", operands.events.behaviours, days),)


OPERATION = Sum()
