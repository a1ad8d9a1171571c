"""Who replaced whom as the champion, why and when: a log, and the way back.

Each entry is a file of one JSON line, written once: ``cat promotions/*.jsonl`` is the log. One
file for all would have to be appended to, which volumes over object stores refuse.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from behavior_spark.errors import ModelError
from behavior_spark.files import write_json
from behavior_spark.model.registry.store import CHALLENGER, CHAMPION, ModelStore

Event = Literal["promoted", "refused", "rolled_back"]


@dataclass(frozen=True)
class Promotion:
    """One entry of the log.

    Attributes:
        event: ``promoted``; ``refused``: the gate left the champion in place; ``rolled_back``.
        model: Digest of the model that became the champion, or was refused.
        replaced: Digest of the champion before; None where there was none.
        reason: In words.
        at: ISO time, UTC.
        by: Who: the user of the process, unless BEHAVIOR_USER names another.
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
    """Make a published model the champion, and log it; the challenger's alias is then free.

    The entry is written first: a process that dies in between leaves a log that says more than
    was done, and the same call again makes it true.

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
    """Log that a model did not become the champion; aliases stay as they are."""
    champion = store.alias(CHAMPION)
    entry = Promotion("refused", model, champion, reason, figures=dict(figures or {}))
    _append(store, entry)
    return entry


def roll_back(store: ModelStore, *, to: str | None = None, reason: str = "") -> Promotion:
    """Make an earlier champion the champion again.

    Args:
        store: The registry.
        to: Digest of an earlier champion; the one before the present one by default.
        reason: In words, for the log.

    Raises:
        ModelError: There is no earlier champion, or ``to`` was never one.
    """
    line = lineage(store)
    champion = store.alias(CHAMPION)
    earlier = [digest for digest in line if digest != champion]
    if champion is None or not earlier or (to is not None and to not in earlier):
        raise ModelError(
            "there is no such earlier champion to go back to" if to else "no earlier champion",
            found=f"champions so far: {', '.join(line) or 'none'}",
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
    found = []
    for path in sorted((store.root / "promotions").glob("[0-9]*.jsonl")):
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
        found.append(entry)
    return found


def lineage(store: ModelStore) -> list[str]:
    """The champions that one may go back to, in order, the present one last.

    A promotion adds one; a rollback takes away those above the model it goes back to, so that
    the next rollback goes further back, and not to the model that was just removed.
    """
    line: list[str] = []
    for entry in history(store):
        if entry.event == "promoted":
            if not line and entry.replaced:
                line.append(entry.replaced)
            line = [digest for digest in line if digest != entry.model] + [entry.model]
        elif entry.event == "rolled_back" and entry.model in line:
            line = line[: line.index(entry.model) + 1]
    return line


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
    folder: Path = store.root / "promotions"
    folder.mkdir(parents=True, exist_ok=True)
    moment = dt.datetime.fromisoformat(entry.at).strftime("%Y%m%dT%H%M%S.%f")
    path = folder / f"{moment}-{uuid.uuid4().hex[:8]}.jsonl"
    write_json(path, asdict(entry), indent=None)
