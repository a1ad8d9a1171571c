"""Make the plan of tiles and features from the config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from behavior_spark.config import FeatureSettings, On, Target
from behavior_spark.config.taxonomy import event_words
from behavior_spark.features.tiles.definitions import (
    NOTHING,
    Copy,
    Definition,
    Mark,
    Plan,
    Selection,
)
from behavior_spark.files import digest_of

# Increment if the same config gives other tiles, so that stored ones are built again.
TILE_FORM = 1
POPULATION = "?population"


def target_behaviour(name: str) -> str:
    """Behaviour of the events that count for a target."""
    return f"?target.{name}"


def target_words(name: str, target: Target) -> tuple[str, str]:
    """One past event that counts for a target in a sentence, and several."""
    one, several = target.words
    return one or f"event that counts for {name}", several or f"events that count for {name}"


class PlanMaker:
    """Creates selections for definitions, and collects the conditions and copies they need.

    Args:
        settings: Event types and their taxonomy.
        targets: Targets by name; they are conditions too.
        population: SQL condition on an event.
    """

    def __init__(
        self, settings: FeatureSettings, targets: Mapping[str, Target], population: str
    ) -> None:
        self.settings, self.targets, self.population = settings, targets, population
        self.types = tuple(sorted(settings.behaviours))
        self.every = Selection("event", "event", ("", *self.types), told="event")
        self._marks: dict[str, Mark] = {}
        self._copies: dict[str, Copy] = {}

    def plan(self, definitions: Sequence[Definition]) -> Plan:
        """The plan of definitions whose selections this object created."""
        population = self.every.behaviours
        if self.population.strip().lower() != "true":
            population = (self._mark(Mark(POPULATION, self.population)),)
        marks = tuple(self._marks[name] for name in sorted(self._marks))
        return Plan(
            self.types,
            marks,
            tuple(self._copies.values()),
            tuple(definitions),
            population,
            _digest(self.types, marks, self.targets),
        )

    def of_type(self, event_type: str) -> Selection:
        """The events of a type."""
        return Selection(event_type, event_type, (event_type,), *self._words([event_type]))

    def of_target(self, name: str) -> Selection:
        """The events that count for a target."""
        target = self.targets[name]
        # Only taste reads their items.
        item = "item_id" if target.item and self.settings.built("taste") else NOTHING
        mark = Mark(target_behaviour(name), target.event, target=name, item=item)
        return Selection(name, name, (self._mark(mark),), *target_words(name, target))

    def of_declared(self, on: On) -> Selection:
        """The events of a type, kind, sentiment or condition."""
        if on.where is not None:
            mark = self._mark(Mark(f"?where.{on.name}", on.where, item="item_id"))
            return Selection(str(on.name), str(on.name), (mark,))
        if on == On():
            return self.every
        types = tuple(self.settings.types_of(on))
        if on.type:
            return Selection(on.type, on.type, types, *self._words(types))
        name = f"kind_{on.kind}" if on.kind else str(on.sentiment)
        told = self._words(types) if len(types) == 1 else event_words(str(on.kind or on.sentiment))
        return Selection(name, f"{on.kind or on.sentiment} ({', '.join(types)})", types, *told)

    def _words(self, types: Sequence[str]) -> tuple[str, str]:
        """One event of the only type in a sentence, and several."""
        [event_type] = types
        behaviour = self.settings.behaviours.get(event_type)
        return event_words(event_type, behaviour.told if behaviour else ())

    def items_of(self, chosen: Selection, on: On, dimension: str) -> str:
        """Behaviour whose items are the values of a dimension (item_id, category or hour)."""
        if dimension == "hour":
            return self._by_hour(chosen, on)
        by_category = dimension == "category"
        if len(chosen.behaviours) == 1 and not by_category:
            return chosen.behaviours[0]
        name = f"#{dimension}.{chosen.name}"
        self._copies[name] = Copy(name, chosen.behaviours, by_category)
        return name

    def _by_hour(self, chosen: Selection, on: On) -> str:
        condition = on.where or "true"
        if on.where is None and on != On():
            types = ", ".join(f"'{name}'" for name in chosen.behaviours)
            condition = f"event_type IN ({types})"
        return self._mark(
            Mark(f"?hour.{chosen.name}", condition, item="cast(hour(event_time) AS string)")
        )

    def _mark(self, mark: Mark) -> str:
        self._marks[mark.behaviour] = mark
        return mark.behaviour


def _digest(types: Sequence[str], marks: Sequence[Mark], targets: Mapping[str, Target]) -> str:
    content = {
        "form": TILE_FORM,
        "types": list(types),
        "marks": [
            [m.behaviour, m.condition, m.item, targets[m.target].item if m.target else None]
            for m in marks
        ],
    }
    return digest_of(content)
