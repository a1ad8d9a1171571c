"""Family ``activity``: recency, frequency and value, of all events and of each event type."""

from __future__ import annotations

from dataclasses import replace

from behavior_spark.features.family import Family
from behavior_spark.features.operation import Operands, within
from behavior_spark.features.operations.count import Count
from behavior_spark.features.operations.distinct import Distinct
from behavior_spark.features.operations.recency import Recency, Tenure
from behavior_spark.features.operations.sum import Sum
from behavior_spark.features.tiles.definitions import Definition, Selection
from behavior_spark.features.tiles.planning import PlanMaker


class Activity(Family):
    """Recency, frequency and value of a user's events."""

    name = "activity"
    order = 10

    def definitions(self, plan: PlanMaker) -> list[Definition]:
        """Features of all events, then of each event type in the order of the config."""
        windows = plan.settings.windows_days
        definitions = _of_all(Operands(plan.every), windows)
        for event_type in plan.settings.event_types:
            definitions += _of_type(plan.of_type(event_type), windows)
        return definitions


def _of_all(every: Operands, windows: list[int]) -> list[Definition]:
    value = Sum().definition(every, None, name="value_all", comment="value of all events ever")
    return [
        Recency().definition(every, None, name="recency_days", comment="days since the last event"),
        Tenure().definition(every, None, name="tenure_days", comment="days since the first event"),
        Count().definition(every, None, comment="events ever"),
        # Of a log without values too: it is a column of the baseline "recency, frequency, value".
        replace(value, feature=replace(value.feature, reads="")),
        *[Count().definition(every, days, comment=f"events {within(days)}") for days in windows],
    ]


def _of_type(events: Selection, windows: list[int]) -> list[Definition]:
    name = events.name
    operands = Operands(events, of="item_id", items=events.behaviours[0])
    definitions = [
        Recency().definition(operands, None, comment=f"days since the last {name}"),
        Count().definition(operands, None),
        Sum().definition(operands, None, comment=f"value of all {name} events ever"),
    ]
    for days in windows:
        items = f"distinct items of {name} {within(days)}"
        definitions += [
            Count().definition(operands, days),
            Sum().definition(operands, days),
            Distinct().definition(operands, days, comment=items),
        ]
    return definitions


FAMILY = Activity()
