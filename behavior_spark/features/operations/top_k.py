"""The most frequent values of events."""

from __future__ import annotations

from behavior_spark.config.operations import OperationSpec
from behavior_spark.features.operation import Operands, RankingOperation, ending, within
from behavior_spark.features.tiles.definitions import Ranked


class TopK(RankingOperation):
    """The k most frequent values, most frequent first. For readers; models do not use it."""

    spec = OperationSpec(
        "top_k", "the k most frequent values; for people", of=("item_id", "category", "hour")
    )
    result = "strings"

    def name(self, operands: Operands, days: int | None) -> str:
        """Such as ``cart_top_item_7d``."""
        return f"{operands.events.name}_top_{operands.values}_{ending(days)}"

    def comment(self, operands: Operands, days: int | None) -> str:
        """Its meaning."""
        events = f"{operands.events.words} events {within(days)}"
        return f"the {operands.k} most frequent {operands.values} values of {events}"

    def ranked(self, operands: Operands, days: int | None) -> Ranked:
        """Ranking by number of events."""
        return Ranked("top_k", operands.items, days or 0, operands.k)


OPERATION = TopK()
