"""What is chosen of an event log: its shape, its columns, its kinds of events."""

from __future__ import annotations

from dataclasses import dataclass, field

from pyspark.sql import DataFrame
from pyspark.sql.types import NumericType

from behavior_spark.config import Source
from behavior_spark.pipelines.logs.starting.currencies import ask_of_currencies
from behavior_spark.pipelines.logs.starting.guesses import guess_leaves
from behavior_spark.pipelines.logs.starting.kinds import (
    ChosenKinds,
    SeenKind,
    choose_kinds,
    type_expression,
)
from behavior_spark.pipelines.logs.starting.leaves import Leaf, leaves_of
from behavior_spark.pipelines.logs.starting.mapping import (
    ColumnMapping,
    map_item_and_value,
    map_plainly,
    map_session,
    map_users,
    row_id,
    type_source,
)
from behavior_spark.pipelines.logs.starting.profile import (
    KindsSeen,
    Profile,
    look_at_kinds,
    profile_log,
    sample_of,
)
from behavior_spark.pipelines.logs.starting.shapes import Shape, recognise_shape
from behavior_spark.schemas import EVENTS

_LABEL = "--events"
_KINDS_SHOWN = 12
_SHARED = 0.005  # of the rows: a few ids that clash are mistakes of the log


@dataclass(frozen=True)
class ReadLog:
    """An event log, looked at.

    Attributes:
        frame: Its rows as they are.
        source: Its place, with the mapping.
        shape: The tool that wrote it, where that is known.
        mapping: Its columns.
        chosen: Its kinds of events.
        more_kinds: Number of kinds that were not looked at.
        profile: What all rows tell.
    """

    frame: DataFrame
    source: Source
    shape: Shape | None
    mapping: ColumnMapping
    chosen: ChosenKinds
    more_kinds: int
    profile: Profile
    described: list[str] = field(default_factory=list)


def read_log(frame: DataFrame, source: Source) -> ReadLog:
    """Look at a log's columns, at its kinds of events, then at all its rows.

    Raises:
        InputError: The log cannot be read.
    """
    first = sample_of(frame, label=_LABEL)
    leaves = leaves_of(frame.schema, first)
    shape = recognise_shape([leaf.key for leaf in leaves])
    leaf_of = guess_leaves(leaves, EVENTS, shape)
    named = type_source(leaf_of, leaves, shape) or _without_kinds(leaf_of)
    seen = look_at_kinds(
        frame, named, _expression(leaf_of, "user_id"), _expression(leaf_of, "anonymous_id"),
        label=_LABEL,
    )  # fmt: skip
    # Once more with rows of every kind: an order's amount is null in the first rows.
    leaves = leaves_of(frame.schema, [*first, *seen.rows])
    shape = shape or recognise_shape([leaf.key for leaf in leaves])
    leaf_of = guess_leaves(leaves, EVENTS, shape)
    if (again := type_source(leaf_of, leaves, shape) or _without_kinds(leaf_of)) != named:
        named = again
        seen = look_at_kinds(frame, named, _expression(leaf_of, "user_id"),
                             _expression(leaf_of, "anonymous_id"), label=_LABEL)  # fmt: skip
    chosen = choose_kinds(seen.kinds)
    if not chosen.kept:
        chosen = ChosenKinds({"action": [SeenKind("action", 0)]}, chosen.left_out)
    mapping = _map(frame, leaves, leaf_of, shape, chosen, named, seen)
    mapping, profile = _fitted(frame, source, mapping, list(chosen.kept))
    source = source.model_copy(update={"columns": mapping.columns})
    log = ReadLog(frame, source, shape, mapping, chosen, seen.more, profile)
    log.described.extend(describe(log))
    return log


def describe(log: ReadLog) -> list[str]:
    """The log in some lines: shape, rows, days, users, nulls, kinds."""
    profile, count = log.profile, log.profile.rows
    lines = [f"{log.shape.name}'s columns"] if log.shape else []
    span = (
        f"{profile.first:%Y-%m-%d} to {profile.last:%Y-%m-%d} ({profile.days:,} days)"
        if profile.first and profile.last
        else "no usable time"
    )
    lines.append(f"{count:,} rows, {span}, about {profile.users:,} users")
    if profile.refused:
        lines.append(f"{profile.refused:,} of the rows would be refused; mostly: {profile.reason}")
    names = {"user_id": "a user", "item_id": "an item", "value": "a value"}
    without = [
        f"{what} {profile.nulls[name] / max(1, count):.0%}"
        if name in profile.nulls
        else f"{what} all"
        for name, what in names.items()
    ]
    lines.append(f"rows without {', '.join(without)}")
    lines += [f"TODO: {line}" for line in log.mapping.questions]
    if "event_type" in log.mapping.remarks:
        name = next(iter(log.chosen.kept))
        return [*lines, f"TODO: no column says what happened: every row is taken for '{name}'"]
    kept, left = log.chosen.kept, len(log.chosen.left_out) + log.more_kinds
    shown = ", ".join(f"{name} {log.chosen.events(name):,}" for name in list(kept)[:_KINDS_SHOWN])
    lines.append(f"kinds of events: {shown}" + (f"; left out: {left:,}" if left else ""))
    return lines


def _map(
    frame: DataFrame, leaves: list[Leaf], leaf_of: dict[str, Leaf], shape: Shape | None,
    chosen: ChosenKinds, named: str, seen: KindsSeen,
) -> ColumnMapping:  # fmt: skip
    plain = ["event_id", "event_time", "arrived_at", "session_id"]
    # Other ids than one of this name belong to the event itself.
    plain += ["text_id"] if "text_id" in leaf_of and leaf_of["text_id"].key == "text_id" else []
    mapping = map_plainly(leaf_of, plain)
    mapping.columns.setdefault("event_id", row_id(frame.schema))
    map_users(mapping, leaf_of, without_user=seen.without_user)
    map_session(mapping, leaves, shape)
    mapping.columns["event_type"] = type_expression(named, chosen)
    if "event_type" not in leaf_of:
        mapping.remarks["event_type"] = "TODO: no column says what happened"
    kinds_named = named if "event_type" in leaf_of else ""
    map_item_and_value(mapping, leaf_of, leaves, shape, chosen, kinds_named)
    missing = [name for name in ("user_id", "event_time") if name not in mapping.columns]
    for name in missing:
        mapping.remarks[name] = "no column was found for it"
    if missing:
        mapping.questions.append(
            f"no column was found for {' and '.join(missing)}: without it every row is refused; "
            "the file lists the log's columns, give an expression over them"
        )
    ask_of_currencies(mapping, leaves)
    return mapping


def _fitted(
    frame: DataFrame, source: Source, mapping: ColumnMapping, kinds: list[str]
) -> tuple[ColumnMapping, Profile]:
    """The mapping less what its rows speak against, and what all rows tell then."""
    columns = mapping.columns | {
        name: mapping.columns.get(name, "cast(null AS string)")
        for name in ("user_id", "event_time")
    }
    mapped = source.model_copy(update={"columns": columns})
    profile = profile_log(frame, mapped, kinds, label=_LABEL)
    changed = False
    if "arrived_at" in columns and (profile.loaded_at_once or profile.early > 0.01 * profile.rows):
        was = columns.pop("arrived_at")
        mapping.columns.pop("arrived_at")
        why = (
            f"the rows of {profile.event_days} days arrived on {profile.arrived_days}: "
            "loaded at once"
            if profile.loaded_at_once
            else f"{profile.early:,} rows would have arrived before they happened"
        )
        mapping.remarks["arrived_at"] = f"not {was}, as {why}"
        changed = True
    shared = profile.shared_ids > _SHARED * profile.rows
    if shared and columns["event_id"] != row_id(frame.schema):
        was = columns["event_id"]
        columns["event_id"] = mapping.columns["event_id"] = row_id(frame.schema)
        mapping.remarks["event_id"] = (
            f"made of the row, as {profile.shared_ids:,} values of {was} are in several that differ"
        )
        changed = True
    if changed:
        mapped = source.model_copy(update={"columns": columns})
        profile = profile_log(frame, mapped, kinds, label=_LABEL)
    return mapping, profile


def _without_kinds(leaf_of: dict[str, Leaf]) -> str:
    """What every row is, where no column says it: a log of money is one of purchases."""
    money = leaf_of.get("quantity") or leaf_of.get("value")
    if money is None:
        return "'action'"
    if isinstance(money.kind, NumericType) and any(value < 0 for value in money.values):
        return f"CASE WHEN {money.expression} < 0 THEN 'refund' ELSE 'purchase' END"
    return "'purchase'"


def _expression(leaf_of: dict[str, Leaf], name: str) -> str:
    return leaf_of[name].expression if name in leaf_of else "null"
