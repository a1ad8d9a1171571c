"""How evenly the values of events are spread."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from behavior_spark.config.operations import OperationSpec
from behavior_spark.features.operation import EventOperation, Operands, ending, within
from behavior_spark.features.tiles.definitions import Need

if TYPE_CHECKING:
    from pyspark.sql import Column


class Entropy(EventOperation):
    """Shannon entropy of the values; null where there are none.

    Shannon, A Mathematical Theory of Communication, 1948, section 6.
    """

    spec = OperationSpec(
        "entropy",
        "how evenly spread the values are (Shannon, nats)",
        of=("item_id", "category", "hour"),
    )

    def name(self, operands: Operands, days: int | None) -> str:
        """Such as ``cart_item_entropy_7d``."""
        return f"{operands.events.name}_{operands.values}_entropy_{ending(days)}"

    def comment(self, operands: Operands, days: int | None) -> str:
        """Its meaning."""
        events = f"{operands.events.words} events {within(days)}"
        return f"entropy (nats) of the {operands.values} values of {events}"

    def needs(self, operands: Operands, days: int | None) -> tuple[Need, ...]:
        """Number m of events with a value, and the sum of n ln n over the values."""
        return Need("m", (operands.items,), days), Need("e", (operands.items,), days)

    def value(self, operands: Operands, days: int | None, totals: Sequence[Column]) -> Column:
        """-sum p ln p with p = n / m; at least 0, in spite of rounding."""
        from pyspark.sql import functions as F

        m, e = totals
        return F.when(m > 0, F.greatest(F.lit(0.0), F.ln(m) - F.try_divide(e, m)))


OPERATION = Entropy()
