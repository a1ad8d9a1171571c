"""The last value of events."""

from __future__ import annotations

from behavior_spark.config.operations import OperationSpec
from behavior_spark.features.operation import Operands, RankingOperation, ending, within
from behavior_spark.features.tiles.definitions import Ranked


class Last(RankingOperation):
    """The value of the last event. For readers; models do not use it."""

    spec = OperationSpec("last", "the last value; for people", of=("item_id", "category"))

    def name(self, operands: Operands, days: int | None) -> str:
        """Such as ``cart_last_item_7d``."""
        return f"{operands.events.name}_last_{operands.values}_{ending(days)}"

    def comment(self, operands: Operands, days: int | None) -> str:
        """Its meaning."""
        return f"last {operands.values} of {operands.events.words} events {within(days)}"

    def ranked(self, operands: Operands, days: int | None) -> Ranked:
        """Ranking by the time of the last event."""
        return Ranked("last", operands.items, days or 0, operands.k)


OPERATION = Last()
