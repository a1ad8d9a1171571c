"""Family ``seasons``: what a user did in the same days a year ago."""

from __future__ import annotations

from behavior_spark.features.family import Family
from behavior_spark.features.operation import Operands
from behavior_spark.features.operations.season import Season
from behavior_spark.features.targets import outcome_of
from behavior_spark.features.tiles.definitions import Definition
from behavior_spark.features.tiles.planning import PlanMaker


class Seasons(Family):
    """Events of each target in [as_of - 365, as_of - 365 + horizon); only if ``same_season``."""

    name = "seasons"
    order = 22
    source = "events and items"

    def definitions(self, plan: PlanMaker) -> list[Definition]:
        """One for each event type or target, and horizon; targets of one type share theirs."""
        definitions: dict[str, Definition] = {}
        for name, target in plan.targets.items():
            if not outcome_of(target).happens:
                continue
            event_type = target.is_event_type(plan.settings.event_types)
            events = plan.of_type(event_type) if event_type else plan.of_target(name)
            operands = Operands(events, known_by=plan.every.behaviours)
            definition = Season().definition(operands, target.horizon_days)
            definitions.setdefault(definition.feature.name, definition)
        return list(definitions.values())


FAMILY = Seasons()
