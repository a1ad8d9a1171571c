"""Family ``declared``: declared features of events, in their own feature groups."""

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
    """The features in ``features.declared`` with an operation on events."""

    name = "declared"
    order = 30

    def built(self, request: Request) -> bool:
        """Always: features are chosen by the group of each declared feature."""
        return True

    def definitions(self, plan: PlanMaker) -> list[Definition]:
        """The columns of declared features whose group is built, in order."""
        definitions: list[Definition] = []
        for declared in plan.settings.declared:
            if declared.spec.about == "events" and plan.settings.built(declared.group):
                definitions += _declared_as(declared, _definitions(declared, plan))
        return definitions


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
        known_by=plan.every.behaviours,
    )
    return operation.definitions(operands)


def _declared_as(
    declared: DeclaredFeature, definitions: Sequence[Definition]
) -> Iterator[Definition]:
    """The definitions with the declared group, name and description."""
    for definition in definitions:
        feature, words = definition.feature, declared.description
        if words and feature.window is not None and len(definitions) > 1:
            words = f"{words}, {within(feature.window)}"
        renamed = replace(
            feature,
            group=declared.group,
            name=declared.name or feature.name,
            comment=words or feature.comment,
            told=None if words else feature.told,  # in the words of who has declared it
        )
        yield replace(definition, feature=renamed)


FAMILY = Declared()
