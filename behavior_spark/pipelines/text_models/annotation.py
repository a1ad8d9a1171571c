"""Annotate: a language model labels texts of the warehouse, for a head to learn from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.config import Annotation
from behavior_spark.errors import ConfigError
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.sources import check_condition
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import ANNOTATIONS, TEXTS
from behavior_spark.scoring.annotation import AnnotatorRecipe, annotate_texts
from behavior_spark.scoring.texts import distinct_texts, not_scored, spread_texts

TEXTS_PER_TASK = 64


@dataclass(frozen=True)
class AnnotatedTask:
    """The labels of one task.

    Attributes:
        annotator: Digest of the model and its prompts.
        labels: How many texts have each label, those of earlier runs included.
        confidence: Mean share of the prompts that agree; None without a text.
    """

    annotator: str
    labels: Mapping[str, int]
    confidence: float | None


@dataclass(frozen=True)
class Annotated(StageResult):
    """What language models labelled.

    Attributes:
        tasks: By name.
    """

    tasks: Mapping[str, AnnotatedTask]

    @property
    def figures(self) -> Mapping[str, float]:
        """Texts and mean confidence of each task."""
        found: dict[str, float] = {}
        for name, task in self.tasks.items():
            found[f"{name}_annotated_texts"] = float(sum(task.labels.values()))
            if task.confidence is not None:
                found[f"{name}_mean_confidence"] = task.confidence
        return found

    @property
    def models(self) -> Mapping[str, str]:
        """The annotator of each task."""
        return {f"annotator_{name}": task.annotator for name, task in self.tasks.items()}

    @property
    def details(self) -> Mapping[str, Any]:
        """Texts by label."""
        return {"labels": {name: dict(task.labels) for name, task in self.tasks.items()}}


@stage(
    "annotate",
    does="label texts with a language model",
    reads=(TEXTS,),
    writes=(ANNOTATIONS,),
    models=("language",),
)
def annotate_stage(run: Run, *, tasks: Sequence[str] = ()) -> Annotated:
    """Label texts that the tasks' annotators have not labelled before.

    Args:
        run: The run.
        tasks: Names under ``annotate``; all of them by default.

    Raises:
        ConfigError: A task is not known, or its condition is no SQL over ``texts``.
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
        recipe = annotator_recipe(name, configured[name])
        with run.step(f"annotate {name}"):
            _annotate(run, configured[name], recipe)
        labelled[name] = _tell(run, recipe)
    return Annotated(labelled)


def annotator_recipe(name: str, task: Annotation) -> AnnotatorRecipe:
    """What a worker needs to annotate for a task.

    Raises:
        ModelError: There is no model where the config says.
    """
    # torch: seconds that other commands spare
    from behavior_spark.model.heads.annotator import AnnotatorOptions, annotator_digest

    options = AnnotatorOptions(
        labels=tuple(task.labels),
        words=tuple(" ".join(words.split()) for words in task.labels.values()),
        prompts=tuple(task.prompts),
        calibrate=task.calibrate,
        max_length=task.max_length,
    )
    digest = annotator_digest(task.model, options)
    return AnnotatorRecipe(name, task.model, options, digest, task.device)


def annotated_labels(run: Run, name: str, *, min_confidence: float) -> DataFrame:
    """``text, label, day`` of a task's confident annotations; day is when the text was known.

    Args:
        run: The run.
        name: Under ``annotate``; labels of its present model and prompts alone are given.
        min_confidence: Share of prompts that must agree.
    """
    if name not in run.settings.annotate:
        raise ConfigError(
            f"no annotation task {name!r}",
            found=f"annotate has {', '.join(run.settings.annotate) or 'no task'}",
            fix="add annotate.<task> with model, labels and prompts, and run `annotate`",
        )
    recipe = annotator_recipe(name, run.settings.annotate[name])
    kept = _own(run, recipe).where(F.col("confidence") >= min_confidence - 1e-6)
    texts = run.warehouse.require(TEXTS, made_by="ingest")
    known = texts.groupBy("text_hash").agg(
        F.min("text").alias("text"), F.min("arrived_day").alias("day")
    )
    return known.join(kept, "text_hash").select("text", "label", "day")


def _annotate(run: Run, task: Annotation, recipe: AnnotatorRecipe) -> None:
    texts = run.warehouse.read(TEXTS).where(
        F.col("arrived_at") < F.lit(run.as_of).cast("timestamp")
    )
    if task.where:
        check_condition(texts, task.where, label=f"annotate.{recipe.task}.where")
        texts = texts.where(task.where)
    distinct = distinct_texts(texts)
    done = run.warehouse.snapshot(ANNOTATIONS).where(_by(recipe))
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
            _own(run, recipe)
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
    most = sorted(counts.items(), key=lambda item: -item[1])
    shown = ", ".join(f"{label} {count:,}" for label, count in most[:5])
    run.say(f"{name}: {total:,} texts, {agreement:.1%} of prompts agree; {shown}")
    return AnnotatedTask(recipe.digest, dict(most), agreement)


def _own(run: Run, recipe: AnnotatorRecipe) -> DataFrame:
    """One annotation per text: two runs at once may both have stored it."""
    stored = run.warehouse.read(ANNOTATIONS).where(_by(recipe))
    return stored.dropDuplicates(["text_hash"])


def _by(recipe: AnnotatorRecipe) -> Any:
    return (F.col("task") == recipe.task) & (F.col("annotator_digest") == recipe.digest)
