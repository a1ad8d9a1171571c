"""How many distinct items, categories, hours or days."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from behavior_spark.config.operations import OperationSpec
from behavior_spark.features.operation import EventOperation, Operands, ending, lately, within
from behavior_spark.features.tiles.definitions import Need
from behavior_spark.model.propensity.sayings import Saying

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

    def saying(self, operands: Operands, days: int | None) -> Saying:
        """In a reason."""
        events, when = operands.events, lately(days)
        none = f"no {events.one} {when}"
        if operands.of == "day":
            one = f"{events.many} on 1 day {when}"
            return Saying(f"{events.many} on {{n}} days {when}", one=one, zero=none)
        what = operands.values or "item"
        several = {"category": "categories"}.get(what, f"{what}s")
        of = f"among the {events.many} {when}"
        one, zero = f"1 {what} {of}", f"no {what} {of}"
        return Saying(f"{{n}} different {several} {of}", one=one, zero=zero)

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
