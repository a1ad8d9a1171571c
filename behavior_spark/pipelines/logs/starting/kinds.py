"""Which kinds of events get features of their own, under which names, and why the others do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from behavior_spark.config.settings import RESERVED
from behavior_spark.config.taxonomy import usual_behaviour
from behavior_spark.names import normal_name, sql_text
from behavior_spark.pipelines.logs.starting.meanings import Meaning, meaning_of
from behavior_spark.pipelines.logs.starting.words import plain_name

MOST_KINDS = 12
FEWEST_EVENTS = 10  # a kind with fewer events can tell little of anybody


@dataclass(frozen=True)
class SeenKind:
    """A kind of event as the log has it.

    Attributes:
        raw: Its name in the log, trimmed.
        events: Number of its events.
        users: About how many users have one.
        meaning: What the name means; None if that is not known.
    """

    raw: str
    events: int
    users: int = 0
    meaning: Meaning | None = field(default=None, compare=False)

    @classmethod
    def of(cls, raw: str, events: int, users: int) -> SeenKind:
        """A kind, with its meaning looked up."""
        return cls(raw, events, min(users, events), meaning_of(raw))  # users are counted about

    @property
    def name(self) -> str | None:
        """Its name in the config: its own where letters allow it, else its meaning's."""
        own = plain_name(self.raw) if self.raw.isascii() or self.meaning is None else None
        name = own or (self.meaning.name if self.meaning else None)
        return f"{name}_event" if name in RESERVED else name


@dataclass(frozen=True)
class ChosenKinds:
    """Kinds with features of their own, and the others.

    Attributes:
        kept: By name, in order of what they mean, then of their number.
        left_out: The others, each with the reason.
    """

    kept: dict[str, list[SeenKind]]
    left_out: list[tuple[SeenKind, str]]

    def events(self, name: str) -> int:
        """Number of events of a name."""
        return sum(kind.events for kind in self.kept[name])

    def users(self, name: str) -> int:
        """About how many users have one."""
        return max(kind.users for kind in self.kept[name])

    def meaning(self, name: str) -> Meaning | None:
        """What a name means."""
        return self.kept[name][0].meaning


def choose_kinds(seen: Sequence[SeenKind]) -> ChosenKinds:
    """Kinds by meaning first, then by number, as many as features are worth their time.

    Args:
        seen: All kinds of the log, those of most events first.
    """
    least = min(FEWEST_EVENTS, max(1, sum(kind.events for kind in seen) // 100))
    order = sorted(seen, key=lambda k: (k.meaning.rank if k.meaning else 8, -k.events))
    kept: dict[str, list[SeenKind]] = {}
    left_out: list[tuple[SeenKind, str]] = []
    for kind in order:
        name = kind.name
        if name is None:
            left_out.append((kind, "no name in Latin letters: give it one in event_type"))
        elif kind.events < least:
            left_out.append((kind, "too few to tell anything"))
        elif name in kept:
            kept[name].append(kind)
        elif len(kept) == MOST_KINDS:
            known = f"means {kind.meaning.name}" if kind.meaning else "no known meaning"
            left_out.append((kind, f"{known}, and {MOST_KINDS} kinds are kept"))
        else:
            kept[name] = [kind]
    left_out.sort(key=lambda pair: -pair[0].events)
    return ChosenKinds(kept, left_out)


def type_expression(expression: str, chosen: ChosenKinds) -> str:
    """SQL that gives each kept kind its name: the column itself, a rule for all, or a ``CASE``."""
    pairs = [(kind.raw, name) for name, kinds in chosen.kept.items() for kind in kinds]
    if all(normal_name(raw, lower=True) == name for raw, name in pairs):
        return expression
    rule = f"trim(BOTH '_' FROM regexp_replace(lower({expression}), '[^a-z0-9]+', '_'))"
    if all(_by_rule(raw) == name for raw, name in pairs):
        return rule
    whens = [f"WHEN {sql_text(raw)} THEN {sql_text(name)}" for raw, name in pairs]
    return "\n".join([f"CASE trim({expression})", *whens, f"ELSE lower(trim({expression})) END"])


def taxonomy(chosen: ChosenKinds) -> dict[str, tuple[str, str]]:
    """Kind and sentiment of the names whose meaning is known, but not by the name."""
    entries = {}
    for name in chosen.kept:
        meaning, usual = chosen.meaning(name), usual_behaviour(name)
        if meaning and usual.kind == "other" and meaning.kind != "other":
            entries[name] = (meaning.kind, meaning.sentiment)
    return entries


def _by_rule(raw: str) -> str | None:
    return plain_name(raw) if raw.isascii() else None
