"""Promote a text model through the gate, or roll back to an earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from behavior_spark.errors import ConfigError, ModelError
from behavior_spark.io.tracking import tracked_alias
from behavior_spark.model.registry.floor import below_floor
from behavior_spark.model.registry.gate import Verdict
from behavior_spark.model.registry.promotions import (
    Promotion,
    lineage,
    promote,
    refuse,
    roll_back,
)
from behavior_spark.model.registry.store import CHAMPION
from behavior_spark.pipelines.text_models.comparing import judge
from behavior_spark.pipelines.text_models.evaluation import text_store
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import ANNOTATIONS, TEXTS


@dataclass(frozen=True)
class Decision(StageResult):
    """A decision on who is the champion.

    Attributes:
        event: ``promoted``, ``refused`` or ``rolled_back``.
        model: Digest of the model that was promoted or refused, or is the champion again.
        replaced: Digest of the champion before the decision; None if there was none.
        reason: The reason in words.
        verdict: The gate's comparison; None if it did not compare.
    """

    event: str
    model: str
    replaced: str | None
    reason: str
    verdict: Verdict | None = None

    @property
    def figures(self) -> Mapping[str, float]:
        """Whether it was promoted, and the difference of each head with its interval."""
        figures = {"promoted": float(self.event == "promoted")}
        for head, comparison in (self.verdict.comparisons if self.verdict else {}).items():
            numbers = {
                f"{head}_gate_difference": comparison.difference.value,
                f"{head}_gate_low": comparison.difference.low,
                f"{head}_gate_high": comparison.difference.high,
                f"{head}_gate_texts": float(comparison.texts),
            }
            figures |= {name: number for name, number in numbers.items() if np.isfinite(number)}
        return figures

    @property
    def models(self) -> Mapping[str, str]:
        """Digest of the model."""
        return {"text": self.model}

    @property
    def details(self) -> Mapping[str, Any]:
        """The decision as plain data."""
        gate = None if self.verdict is None else self.verdict.as_dict()
        decision = {"event": self.event, "model": self.model, "replaced": self.replaced,
                    "reason": self.reason, "gate": gate}  # fmt: skip
        return {"promotion": decision}


@stage(
    "gate",
    does="champion and challenger answer the same held-out texts",
    reads=(TEXTS, ANNOTATIONS),
    models=("text",),
)
def gate_stage(run: Run, digest: str, *, force: bool = False, reason: str = "") -> Decision:
    """Make a model the champion if it passes the gate; log the decision.

    The first model has no rival: it must be better than its most frequent label, and no worse than
    words alone (``below_floor``).

    Args:
        run: The run.
        digest: Digest of a published model.
        force: Promote it without asking the gate.
        reason: Reason in words, for the log; required with ``force``.

    Raises:
        ConfigError: ``force`` without a reason.
        ModelError: The model cannot be used, or is the champion already.
    """
    if force and not reason:
        raise ConfigError("a forced promotion needs a reason", fix="add --reason 'why'")
    store = text_store(run)
    champion = store.alias(CHAMPION)
    model = store.load(digest)
    if champion == digest:
        raise ModelError(f"{digest} is the champion already")
    if force:
        return _finish(run, promote(store, digest, reason=f"forced: {reason}"), None)
    if champion is None:
        measured = {name: head.metrics for name, head in model.heads.items()}
        if lacks := below_floor(measured, most_lost=run.settings.text.gate.most_lost):
            return _finish(run, refuse(store, digest, reason=lacks), None)
        why = reason or "the first model: there is no champion to compare it with"
        return _finish(run, promote(store, digest, reason=why), None)
    with run.step("gate"):
        verdict = judge(run, store, digest, champion)
    figures = verdict.as_dict()
    why = f"{reason}: {verdict.reason}" if reason else verdict.reason
    if verdict.passed:
        return _finish(run, promote(store, digest, reason=why, figures=figures), verdict)
    return _finish(run, refuse(store, digest, reason=why, figures=figures), verdict)


@stage("rollback", does="make an earlier champion the champion again", models=("text",))
def rollback_stage(run: Run, *, to: str | None, reason: str) -> Decision:
    """Make an earlier champion the champion again; its scores are still in the store.

    Args:
        run: The run.
        to: Digest of an earlier champion; the last one by default.
        reason: Reason in words, for the log.

    Raises:
        ModelError: There is no such earlier champion, or its files are damaged.
    """
    store = text_store(run)
    earlier = [digest for digest in lineage(store) if digest != store.alias(CHAMPION)]
    if to is None and earlier:
        to = earlier[-1]
    if to in earlier:
        store.load(str(to))  # raises before the alias is changed
    done = roll_back(store, to=to, reason=reason)
    return _finish(run, done, None)


def _finish(run: Run, entry: Promotion, verdict: Verdict | None) -> Decision:
    notes = {
        "promoted": f"{entry.model} is the champion now: {entry.reason}",
        "rolled_back": f"{entry.model} is the champion again, in place of {entry.replaced}",
        "refused": f"{entry.model} was refused, "
        + (f"{entry.replaced} stays the champion" if entry.replaced else "there is no champion yet")
        + f": {entry.reason}",
    }
    run.note(notes[entry.event])
    if entry.event != "refused" and (
        note := tracked_alias(run.settings.name, digest=entry.model, alias=CHAMPION)
    ):
        run.note(note)
    return Decision(entry.event, entry.model, entry.replaced, entry.reason, verdict)
