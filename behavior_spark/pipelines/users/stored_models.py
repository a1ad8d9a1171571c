"""The newest stored model that a night may use."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from behavior_spark.errors import ModelError
from behavior_spark.runs.run import Run
from behavior_spark.shared_folder import SharedFolder

M = TypeVar("M")


@dataclass(frozen=True)
class Origin:
    """What a model comes from.

    Attributes:
        fingerprint: Digest of the settings and inputs that it rests on.
        trained_through: Last day whose events it knows, ISO.
        digest: Its own.
    """

    fingerprint: str | None
    trained_through: str
    digest: str


def newest_model(
    run: Run,
    store: SharedFolder,
    read: Callable[[Path], tuple[M, Origin]],
    *,
    fingerprint: str,
    through: dt.date,
    fresh_days: int,
    name: str,
) -> M | None:
    """The newest model of a fingerprint that knows nothing later than a day and is fresh enough.

    Args:
        run: The run; a model that cannot be read is noted and left out.
        store: Folder of models, one subfolder a digest.
        read: Reads one of these.
        fingerprint: That of the model that is wanted.
        through: The latest day that it may know.
        fresh_days: It must know a day less than this many before that.
        name: What the model is, for the note.
    """
    oldest = through - dt.timedelta(days=fresh_days)
    fitting: list[tuple[tuple[str, str], M]] = []
    for folder in store.fetch().glob("*/"):
        try:
            model, origin = read(folder)
        except ModelError as error:
            run.note(f"{name} {folder.name} is left out: {error.problem}")
            continue
        last = dt.date.fromisoformat(origin.trained_through)
        if origin.fingerprint == fingerprint and oldest < last <= through:
            fitting.append(((origin.trained_through, origin.digest), model))
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None
