"""Annotate: a language model labels texts of the warehouse, for a head to learn from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from pyspark.sql import functions as F

from behavior_spark.config import Annotation
from behavior_spark.errors import ConfigError
from behavior_spark.io.expressions import check_condition
from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.text_models.annotation_check import AnnotationCheck, check_annotations
from behavior_spark.pipelines.text_models.stored_annotations import (
    annotator_recipe,
    is_by,
    stored_annotations,
)
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import ANNOTATIONS, TEXTS
from behavior_spark.scoring.annotation import AnnotatorRecipe, annotate_texts
from behavior_spark.scoring.texts import distinct_texts, not_scored, spread_texts

TEXTS_PER_TASK = 64


@dataclass(frozen=True)
class AnnotatedTask:
    """The annotations of one task, those of earlier runs included.

    Attributes:
        annotator: Digest of the model and its prompts.
        labels: Number of texts by label.
        confidence: Mean share of the prompts that agree; None if no text is annotated.
        check: The annotations beside labels that people gave; None if there are none.
    """

    annotator: str
    labels: Mapping[str, int]
    confidence: float | None
    check: AnnotationCheck | None = None


@dataclass(frozen=True)
class Annotated(StageResult):
    """Annotations of a run.

    Attributes:
        tasks: Annotations by the task's name.
    """

    tasks: Mapping[str, AnnotatedTask]

    @property
    def figures(self) -> Mapping[str, float]:
        """Texts and mean confidence of each task, and what a check by labels found."""
        figures: dict[str, float] = {}
        for name, task in self.tasks.items():
            figures[f"{name}_annotated_texts"] = float(sum(task.labels.values()))
            if task.confidence is not None:
                figures[f"{name}_mean_confidence"] = task.confidence
            if task.check is not None:
                figures[f"{name}_checked_texts"] = float(task.check.labels)
                figures[f"{name}_accuracy"] = task.check.accuracy
                figures[f"{name}_calibration_error"] = task.check.calibration_error
        return figures

    @property
    def models(self) -> Mapping[str, str]:
        """Digest of each task's annotator."""
        return {f"annotator_{name}": task.annotator for name, task in self.tasks.items()}

    @property
    def details(self) -> Mapping[str, Any]:
        """Number of texts by task and label, and the check of each task by labels."""
        checks = {n: asdict(task.check) for n, task in self.tasks.items() if task.check is not None}
        labels = {name: dict(task.labels) for name, task in self.tasks.items()}
        return {"labels": labels, "checks": checks}


@stage(
    "annotate",
    does="label texts with a language model",
    reads=(TEXTS,),
    writes=(ANNOTATIONS,),
    models=("language",),
    torch_in_workers=True,
)
def annotate_stage(run: Run, *, tasks: Sequence[str] = ()) -> Annotated:
    """Label texts that the tasks' annotators have not labelled before.

    Args:
        run: The run.
        tasks: Names under ``annotate``; all of them by default.

    Raises:
        ConfigError: A task is not known, or its ``where`` is not valid SQL over table ``texts``.
        InputError: No text was ingested.
        ModelError: A language model cannot be used.
    """
    configured = run.settings.annotate
    unknown = sorted(set(tasks) - set(configured))
    if unknown or not configured:
        raise ConfigError(
            f"no annotation task {unknown[0]!r}" if unknown else "nothing to annotate",
            found=f"annotate has {', '.join(configured) or 'no task'}",
            fix="add annotate.<task> with model, labels and prompts",
        )
    run.warehouse.require(TEXTS, made_by="ingest")
    run.warehouse.create(ANNOTATIONS)
    labelled: dict[str, AnnotatedTask] = {}
    for name in tasks or configured:
        recipe = annotator_recipe(run, name, configured[name], choose=True)
        with run.step(f"annotate {name}"):
            _annotate(run, configured[name], recipe)
        annotated = _tell(run, recipe)
        check = check_annotations(run, recipe) if annotated.labels else None
        labelled[name] = replace(annotated, check=check)
    return Annotated(labelled)


def _annotate(run: Run, task: Annotation, recipe: AnnotatorRecipe) -> None:
    texts = run.warehouse.read(TEXTS).where(
        F.col("arrived_at") < F.lit(run.as_of).cast("timestamp")
    )
    if task.where:
        check_condition(texts, task.where, label=f"annotate.{recipe.task}.where")
        texts = texts.where(task.where)
    distinct = distinct_texts(texts)
    done = run.warehouse.snapshot(ANNOTATIONS).where(is_by(recipe))
    pending = not_scored(distinct, done).orderBy(F.xxhash64("text_hash"), "text_hash")
    chosen = pending.limit(task.most_texts)
    parts = max(1, min(run.parallelism, -(-task.most_texts // TEXTS_PER_TASK)))
    spread = spread_texts(chosen, parts)
    labelled = annotate_texts(spread, recipe, at=dt.datetime.now(dt.UTC))
    with spark_errors("annotating texts"):
        run.warehouse.append(
            labelled, ANNOTATIONS, transaction=(f"{run.run_id}/annotate/{recipe.digest}", 0)
        )


def _tell(run: Run, recipe: AnnotatorRecipe) -> AnnotatedTask:
    name = recipe.task
    with spark_errors("counting annotations"):
        rows = (
            stored_annotations(run, recipe)
            .groupBy("label")
            .agg(F.count("*").alias("texts"), F.sum("confidence").alias("confidence"))
            .collect()
        )
    counts = {row["label"]: int(row["texts"]) for row in rows}
    total = sum(counts.values())
    if not total:
        run.note(f"{name}: no text to annotate before {run.as_of}")
        return AnnotatedTask(recipe.digest, counts, None)
    agreement = sum(row["confidence"] for row in rows) / total
    descending = sorted(counts.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{label} {count:,}" for label, count in descending[:5])
    run.say(f"{name}: {total:,} texts, {agreement:.1%} of prompts agree; {shown}")
    return AnnotatedTask(recipe.digest, dict(descending), agreement)
