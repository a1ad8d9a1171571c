"""Family ``declared``: features of events that the config declares, in groups of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from behavior_spark.config import DeclaredFeature
from behavior_spark.extensions import OPERATIONS
from behavior_spark.features.family import Family
from behavior_spark.features.inputs import Request
from behavior_spark.features.operation import EventOperation, Operands, within
from behavior_spark.features.tiles.definitions import Definition
from behavior_spark.features.tiles.planning import PlanMaker


class Declared(Family):
    """``features.declared``, as far as it is about events."""

    name = "declared"
    order = 30

    def built(self, request: Request) -> bool:
        """Always: each declared feature has a group of its own to be chosen by."""
        return True

    def definitions(self, plan: PlanMaker) -> list[Definition]:
        """The columns of each declared feature whose group is built, in order."""
        made: list[Definition] = []
        for declared in plan.settings.declared:
            if declared.spec.about == "events" and plan.settings.built(declared.group):
                made += _declared_as(declared, _definitions(declared, plan))
        return made


def _definitions(declared: DeclaredFeature, plan: PlanMaker) -> list[Definition]:
    operation: EventOperation = OPERATIONS.load(declared.op)
    events = plan.of_declared(declared.on)
    to = plan.of_declared(declared.to) if declared.to else None
    items = ""
    if declared.dimension in ("item_id", "category", "hour"):
        items = plan.items_of(events, declared.on, declared.dimension)
    operands = Operands(
        events,
        windows=tuple(plan.settings.windows_of(declared)),
        of=declared.dimension,
        items=items,
        to=to,
        k=declared.k,
    )
    return operation.definitions(operands)


def _declared_as(
    declared: DeclaredFeature, definitions: Sequence[Definition]
) -> Iterator[Definition]:
    """The columns with the group, name and description that were declared."""
    for definition in definitions:
        feature, words = definition.feature, declared.description
        if words and feature.window is not None and len(definitions) > 1:
            words = f"{words}, {within(feature.window)}"
        renamed = replace(
            feature,
            group=declared.group,
            name=declared.name or feature.name,
            comment=words or feature.comment,
        )
        yield replace(definition, feature=renamed)


FAMILY = Declared()
