"""The annotations of a task that are stored, by its present language model and prompts."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.config import Annotation
from behavior_spark.errors import ConfigError
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.encoder.options import checked_precision
from behavior_spark.model.registry.store import ModelStore
from behavior_spark.runs.run import Run
from behavior_spark.schemas import ANNOTATIONS, TEXTS
from behavior_spark.scoring.annotation import AnnotatorRecipe, precision_on_worker


def annotator_recipe(
    run: Run, name: str, task: Annotation, *, choose: bool = False
) -> AnnotatorRecipe:
    """What a worker needs to annotate for a task.

    Args:
        run: The run.
        name: The task's name.
        task: The task.
        choose: Let a worker choose a precision that is to be chosen and was not before, and record
            it. Without a record there is no annotation, and fp32 stands for what is to come.

    Raises:
        ModelError: There is no model where the config says.
    """
    # Imported here because it loads torch, which takes seconds.
    from behavior_spark.model.heads.annotator import AnnotatorOptions, annotator_digest

    options = AnnotatorOptions(
        labels=tuple(task.labels),
        words=tuple(" ".join(words.split()) for words in task.labels.values()),
        prompts=tuple(task.prompts),
        calibrate=task.calibrate,
        max_length=task.max_length,
    )
    digest = annotator_digest(task.model, options)
    if task.precision == "auto":
        store = ModelStore(run.settings.models_path)
        if choose and store.precision(digest) is None:
            with spark_errors("choosing the language model's precision"):
                found = precision_on_worker(run.spark.range(1), task.device).collect()
            store.record_precision(digest, json.loads(found[0]["found"]))
        precision = checked_precision(store.precision(digest) or "fp32")
    else:
        precision = task.precision
    options = replace(options, precision=precision)
    return AnnotatorRecipe(
        name, task.model, options, annotator_digest(task.model, options), task.device
    )


def annotated_labels(run: Run, name: str, *, min_confidence: float) -> DataFrame:
    """``text, label, day`` of a task's confident annotations; day is the text's first arrival day.

    Args:
        run: The run.
        name: Task under ``annotate``. Only labels by its present model and prompts are returned.
        min_confidence: Share of prompts that must agree.

    Raises:
        ConfigError: There is no such task.
    """
    if name not in run.settings.annotate:
        raise ConfigError(
            f"no annotation task {name!r}",
            found=f"annotate has {', '.join(run.settings.annotate) or 'no task'}",
            fix="add annotate.<task> with model, labels and prompts, and run `annotate`",
        )
    recipe = annotator_recipe(run, name, run.settings.annotate[name])
    kept = stored_annotations(run, recipe).where(F.col("confidence") >= min_confidence - 1e-6)
    texts = run.warehouse.require(TEXTS, made_by="ingest")
    known = texts.groupBy("text_hash").agg(
        F.min("text").alias("text"), F.min("arrived_day").alias("day")
    )
    return known.join(kept, "text_hash").select("text", "label", "day")


def stored_annotations(run: Run, recipe: AnnotatorRecipe) -> DataFrame:
    """Stored annotations of a task by its present annotator, one per text.

    Two runs at the same time may both have stored one.
    """
    stored = run.warehouse.read(ANNOTATIONS).where(is_by(recipe))
    return stored.dropDuplicates(["text_hash"])


def is_by(recipe: AnnotatorRecipe) -> Any:
    """Condition: a row of annotations is of this task and annotator."""
    return (F.col("task") == recipe.task) & (F.col("annotator_digest") == recipe.digest)
