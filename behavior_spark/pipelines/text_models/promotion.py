"""Register trained models, promote them through the gate, roll back, list them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from rich.console import RenderableType

from behavior_spark.errors import ConfigError, InputError, ModelError
from behavior_spark.io.tracking import tracked_alias, tracked_version
from behavior_spark.model.arrays import Floats
from behavior_spark.model.heads.head import Head
from behavior_spark.model.heads.labelled import LabelledTexts
from behavior_spark.model.heads.scope import measure_scope
from behavior_spark.model.registry.gate import (
    Abstention,
    Comparison,
    GateRules,
    Verdict,
    below_floor,
    compare,
    decide,
)
from behavior_spark.model.registry.held_out import HeldOut
from behavior_spark.model.registry.learned_from import LearnedFrom
from behavior_spark.model.registry.promotions import (
    Promotion,
    history,
    lineage,
    promote,
    refuse,
    roll_back,
)
from behavior_spark.model.registry.records import ModelRecord, data_fingerprint
from behavior_spark.model.registry.store import CHALLENGER, CHAMPION, ModelStore
from behavior_spark.model.registry.text_model import TextModel
from behavior_spark.pipelines.text_models.evaluation import (
    answer_held_out,
    embedded_rows,
    text_store,
)
from behavior_spark.pipelines.text_models.held_out import (
    read_held_out,
    read_out_of_scope,
    without_learned,
)
from behavior_spark.pipelines.text_models.label_embeddings import embed_held_out
from behavior_spark.pipelines.text_models.labelled_tables import stated_costs
from behavior_spark.report.tables import rows_table
from behavior_spark.runs.run import Run, redacted, versions
from behavior_spark.runs.stages import StageResult, stage


def register_model(
    run: Run,
    digest: str,
    tasks: Sequence[LabelledTexts],
    learned: LearnedFrom,
    *,
    encoder: str,
    figures: Mapping[str, float],
) -> ModelRecord:
    """Give a trained model its record and card, and make it the challenger.

    Args:
        run: The run.
        digest: Digest of the published model.
        tasks: Labelled texts it was trained on.
        learned: Hashes of the texts it has learned from.
        encoder: Digest of the encoder that training began with.
        figures: What training measured, for MLflow.
    """
    store, text = text_store(run), run.settings.text
    folder = store.folder(digest)
    model = store.load(digest)
    days = [head.trained_through for head in model.heads.values() if head.trained_through]
    champion = store.alias(CHAMPION)
    record = ModelRecord(
        digest=digest,
        parents={"encoder": encoder, "champion": champion if champion != digest else None},
        trained_through=max(days, default=None),
        data={
            task.name: {
                "fingerprint": data_fingerprint(task.texts, list(task.labels)),
                "texts": len(task.texts),
            }
            for task in tasks
        },
        config=json.loads(redacted(run.settings))["text"],
        licence=text.licence,
        versions=versions(),
    )
    if not (folder / "record.json").exists():
        learned.save(folder)
    record = record.save(folder)
    store.shared.publish(digest)
    if champion != digest:
        store.set_alias(CHALLENGER, digest)
    note = tracked_version(
        run.settings.name,
        digest=digest,
        folder=folder,
        parameters={"mode": text.finetune, "encoder": text.encoder, **_data_parameters(record)},
        figures=figures,
    )
    if note:
        run.note(note)
    return record


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


@stage("gate", does="champion and challenger answer the same held-out texts", models=("text",))
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
        verdict = _judge(run, store, digest, champion)
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


@dataclass(frozen=True)
class ModelsListed(StageResult):
    """The models of the registry, and the log of promotions.

    Attributes:
        published: Every model with its aliases, record and figures, the oldest first.
        promotions: Promotions, refusals and rollbacks, the oldest first.
    """

    published: list[dict[str, Any]]
    promotions: list[Promotion]

    @property
    def details(self) -> Mapping[str, Any]:
        """Both as plain data."""
        log = [asdict(promotion) for promotion in self.promotions]
        return {"models": self.published, "promotions": log}

    def blocks(self) -> list[RenderableType]:
        """A table of models, and one of promotions."""
        models = [
            {
                "model": model["model"],
                "alias": ", ".join(model["aliases"]),
                "made": _minute(str(model["created_at"])),
                "trained through": model["trained_through"],
                **model["figures"],
            }
            for model in self.published
        ]
        names = list(dict.fromkeys(name for row in models for name in row))
        log = [
            {"at": _minute(p.at), "event": p.event, "model": p.model, "replaced": p.replaced,
             "by": p.by, "reason": p.reason}
            for p in self.promotions
        ]  # fmt: skip
        return [
            rows_table([{n: row.get(n) for n in names} for row in models], title="text models"),
            rows_table(log, title="promotions"),
        ]


def _minute(moment: str) -> str:
    return moment[:16].replace("T", " ")


def models_in(store: ModelStore) -> ModelsListed:
    """Every published model with its aliases, record and figures, and the promotion log."""
    names: dict[str, list[str]] = {}
    for alias, digest in store.aliases().items():
        names.setdefault(digest, []).append(alias)
    models = []
    for digest in store.digests():
        record = ModelRecord.load(store.folder(digest))
        models.append(
            {
                "model": digest,
                "aliases": names.get(digest, []),
                "created_at": record.created_at,
                "trained_through": record.trained_through,
                "parents": dict(record.parents),
                "licence": record.licence,
                "figures": _latest_figures(store, digest),
            }
        )
    models.sort(key=lambda model: str(model["created_at"]))
    return ModelsListed(models, history(store))


def _judge(run: Run, store: ModelStore, challenger: str, champion: str) -> Verdict:
    """Compare both models on held-out texts that neither has learned from."""
    models = [store.load(digest) for digest in (challenger, champion)]
    learned = [LearnedFrom.load(store.folder(digest)) for digest in (challenger, champion)]
    configured = run.settings.text.heads
    wanted = [name for name in models[1].heads if name in configured]
    missing = tuple(name for name in wanted if name not in models[0].heads)
    comparisons: dict[str, Comparison] = {}
    for name in wanted:
        if name in missing:
            continue
        try:
            held = without_learned(run, read_held_out(run, name), learned)
            comparisons[name] = _compared(run, models, name, held)
        except (InputError, ModelError) as error:  # e.g. only one of the heads is multi-label
            run.note(f"{name} is not compared: {error.problem}")
            continue
        _tell(run, name, comparisons[name])
    gate = run.settings.text.gate
    return decide(comparisons, most_lost=gate.most_lost, missing=missing)


def _compared(run: Run, models: list[TextModel], name: str, held: HeldOut) -> Comparison:
    vectors: dict[str, Floats] = {}
    for model in models:
        if model.backbone_digest not in vectors:
            vectors[model.backbone_digest] = embed_held_out(run, model, held.texts)
    heads = [(model.heads[name], vectors[model.backbone_digest]) for model in models]
    answers = [answer_held_out(head, own, held, abstaining=False) for head, own in heads]
    gate = run.settings.text.gate
    rules = GateRules(
        figure=gate.figure,
        most_lost=gate.most_lost,
        slice_margin=gate.slice_margin,
        slice_rows=gate.slice_rows,
        resamples=run.settings.text.evaluation.resamples,
        seed=run.settings.training.seed,
        costs=stated_costs(run.settings.text.heads[name]),
    )
    compared = compare(answers[0], answers[1], held.slices, rules)
    if all(head.scope is None for head, _ in heads):
        return compared
    outside = read_out_of_scope(run, name)
    others = {
        model.backbone_digest: embed_held_out(run, model, outside)
        for model in {model.backbone_digest: model for model in models}.values()
    }
    ways = [
        _abstention(head, own, others[model.backbone_digest])
        for model, (head, own) in zip(models, heads, strict=True)
    ]
    return replace(compared, abstentions=(ways[0], ways[1]))


def _abstention(head: Head, inside: Floats, outside: Floats) -> Abstention:
    figures = measure_scope(head, embedded_rows(inside), embedded_rows(outside))
    return Abstention(1.0 - figures.false_alarm_rate, figures.recall)


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


def _tell(run: Run, name: str, comparison: Comparison) -> None:
    difference = comparison.difference
    run.say(
        f"{name}: {comparison.verdict}, {comparison.figure} {difference.value:+.4f} "
        f"({difference.low:+.4f} to {difference.high:+.4f}) on {comparison.texts:,} texts, "
        f"{comparison.slices_judged} slices judged"
    )


def _latest_figures(store: ModelStore, digest: str) -> dict[str, float]:
    """F1 of each head by the latest evaluation; without one, as measured by training."""
    evaluations = store.evaluations(digest)
    heads: Mapping[str, Any] = evaluations[-1].get("heads", {}) if evaluations else {}
    figures = {f"{n}_f1_macro": h["figures"]["f1_macro"]["value"] for n, h in heads.items()}
    if figures:
        return figures
    model = store.load(digest)
    trained = {f"{n}_f1_macro": head.metrics.get("f1") for n, head in model.heads.items()}
    return {name: float(value) for name, value in trained.items() if isinstance(value, int | float)}


def _data_parameters(record: ModelRecord) -> dict[str, Any]:
    fingerprints = {f"{name}_data": data["fingerprint"] for name, data in record.data.items()}
    return fingerprints | {"trained_through": record.trained_through}
