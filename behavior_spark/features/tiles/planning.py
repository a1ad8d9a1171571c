"""From the config to a plan: the built-in activity features, then those that are declared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from behavior_spark.config import DeclaredFeature, FeatureSettings, On, Target
from behavior_spark.config.features import TEXT_OPS
from behavior_spark.features import operations
from behavior_spark.features.declared import DOUBLE
from behavior_spark.features.operations import Selection, within
from behavior_spark.features.targets import with_own_history
from behavior_spark.features.tiles.definitions import Copy, Definition, Mark, Need, Plan
from behavior_spark.files import digest_of

# Changes when the same config gives other tiles: stored ones are then built anew.
TILE_FORM = 1
POPULATION = "?population"


def make_plan(
    settings: FeatureSettings, targets: Mapping[str, Target], population: str = "true"
) -> Plan:
    """All activity features: the built-in ones, then those that are declared."""
    return _Planner(settings, targets, population).plan()


class _Planner:
    """Gathers marks and copies while the definitions are made."""

    def __init__(
        self, settings: FeatureSettings, targets: Mapping[str, Target], population: str
    ) -> None:
        self.settings, self.targets, self.population = settings, targets, population
        self.types = tuple(sorted(settings.behaviours))
        self.every = ("", *self.types)
        self.marks: dict[str, Mark] = {}
        self.copies: dict[str, Copy] = {}

    def plan(self) -> Plan:
        definitions = self._activity() if self.settings.built("activity") else []
        definitions += self._targets() if self.settings.built("targets") else []
        for declared in self.settings.declared:
            if declared.op not in TEXT_OPS and self.settings.built(declared.group):
                definitions += self._declared(declared)
        people = self.every
        if self.population.strip().lower() != "true":
            people = (self._mark(Mark(POPULATION, self.population)),)
        marks = tuple(self.marks[name] for name in sorted(self.marks))
        return Plan(
            self.types,
            marks,
            tuple(self.copies.values()),
            tuple(definitions),
            people,
            _digest(self.types, marks, self.targets),
        )

    def _activity(self) -> list[Definition]:
        every = Selection("event", "event", self.every)
        found = [
            operations.recency("recency_days", "days since the last event", every),
            operations.tenure("tenure_days", "days since the first event", every),
            operations.count(every, None, "events ever"),
            operations.plain(
                "value_all", DOUBLE, "value of all events ever", Need("v", self.every, None)
            ),
        ]
        found += [operations.count(every, days, f"events {within(days)}") for days in self._windows]
        for kind in self.settings.event_types:
            one = Selection(kind, kind, (kind,))
            found += [
                operations.recency(f"{kind}_recency_days", f"days since the last {kind}", one),
                operations.count(one, None, f"{kind} events ever"),
                operations.total(one, None, f"value of all {kind} events ever"),
            ]
            for days in self._windows:
                found += [
                    operations.count(one, days, f"{kind} events {within(days)}"),
                    operations.total(one, days, f"value of {kind} events {within(days)}"),
                    operations.distinct(
                        one,
                        "item",
                        one.behaviours,
                        days,
                        f"distinct items of {kind} {within(days)}",
                    ),
                ]
        return [operations.grouped(each, "activity") for each in found]

    def _targets(self) -> list[Definition]:
        found = []
        for name in with_own_history(self.targets, self.settings.event_types):
            mark = Mark(f"?target.{name}", self.targets[name].event, target=name)
            hits = Selection(name, name, (self._mark(mark),))
            ever = f"events that count for {name}, ever"
            found.append(
                operations.recency(f"{name}_recency_days", f"days since {name} last happened", hits)
            )
            found.append(operations.count(hits, None, ever))
            found += [
                operations.count(hits, days, f"events that count for {name} {within(days)}")
                for days in self._windows
            ]
        return [operations.grouped(each, "targets") for each in found]

    @property
    def _windows(self) -> list[int]:
        return self.settings.windows_days

    def _mark(self, mark: Mark) -> str:
        self.marks[mark.behaviour] = mark
        return mark.behaviour

    def _selection(self, on: On) -> Selection:
        if on.where is not None:
            mark = self._mark(Mark(f"?where.{on.name}", on.where, item="item_id"))
            return Selection(str(on.name), str(on.name), (mark,))
        if on == On():
            return Selection("event", "event", self.every)
        types = tuple(self.settings.types_of(on))
        if on.type:
            return Selection(on.type, on.type, types)
        name = f"kind_{on.kind}" if on.kind else str(on.sentiment)
        listed = ", ".join(types)
        return Selection(name, f"{on.kind or on.sentiment} ({listed})", types)

    def _dimension(self, chosen: Selection, on: On, dimension: str) -> str:
        """The one behaviour whose items are what is to be told apart."""
        if dimension == "hour":
            condition = on.where or "true"
            if on.where is None and on != On():
                condition = "event_type IN ({})".format(
                    ", ".join(f"'{name}'" for name in chosen.behaviours)
                )
            return self._mark(
                Mark(f"?hour.{chosen.name}", condition, item="cast(hour(event_time) AS string)")
            )
        category = dimension == "category"
        if len(chosen.behaviours) == 1 and not category:
            return chosen.behaviours[0]
        name = f"#{dimension}.{chosen.name}"
        self.copies[name] = Copy(name, chosen.behaviours, category)
        return name

    def _declared(self, declared: DeclaredFeature) -> list[Definition]:
        chosen = self._selection(declared.on)
        windows = self.settings.windows_of(declared)
        found = [
            operations.grouped(e, declared.group) for e in self._of_op(declared, chosen, windows)
        ]
        for index, each in enumerate(found):
            feature = each.feature
            name = declared.name or feature.name
            words = declared.description
            if words and feature.window is not None and len(found) > 1:
                words = f"{words}, {within(feature.window)}"
            found[index] = replace(
                each, feature=replace(feature, name=name, comment=words or feature.comment)
            )
        return found

    def _of_op(
        self, declared: DeclaredFeature, chosen: Selection, windows: Sequence[int]
    ) -> list[Definition]:
        op, words = declared.op, f"{chosen.words} events"
        if op == "recency":
            return [
                operations.recency(
                    f"{chosen.name}_recency_days", f"days since the last {words}", chosen
                )
            ]
        if op == "count":
            return [operations.count(chosen, days, f"{words} {within(days)}") for days in windows]
        if op == "sum":
            return [
                operations.total(chosen, days, f"value of {words} {within(days)}")
                for days in windows
            ]
        if op == "mean":
            return [
                operations.mean(chosen, days, f"mean value of {words} {within(days)}")
                for days in windows
            ]
        if op == "trend":
            return [operations.trend(chosen, days, windows[-1]) for days in windows[:-1]]
        if op == "ratio" and declared.to is not None:
            other = self._selection(declared.to)
            return [operations.ratio(chosen, other, days) for days in windows]
        if op == "streak":
            return [operations.streak(chosen, days) for days in windows]
        dimension = str(declared.dimension)
        if dimension == "day":
            return [operations.days(chosen, days) for days in windows]
        of, items = dimension.removesuffix("_id"), self._dimension(chosen, declared.on, dimension)
        if op == "distinct":
            return [
                operations.distinct(
                    chosen, of, (items,), days, f"distinct {of} values of {words} {within(days)}"
                )
                for days in windows
            ]
        if op == "entropy":
            return [operations.entropy(chosen, of, items, days) for days in windows]
        return [operations.ranked(chosen, of, items, op, days, declared.k) for days in windows]


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
