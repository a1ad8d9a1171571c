"""The log of promotions: who replaced whom as the champion, why and when; and rollback by it.

Each entry is a file of one JSON line, written once: ``cat promotions/*.jsonl`` shows the log.
A single file would need appends, which volumes over object stores do not support.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

from behavior_spark.errors import ModelError
from behavior_spark.model.registry.store import CHALLENGER, CHAMPION, ModelStore

Event = Literal["promoted", "refused", "rolled_back"]


@dataclass(frozen=True)
class Promotion:
    """One entry of the log.

    Attributes:
        event: ``promoted``; ``refused`` (the gate kept the champion); ``rolled_back``.
        model: Digest of the model that became the champion, or was refused.
        replaced: Digest of the champion before; None if there was none.
        reason: The reason in words.
        at: ISO time, UTC.
        by: ``BEHAVIOR_USER`` if set, else the user of the process.
        figures: What the gate compared; JSON values.
    """

    event: Event
    model: str
    replaced: str | None
    reason: str
    at: str = field(default_factory=lambda: dt.datetime.now(dt.UTC).isoformat())
    by: str = field(default_factory=lambda: current_user())
    figures: Mapping[str, Any] = field(default_factory=dict)


def promote(
    store: ModelStore, model: str, *, reason: str, figures: Mapping[str, Any] | None = None
) -> Promotion:
    """Make a published model the champion, and log it. If it was the challenger, none is left.

    The log entry is written before the alias. If the process dies in between, the log has an
    entry that was not carried out; the same call again carries it out.

    Raises:
        ModelError: The model is not published, or is the champion already.
    """
    champion = store.alias(CHAMPION)
    if champion == store.folder(model).name:
        raise ModelError(
            f"{model} is the champion already", fix="name another model, or leave it at that"
        )
    entry = Promotion("promoted", model, champion, reason, figures=dict(figures or {}))
    return _carry_out(store, entry)


def refuse(
    store: ModelStore, model: str, *, reason: str, figures: Mapping[str, Any] | None = None
) -> Promotion:
    """Log that a model did not become the champion; no alias is changed."""
    champion = store.alias(CHAMPION)
    entry = Promotion("refused", model, champion, reason, figures=dict(figures or {}))
    _append(store, entry)
    return entry


def roll_back(store: ModelStore, *, to: str | None = None, reason: str = "") -> Promotion:
    """Make an earlier champion the champion again.

    Args:
        store: The registry.
        to: Digest of an earlier champion; the one before the present one by default.
        reason: Reason in words, for the log.

    Raises:
        ModelError: There is no earlier champion, or ``to`` is not one (:func:`lineage`).
    """
    champions = lineage(store)
    champion = store.alias(CHAMPION)
    earlier = [digest for digest in champions if digest != champion]
    if champion is None or not earlier or (to is not None and to not in earlier):
        raise ModelError(
            "there is no such earlier champion to go back to" if to else "no earlier champion",
            found=f"champions so far: {', '.join(champions) or 'none'}",
            fix="`behavior-spark models` shows who replaced whom",
        )
    target = to or earlier[-1]
    entry = Promotion("rolled_back", target, champion, reason or "asked for")
    return _carry_out(store, entry)


def history(store: ModelStore) -> list[Promotion]:
    """The log, oldest first.

    Raises:
        ModelError: An entry cannot be read.
    """
    entries = []
    for path in sorted(store.shared.fetch("promotions").glob("[0-9]*.jsonl")):
        try:
            entry = Promotion(**json.loads(path.read_text(encoding="utf-8")))
            if entry.event not in get_args(Event):
                raise ValueError(entry.event)
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(
                f"cannot read the entry {path.name} of the promotion log",
                found=type(error).__name__,
                fix="restore it, or remove it if it was never written whole",
            ) from error
        entries.append(entry)
    return entries


def lineage(store: ModelStore) -> list[str]:
    """Champions that a rollback may go back to, in order, the present one last.

    A promotion appends a model. A rollback removes all models after the one it goes back to, so
    that the next rollback goes further back, not forward to a model that was rolled back.
    """
    champions: list[str] = []
    for entry in history(store):
        if entry.event == "promoted":
            if not champions and entry.replaced:
                champions.append(entry.replaced)
            champions = [digest for digest in champions if digest != entry.model] + [entry.model]
        elif entry.event == "rolled_back" and entry.model in champions:
            champions = champions[: champions.index(entry.model) + 1]
    return champions


def current_user() -> str:
    """``BEHAVIOR_USER``, else the user's name in the environment, else ``unknown``."""
    names: Sequence[str] = ("BEHAVIOR_USER", "USER", "LOGNAME", "USERNAME")
    return next((os.environ[name] for name in names if os.environ.get(name)), "unknown")


def _carry_out(store: ModelStore, entry: Promotion) -> Promotion:
    _append(store, entry)
    store.set_alias(CHAMPION, entry.model)
    if store.alias(CHALLENGER) == entry.model:
        store.drop_alias(CHALLENGER)
    return entry


def _append(store: ModelStore, entry: Promotion) -> None:
    moment = dt.datetime.fromisoformat(entry.at).strftime("%Y%m%dT%H%M%S.%f")
    name = f"promotions/{moment}-{uuid.uuid4().hex[:8]}.jsonl"
    store.write(name, asdict(entry), indent=None, sort=False)
