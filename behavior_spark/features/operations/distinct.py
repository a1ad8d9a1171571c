"""How many distinct items, categories, hours or days."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from behavior_spark.config.operations import OperationSpec
from behavior_spark.features.operation import EventOperation, Operands, ending, within
from behavior_spark.features.tiles.definitions import Need

if TYPE_CHECKING:
    from pyspark.sql import Column


class Distinct(EventOperation):
    """How many distinct values the events have."""

    spec = OperationSpec(
        "distinct", "how many distinct values", of=("item_id", "category", "hour", "day")
    )
    result = "long"
    zero = True

    def name(self, operands: Operands, days: int | None) -> str:
        """Such as ``cart_item_count_7d``."""
        return f"{operands.events.name}_{operands.values}_count_{ending(days)}"

    def comment(self, operands: Operands, days: int | None) -> str:
        """Its meaning."""
        if operands.of == "day":
            return f"days with {operands.events.words} events {within(days)}"
        return f"distinct {operands.values} values of {operands.events.words} events {within(days)}"

    def needs(self, operands: Operands, days: int | None) -> tuple[Need, ...]:
        """Days as bits, or the number of distinct items."""
        if operands.of == "day":
            return (Need("days", operands.events.behaviours, days),)
        return (Need("i", (operands.items,), days),)

    def value(self, operands: Operands, days: int | None, totals: Sequence[Column]) -> Column:
        """Number of set bits, or the number of distinct items."""
        from pyspark.sql import functions as F

        if operands.of == "day":
            return F.bit_count(F.coalesce(totals[0], F.lit(0)).cast("long"))
        return totals[0]


OPERATION = Distinct()
