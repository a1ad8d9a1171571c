"""Challenger and champion answer the same held-out texts, for the gate to decide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from behavior_spark.errors import InputError, ModelError
from behavior_spark.model.arrays import Bools, Floats
from behavior_spark.model.heads.head import Head
from behavior_spark.model.heads.scope import measure_scope
from behavior_spark.model.registry.gate import (
    KNOWN_TO_BOTH,
    Abstention,
    Comparison,
    GateRules,
    Verdict,
    compare,
    decide,
)
from behavior_spark.model.registry.held_out import HeldOut
from behavior_spark.model.registry.learned_from import LearnedFrom
from behavior_spark.model.registry.store import ModelStore
from behavior_spark.model.registry.text_model import TextModel
from behavior_spark.names import counted
from behavior_spark.pipelines.text_models.evaluation import answer_held_out, embedded_rows
from behavior_spark.pipelines.text_models.held_out import (
    read_held_out,
    read_out_of_scope,
    without_learned,
)
from behavior_spark.pipelines.text_models.label_embeddings import embed_held_out
from behavior_spark.pipelines.text_models.labelled_tables import stated_costs
from behavior_spark.runs.run import Run


def judge(run: Run, store: ModelStore, challenger: str, champion: str) -> Verdict:
    """Compare both models on held-out texts that neither has learned from."""
    models = [store.load(digest) for digest in (challenger, champion)]
    learned = [LearnedFrom.load(store.folder(digest)) for digest in (challenger, champion)]
    configured = run.settings.text.heads
    wanted = [name for name in models[1].heads if name in configured]
    missing = tuple(name for name in wanted if name not in models[0].heads)
    comparisons: dict[str, Comparison] = {}
    not_compared: dict[str, str] = {}
    for name in wanted:
        if name in missing:
            continue
        try:
            held = without_learned(run, read_held_out(run, name), learned)
            comparisons[name] = _compared(run, models, name, held)
        except (InputError, ModelError) as error:  # e.g. one has learned from all held-out texts
            not_compared[name] = error.problem
            run.note(f"{name} is not compared: {error.problem}")
            continue
        _tell(run, name, comparisons[name])
    gate = run.settings.text.gate
    return decide(
        comparisons, most_lost=gate.most_lost, missing=missing, not_compared=not_compared
    )


def _compared(run: Run, models: list[TextModel], name: str, held: HeldOut) -> Comparison:
    vectors: dict[str, Floats] = {}
    for model in models:
        if model.backbone_digest not in vectors:
            vectors[model.backbone_digest] = embed_held_out(run, model, held.texts)
    heads = [(model.heads[name], vectors[model.backbone_digest]) for model in models]
    answers = [
        answer_held_out(head, own, held, abstaining=False, any_number=True) for head, own in heads
    ]
    new, lost = _labels_apart(run, heads[0][0], heads[1][0])
    slices = held.slices | (_known_to_both(heads[0][0], heads[1][0], held) if new or lost else {})
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
    compared = compare(answers[0], answers[1], slices, rules)
    compared = replace(compared, new_labels=new, lost_labels=lost)
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


def _labels_apart(
    run: Run, challenger: Head, champion: Head
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels of the challenger alone, and of the champion alone; a note tells of them."""
    new = tuple(label for label in challenger.labels if label not in champion.labels)
    lost = tuple(label for label in champion.labels if label not in challenger.labels)
    name = challenger.name
    if len(new) == len(challenger.labels):
        run.note(
            f"{name}: the two heads have no label in common (were all renamed?): the difference "
            "says which labels the held-out texts have, and nothing of how well each reads them"
        )
    elif new or lost:
        run.note(
            f"{name}: {counted(len(new), 'label')} of the challenger alone, "
            f"{counted(len(lost), 'label')} of the champion alone; texts with labels that both "
            "have are compared apart too"
        )
    if challenger.rules.exclusive != champion.rules.exclusive:
        run.note(
            f"{name}: one head gives one label a text, the other several; both are compared by "
            "all labels of each text"
        )
    return new, lost


def _known_to_both(challenger: Head, champion: Head, held: HeldOut) -> dict[str, Bools]:
    """The slice of the held-out texts whose labels both heads have; none if there is no such."""
    both = set(challenger.labels) & set(champion.labels)
    known = np.array([both.issuperset(labels) for labels in held.labels], dtype=np.bool_)
    return {KNOWN_TO_BOTH: known} if known.any() else {}


def _abstention(head: Head, inside: Floats, outside: Floats) -> Abstention:
    figures = measure_scope(head, embedded_rows(inside), embedded_rows(outside))
    return Abstention(1.0 - figures.false_alarm_rate, figures.recall)


def _tell(run: Run, name: str, comparison: Comparison) -> None:
    difference = comparison.difference
    run.say(
        f"{name}: {comparison.verdict}, {comparison.figure} {difference.value:+.4f} "
        f"({difference.low:+.4f} to {difference.high:+.4f}) on {comparison.texts:,} texts, "
        f"{comparison.slices_judged} slices judged"
    )
