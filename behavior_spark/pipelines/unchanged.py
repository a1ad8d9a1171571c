"""Find out that a night has nothing to do: it was done before, and nothing has changed since.

What a night is made from, and what it made, must both be as they were: sources, config, code and
models by a digest that a night records in ``runs``, tables by the commits of their history.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

import behavior_spark
from behavior_spark.config import Settings, Source
from behavior_spark.files import digest_of
from behavior_spark.io.source_state import state_of_sources
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.model.registry.store import CHALLENGER, ModelStore
from behavior_spark.pipelines.texts.active_model import active_text_model
from behavior_spark.pipelines.users import next_items, user_vectors
from behavior_spark.pipelines.users.propensity import model_store
from behavior_spark.runs.past import PastNight, ended_before
from behavior_spark.runs.run import Run, versions
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import INPUTS, RUNS

# Two clocks, this machine's and the store's, may differ by as much.
CLOCKS = dt.timedelta(seconds=2)
# A table with more commits since the night began was changed by others.
MOST_COMMITS = 200
# SQL functions whose value does not follow from the rows.
_CHANGING = re.compile(
    r"\b(current_\w+|curdate|localtimestamp|now|rand\w*|uuid|shuffle)\b"
    r"|\bunix_timestamp\s*\(\s*\)|['\"]\s*(now|today|yesterday|tomorrow)\s*['\"]",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Compared(StageResult):
    """What a night would be made from, and the run that has made it already.

    Attributes:
        before: The run whose tables stand; None if the night must be done.
        given: Digest of sources, config and code; None if it cannot be known.
        why: Why the night is done again, where it was done before.
    """

    before: PastNight | None
    given: str | None = None
    why: str | None = None

    @property
    def details(self) -> Mapping[str, Any]:
        """The run whose tables stand."""
        return {"unchanged_since": self.before.run_id} if self.before else {}

    def blocks(self) -> list[RenderableType]:
        """Says that nothing had to be done."""
        if self.before is None:
            return []
        done = self.before.started_at.isoformat(" ", "minutes")
        return [
            Text(
                f"Nothing to do: run {self.before.run_id[:8]} of {done} did this night, and since "
                "then no source, setting, model or table has changed. `nightly --again` does it "
                "all the same."
            )
        ]


@stage("compare", does="end a night that was done before if nothing has changed", reads=(RUNS,))
def compare_stage(run: Run, *, again: bool) -> Compared:
    """Compare what the night is made from with what an earlier run of it recorded.

    Args:
        run: The run.
        again: Do the night in any case.
    """
    with run.step("compare"):
        given = _given(run)
        before = run.past.same_night
        if again or before is None:
            return Compared(None, given)
        why = _why_again(run, before, given)
    if why:
        run.say(f"run {before.run_id[:8]} did this night before; it is done again, as {why}")
        return Compared(None, given, why)
    run.status = "unchanged"
    return Compared(before, given)


def mark_inputs(run: Run, compared: Compared) -> None:
    """Record what the night was made from, when it is done and has trained its models."""
    run.inputs = _inputs(run, compared.given)


def _why_again(run: Run, before: PastNight, given: str | None) -> str | None:
    if given is None:
        return "what its sources hold cannot be known without reading them"
    if before.inputs != _inputs(run, given):
        return "a source, the config, the code or a model has changed"
    changed = changed_since(run.warehouse, before)
    return f"table {changed} was changed by others since" if changed else None


def changed_since(warehouse: Warehouse, before: PastNight) -> str | None:
    """Name of a table that others have changed since a night began; None: no table.

    A command that ended just before the night, such as the scoring of its texts by a cluster of
    its own, has commits that are too near to the night's start for two clocks to tell: what is
    recorded of its run tells.

    Args:
        warehouse: The tables.
        before: The night.
    """
    near: dict[str, str] = {}  # writer: table
    earliest, latest = before.started_at - CLOCKS, before.started_at + CLOCKS
    for contract in warehouse.existing():
        if contract is RUNS:
            continue
        commits = warehouse.latest(contract, most=MOST_COMMITS)
        since = [(c.at, c) for c in commits if c.at and c.at >= earliest]
        if len(since) == MOST_COMMITS:
            return contract.name
        for at, commit in since:
            if commit.writer == before.run_id or commit.is_upkeep:
                continue
            if commit.writer is None or at > latest:
                return contract.name
            near[commit.writer] = contract.name
    ended = ended_before(warehouse, before, list(near)) if near else set()
    return next((table for writer, table in near.items() if writer not in ended), None)


def _given(run: Run) -> str | None:
    """Digest of what the night is given; None if it cannot be known."""
    settings = run.settings
    # With its secrets: another key gives other pseudonyms. The digest does not give them away.
    config = settings.model_dump(mode="json", by_alias=True)
    if _CHANGING.search(str(config)):
        return None
    states = state_of_sources(run.spark, _sources(settings))
    if states is None:
        return None
    return digest_of(
        {"as_of": str(run.as_of), "config": config, "sources": states, "code": _code()}
    )


def _inputs(run: Run, given: str | None) -> str | None:
    """Digest of what the night is given and of its models; None if it cannot be known."""
    if given is None:
        return None
    settings = run.settings
    active = active_text_model(settings, run.as_of)
    stores = {f"propensity {name}": model_store(run, name) for name in settings.targets}
    if settings.sequence:
        stores["sequence"] = next_items.model_store(run)
    if settings.features.user_vector:
        stores["user_vector"] = user_vectors.model_store(run)
    models: dict[str, Any] = {
        name: sorted(path.name for path in store.fetch().glob("*/"))
        for name, store in stores.items()
    }
    models["text"] = active.digests if active else None
    models["challenger"] = ModelStore(settings.models_path).alias(CHALLENGER) if active else None
    return digest_of({"given": given, "models": models})


def _sources(settings: Settings) -> dict[str, Source]:
    """All sources by a name that no other has."""
    sources = settings.sources
    named: dict[str, Source] = {
        f"{contract}[{index}]": source
        for contract in INPUTS
        for index, source in enumerate(getattr(sources, contract))
    }
    named |= {f"attributes.{name}": source for name, source in sources.attributes.items()}
    if settings.alerts is not None and settings.alerts.feedback is not None:
        named["alerts.feedback"] = settings.alerts.feedback
    if settings.service is not None and settings.service.answers is not None:
        named["service.answers"] = settings.service.answers
    return named


@cache
def _code() -> dict[str, str]:
    """Digest of this package's modules, and the versions of what they run on."""
    root = Path(behavior_spark.__file__).parent
    digest = sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + path.read_bytes())
    return versions() | {"modules": digest.hexdigest()}
