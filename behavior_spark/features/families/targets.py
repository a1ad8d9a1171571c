"""Family ``targets``: how often and when last what a target foretells has happened."""

from __future__ import annotations

from behavior_spark.features.family import Family
from behavior_spark.features.operation import Operands, within
from behavior_spark.features.operations.count import Count
from behavior_spark.features.operations.recency import Recency
from behavior_spark.features.targets import with_own_history
from behavior_spark.features.tiles.definitions import Definition
from behavior_spark.features.tiles.planning import PlanMaker


class Targets(Family):
    """A target's own past, where no other feature tells it."""

    name = "targets"
    order = 20
    source = "events and items"

    def definitions(self, plan: PlanMaker) -> list[Definition]:
        """Recency and counts of the events that count for each target."""
        made = []
        for name in with_own_history(plan.targets, plan.settings.event_types):
            hits = Operands(plan.of_target(name))
            counted = f"events that count for {name}"
            made += [
                Recency().definition(hits, None, comment=f"days since {name} last happened"),
                Count().definition(hits, None, comment=f"{counted}, ever"),
                *[
                    Count().definition(hits, days, comment=f"{counted} {within(days)}")
                    for days in plan.settings.windows_days
                ],
            ]
        return made


FAMILY = Targets()
