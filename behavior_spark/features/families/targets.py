"""Family ``targets``: recency and number of the past events of targets."""

from __future__ import annotations

from behavior_spark.features.family import Family
from behavior_spark.features.operation import Operands, within
from behavior_spark.features.operations.count import Count
from behavior_spark.features.operations.recency import Recency
from behavior_spark.features.targets import with_own_history
from behavior_spark.features.tiles.definitions import Definition
from behavior_spark.features.tiles.planning import PlanMaker


class Targets(Family):
    """Past events of targets, unless other features are the same."""

    name = "targets"
    order = 20
    source = "events and items"

    def definitions(self, plan: PlanMaker) -> list[Definition]:
        """Recency and counts of the events that count for each target."""
        definitions = []
        for name in with_own_history(plan.targets, plan.settings.event_types):
            operands = Operands(plan.of_target(name))
            events = f"events that count for {name}"
            definitions += [
                Recency().definition(operands, None, comment=f"days since {name} last happened"),
                Count().definition(operands, None, comment=f"{events}, ever"),
                *[
                    Count().definition(operands, days, comment=f"{events} {within(days)}")
                    for days in plan.settings.windows_days
                ],
            ]
        return definitions


FAMILY = Targets()
