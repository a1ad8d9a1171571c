"""What every activity feature is made of: which tiles, which statistic of them, which window.

The built-in features and those that the config declares are defined in the same words, so that
one engine (``windows``) builds them all. A definition names *needs*, sums over tiles, and says
how a column follows from them.

Tiles are kept by behaviour: an event type, ``""`` for types without features of their own, or a
condition whose name begins with ``?`` (a target, the population, a declared ``where``). An event
that satisfies a condition counts for it beside its type.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import DataType

from behavior_spark.config import DeclaredFeature, FeatureSettings, On, Target
from behavior_spark.config.features import TEXT_OPS
from behavior_spark.features.declared import DOUBLE, LONG, STRING, STRINGS, Feature
from behavior_spark.features.targets import with_own_history

DAY_SECONDS = 86_400
# Changes when the same config gives other tiles: stored ones are then built anew.
TILE_FORM = 1
POPULATION = "?population"
NOTHING = "''"


@dataclass(frozen=True)
class Need:
    """A statistic over the tiles of some behaviours.

    Attributes:
        stat: ``n`` events, ``v`` sum of values, ``p`` events with a value, ``i`` distinct items,
            ``m`` events with an item, ``e`` sum of n ln n over items, ``days`` active days as
            bits, ``first`` and ``last`` time.
        behaviours: Which tiles; the statistic of several is their sum (least, greatest, union).
        window: Days before as_of; None for all history.
    """

    stat: str
    behaviours: tuple[str, ...]
    window: int | None

    @property
    def column(self) -> str:
        """Name of the intermediate column."""
        digest = hashlib.sha256("|".join(self.behaviours).encode()).hexdigest()[:10]
        return f"_{self.stat}_{self.window or 'all'}_{digest}"


@dataclass(frozen=True)
class Definition:
    """A feature, what it needs, and how it follows from that (``None``: see ``ranked``)."""

    feature: Feature
    needs: tuple[Need, ...] = ()
    value: Callable[..., Column] | None = None
    ranked: Ranked | None = None


@dataclass(frozen=True)
class Ranked:
    """Items of a behaviour in an order: the k most frequent, the first or the last one."""

    op: str
    behaviour: str
    window: int
    k: int = 1


@dataclass(frozen=True)
class Mark:
    """A behaviour of its own: the events that satisfy a condition.

    Attributes:
        behaviour: Its name in tiles, ``?...``.
        condition: SQL over an event.
        target: The target it stands for; it counts since its item is known to match.
        item: SQL over an event: what stands in the tile as the item; by default nothing, which
            makes fewer tiles.
    """

    behaviour: str
    condition: str
    target: str | None = None
    item: str = NOTHING


@dataclass(frozen=True)
class Copy:
    """Tiles of some behaviours taken together, for what cannot be summed (distinct, entropy).

    Attributes:
        behaviour: The copy's name.
        sources: Behaviours of the tiles.
        category: Whether the items are replaced by their categories as known at as_of.
    """

    behaviour: str
    sources: tuple[str, ...]
    category: bool = False


@dataclass(frozen=True)
class Plan:
    """Everything the engine has to know.

    Attributes:
        types: Event types with tiles of their own.
        marks: Conditions with tiles of their own.
        copies: Behaviours made of others when read.
        definitions: The features, in order.
        population: Behaviours of which a user of the population has had an event.
        digest: What stored tiles rest on; where it differs they must be built anew.
    """

    types: tuple[str, ...]
    marks: tuple[Mark, ...]
    copies: tuple[Copy, ...]
    definitions: tuple[Definition, ...]
    population: tuple[str, ...]
    digest: str

    @property
    def needs(self) -> list[Need]:
        """Every need once, in order."""
        people = Need("n", self.population, None)
        return list(dict.fromkeys([people, *[n for d in self.definitions for n in d.needs]]))

    @property
    def meaning(self) -> str:
        """Digest of what every feature is made of: a model's features mean this."""
        content = [
            [each.feature.name, [need.column for need in each.needs], repr(each.ranked)]
            for each in self.definitions
        ]
        return _sha([self.digest, content])

    @property
    def windows(self) -> list[int]:
        """Windows that something needs, ascending."""
        ranked = {d.ranked.window for d in self.definitions if d.ranked}
        return sorted({n.window for n in self.needs if n.window} | ranked)


@dataclass(frozen=True)
class _Selection:
    """The events of a feature: their part of its name, words for them, their tiles."""

    name: str
    words: str
    behaviours: tuple[str, ...]


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
            self.types, marks, tuple(self.copies.values()), tuple(definitions), people,
            _digest(self.types, marks, self.targets),
        )  # fmt: skip

    def _activity(self) -> list[Definition]:
        every = _Selection("event", "event", self.every)
        found = [
            _recency("recency_days", "days since the last event", every),
            _tenure("tenure_days", "days since the first event", every),
            _count(every, None, "events ever"),
            _plain("value_all", DOUBLE, "value of all events ever", Need("v", self.every, None)),
        ]
        found += [_count(every, days, f"events {_within(days)}") for days in self._windows]
        for kind in self.settings.event_types:
            one = _Selection(kind, kind, (kind,))
            found += [
                _recency(f"{kind}_recency_days", f"days since the last {kind}", one),
                _count(one, None, f"{kind} events ever"),
                _sum(one, None, f"value of all {kind} events ever"),
            ]
            for days in self._windows:
                found += [
                    _count(one, days, f"{kind} events {_within(days)}"),
                    _sum(one, days, f"value of {kind} events {_within(days)}"),
                    _distinct(one, "item", one.behaviours, days,
                              f"distinct items of {kind} {_within(days)}"),
                ]  # fmt: skip
        return [_grouped(each, "activity") for each in found]

    def _targets(self) -> list[Definition]:
        found = []
        for name in with_own_history(self.targets, self.settings.event_types):
            mark = Mark(f"?target.{name}", self.targets[name].event, target=name)
            hits = _Selection(name, name, (self._mark(mark),))
            ever = f"events that count for {name}, ever"
            found.append(_recency(f"{name}_recency_days", f"days since {name} last happened", hits))
            found.append(_count(hits, None, ever))
            found += [
                _count(hits, days, f"events that count for {name} {_within(days)}")
                for days in self._windows
            ]
        return [_grouped(each, "targets") for each in found]

    @property
    def _windows(self) -> list[int]:
        return self.settings.windows_days

    def _mark(self, mark: Mark) -> str:
        self.marks[mark.behaviour] = mark
        return mark.behaviour

    def _selection(self, on: On) -> _Selection:
        if on.where is not None:
            mark = self._mark(Mark(f"?where.{on.name}", on.where, item="item_id"))
            return _Selection(str(on.name), str(on.name), (mark,))
        if on == On():
            return _Selection("event", "event", self.every)
        types = tuple(self.settings.types_of(on))
        if on.type:
            return _Selection(on.type, on.type, types)
        name = f"kind_{on.kind}" if on.kind else str(on.sentiment)
        listed = ", ".join(types)
        return _Selection(name, f"{on.kind or on.sentiment} ({listed})", types)

    def _dimension(self, chosen: _Selection, on: On, dimension: str) -> str:
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
        found = [_grouped(e, declared.group) for e in self._of_op(declared, chosen, windows)]
        for index, each in enumerate(found):
            feature = each.feature
            name = declared.name or feature.name
            words = declared.description
            if words and feature.window is not None and len(found) > 1:
                words = f"{words}, {_within(feature.window)}"
            found[index] = replace(
                each, feature=replace(feature, name=name, comment=words or feature.comment)
            )
        return found

    def _of_op(
        self, declared: DeclaredFeature, chosen: _Selection, windows: Sequence[int]
    ) -> list[Definition]:
        op, words = declared.op, f"{chosen.words} events"
        if op == "recency":
            return [_recency(f"{chosen.name}_recency_days", f"days since the last {words}", chosen)]
        if op == "count":
            return [_count(chosen, days, f"{words} {_within(days)}") for days in windows]
        if op == "sum":
            return [_sum(chosen, days, f"value of {words} {_within(days)}") for days in windows]
        if op == "mean":
            return [_mean(chosen, days, f"mean value of {words} {_within(days)}")
                    for days in windows]  # fmt: skip
        if op == "trend":
            return [_trend(chosen, days, windows[-1]) for days in windows[:-1]]
        if op == "ratio" and declared.to is not None:
            other = self._selection(declared.to)
            return [_ratio(chosen, other, days) for days in windows]
        if op == "streak":
            return [_streak(chosen, days) for days in windows]
        dimension = str(declared.dimension)
        if dimension == "day":
            return [_days(chosen, days) for days in windows]
        of, items = dimension.removesuffix("_id"), self._dimension(chosen, declared.on, dimension)
        if op == "distinct":
            return [_distinct(chosen, of, (items,), days,
                              f"distinct {of} values of {words} {_within(days)}")
                    for days in windows]  # fmt: skip
        if op == "entropy":
            return [_entropy(chosen, of, items, days) for days in windows]
        return [_ranked(chosen, of, items, op, days, declared.k) for days in windows]


def _digest(types: Sequence[str], marks: Sequence[Mark], targets: Mapping[str, Target]) -> str:
    content = {
        "form": TILE_FORM,
        "types": list(types),
        "marks": [
            [m.behaviour, m.condition, m.item, targets[m.target].item if m.target else None]
            for m in marks
        ],
    }
    return _sha(content)


def _sha(content: object) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _grouped(definition: Definition, group: str) -> Definition:
    needs = definition.needs
    window = next((need.window for need in needs), None)
    if definition.ranked:
        window = definition.ranked.window
    feature = replace(
        definition.feature,
        group=group,
        window=definition.feature.window or window,
        source="events and items" if group == "targets" else "events",
    )
    return replace(definition, feature=feature)


def _within(days: int) -> str:
    return f"in the {days} days before as_of"


def _plain(name: str, data_type: DataType, comment: str, need: Need) -> Definition:
    return Definition(Feature(name, data_type, comment), (need,), lambda total: total)


def _ending(window: int | None) -> str:
    return f"{window}d" if window else "all"


def _count(of: _Selection, days: int | None, comment: str) -> Definition:
    name = f"{of.name}_count_{_ending(days)}"
    return _plain(name, LONG, comment, Need("n", of.behaviours, days))


def _sum(of: _Selection, days: int | None, comment: str) -> Definition:
    name = f"{of.name}_value_{_ending(days)}"
    return _plain(name, DOUBLE, comment, Need("v", of.behaviours, days))


def _distinct(
    of: _Selection, what: str, behaviours: tuple[str, ...], days: int, comment: str
) -> Definition:
    return _plain(f"{of.name}_{what}_count_{days}d", LONG, comment, Need("i", behaviours, days))


def _days_since(time: Column) -> Column:
    """Days from a time to as_of, in whole seconds, to four decimals; null stays null."""
    seconds = F.unix_timestamp(F.col("as_of").cast("timestamp")) - F.unix_timestamp(time)
    return F.round(seconds / DAY_SECONDS, 4)


def _recency(name: str, comment: str, of: _Selection) -> Definition:
    feature = Feature(name, DOUBLE, comment, zero=False)
    return Definition(feature, (Need("last", of.behaviours, None),), _days_since)


def _tenure(name: str, comment: str, of: _Selection) -> Definition:
    feature = Feature(name, DOUBLE, comment, zero=False)
    return Definition(feature, (Need("first", of.behaviours, None),), _days_since)


def _mean(of: _Selection, days: int, comment: str) -> Definition:
    feature = Feature(f"{of.name}_value_mean_{days}d", DOUBLE, comment, zero=False)
    needs = (Need("v", of.behaviours, days), Need("p", of.behaviours, days))
    return Definition(feature, needs, lambda v, p: F.try_divide(v.cast("double"), p))


def _trend(of: _Selection, days: int, longest: int) -> Definition:
    comment = f"{of.words} events a day {_within(days)}, over those a day in {longest} days"
    feature = Feature(f"{of.name}_trend_{days}d", DOUBLE, comment, zero=False, window=longest)
    needs = (Need("n", of.behaviours, days), Need("n", of.behaviours, longest))
    return Definition(
        feature,
        needs,
        lambda short, long: F.try_divide(
            F.coalesce(short, F.lit(0)).cast("double") * longest, long * days
        ),
    )


def _ratio(of: _Selection, to: _Selection, days: int) -> Definition:
    comment = f"{of.words} events for each {to.words} event {_within(days)}"
    feature = Feature(f"{of.name}_per_{to.name}_{days}d", DOUBLE, comment, zero=False)
    needs = (Need("n", of.behaviours, days), Need("n", to.behaviours, days))
    return Definition(
        feature, needs, lambda n, m: F.try_divide(F.coalesce(n, F.lit(0)).cast("double"), m)
    )


def _bits(mask: Column) -> Column:
    return F.coalesce(mask, F.lit(0)).cast("long")


def _streak(of: _Selection, days: int) -> Definition:
    comment = f"days in a row with {of.words} events up to as_of, {days} at most"
    feature = Feature(f"{of.name}_streak_{days}d", LONG, comment, window=days)

    def in_a_row(mask: Column) -> Column:
        bits = _bits(mask)  # the lowest is the day before as_of
        return F.bit_count(bits.bitwiseAND(F.bitwise_not(bits + F.lit(1))))

    return Definition(feature, (Need("days", of.behaviours, days),), in_a_row)


def _days(of: _Selection, days: int) -> Definition:
    comment = f"days with {of.words} events {_within(days)}"
    feature = Feature(f"{of.name}_day_count_{days}d", LONG, comment, window=days)
    need = Need("days", of.behaviours, days)
    return Definition(feature, (need,), lambda mask: F.bit_count(_bits(mask)))


def _entropy(of: _Selection, what: str, items: str, days: int) -> Definition:
    comment = f"entropy (nats) of the {what} values of {of.words} events {_within(days)}"
    feature = Feature(f"{of.name}_{what}_entropy_{days}d", DOUBLE, comment, zero=False)
    needs = (Need("m", (items,), days), Need("e", (items,), days))
    return Definition(
        feature,
        needs,
        # -sum p ln p with p = n / m; of one value it is 0, not a rounding error below it.
        lambda m, e: F.when(m > 0, F.greatest(F.lit(0.0), F.ln(m) - F.try_divide(e, m))),
    )


def _ranked(of: _Selection, what: str, items: str, op: str, days: int, k: int) -> Definition:
    ranked = Ranked(op, items, days, k)
    if op == "top_k":
        comment = f"the {k} most frequent {what} values of {of.words} events {_within(days)}"
        feature = Feature(f"{of.name}_top_{what}_{days}d", STRINGS, comment, zero=False)
    else:
        comment = f"{op} {what} of {of.words} events {_within(days)}"
        feature = Feature(f"{of.name}_{op}_{what}_{days}d", STRING, comment, zero=False)
    return Definition(feature, ranked=ranked)
