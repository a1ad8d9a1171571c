"""The first value of events."""

from __future__ import annotations

from behavior_spark.config.operations import OperationSpec
from behavior_spark.features.operation import Operands, RankingOperation, ending, within
from behavior_spark.features.tiles.definitions import Ranked


class First(RankingOperation):
    """The value of the first event. For readers; models do not use it."""

    spec = OperationSpec("first", "the first value; for people", of=("item_id", "category"))

    def name(self, operands: Operands, days: int | None) -> str:
        """Such as ``cart_first_item_7d``."""
        return f"{operands.events.name}_first_{operands.values}_{ending(days)}"

    def comment(self, operands: Operands, days: int | None) -> str:
        """Its meaning."""
        return f"first {operands.values} of {operands.events.words} events {within(days)}"

    def ranked(self, operands: Operands, days: int | None) -> Ranked:
        """Ranking by the time of the first event."""
        return Ranked("first", operands.items, days or 0, operands.k)


OPERATION = First()
