"""Annotations beside labels that people gave to the same texts: is their confidence to be believed?

Labels are those of the head that learns from the task (its ``dev`` and ``test`` parts) and of the
head with the task's name. Only texts of the warehouse are annotated, so only their labels count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql.types import StringType

from behavior_spark.cleaning.text import text_hash
from behavior_spark.config.labels import PARTS, Part
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.heads.findings import describe_findings
from behavior_spark.model.measures.confidence import (
    ConfidenceBin,
    Kept,
    confidence_bins,
    expected_calibration_error,
    kept_by_threshold,
)
from behavior_spark.names import counted, normal_name
from behavior_spark.pipelines.text_models.labelled_tables import cleaned, labelled_rows, usable_rows
from behavior_spark.pipelines.text_models.stored_annotations import stored_annotations
from behavior_spark.runs.run import Run
from behavior_spark.scoring.annotation import AnnotatorRecipe

FEWEST = 20  # fewer labels say nothing
_SHOWN = 4


@dataclass(frozen=True)
class AnnotationCheck:
    """Annotations of texts that have a label of a person.

    Attributes:
        labels: Number of such texts.
        accuracy: Share of them that got the person's label.
        calibration_error: Mean gap of confidence and accuracy over ten bins.
        bins: Accuracy by confidence.
        kept: What each threshold of confidence keeps, from the lowest.
    """

    labels: int
    accuracy: float
    calibration_error: float
    bins: Sequence[ConfidenceBin]
    kept: Sequence[Kept]


def check_annotations(run: Run, recipe: AnnotatorRecipe) -> AnnotationCheck | None:
    """Compare a task's annotations with labels, say what was found; None with too few labels.

    Raises:
        ConfigError: An expression of a head does not fit its table.
        InputError: A labelled table cannot be read.
    """
    labels = _labels_by_hash(run, recipe.task)
    if not labels:
        run.note(
            f"{recipe.task}: no label of people to check its confidence by (name a labelled table "
            f"as text.heads.{recipe.task}, or as dev or test of the head that learns from it)"
        )
        return None
    wanted = run.spark.createDataFrame(pa.table({"text_hash": [*labels]}), "text_hash string")
    stored = stored_annotations(run, recipe).join(wanted, "text_hash", "left_semi")
    with spark_errors("reading annotations of labelled texts"):
        table: pd.DataFrame = stored.select("text_hash", "label", "confidence").toPandas()
    if len(table) < FEWEST:
        run.note(
            f"{recipe.task}: {len(table):,} of {len(labels):,} labelled texts are annotated; "
            f"with {FEWEST} its confidence would be checked"
        )
        return None
    right = np.array(
        [
            labels[key] == label
            for key, label in zip(table["text_hash"], table["label"], strict=True)
        ],
        dtype=np.bool_,
    )
    confidence = table["confidence"].to_numpy(dtype=np.float64)
    bins = confidence_bins(confidence, right)
    levels = np.unique(np.quantile(confidence, np.linspace(0, 0.9, 10), method="lower").round(6))
    check = AnnotationCheck(
        labels=len(table),
        accuracy=float(right.mean()),
        calibration_error=expected_calibration_error(bins),
        bins=bins,
        kept=kept_by_threshold(confidence, right, [float(level) for level in levels]),
    )
    _tell(run, recipe.task, check)
    return check


def _labels_by_hash(run: Run, task: str) -> dict[str, str]:
    """The label that people gave, by hash of the clean text; texts with several are left out."""
    key, labels = run.settings.privacy.pseudonymise_key, dict[str, str]()
    conflicts = set()
    for head, parts in _heads(run, task):
        frame = labelled_rows(run, head, parts=parts)
        if not isinstance(frame.schema["label"].dataType, StringType):
            continue
        table, left_out = usable_rows(run, head, frame)
        for line in describe_findings({"dropped_rows": left_out}):
            run.note(f"text.heads.{head}: {line}")
        for text, label in zip(table["text"], table["label"], strict=True):
            name, given = text_hash(cleaned(text, run.settings), key=key), normal_name(str(label))
            if labels.setdefault(name, given) != given:
                conflicts.add(name)
    return {name: label for name, label in labels.items() if name not in conflicts}


def _heads(run: Run, task: str) -> Iterator[tuple[str, Sequence[Part]]]:
    """Heads with labels of people for a task, and the parts in which they are."""
    for name, labels in run.settings.text.heads.items():
        if labels.annotated is None and name == task:
            yield name, PARTS
        elif labels.annotated == task:
            given: list[Part] = []
            if labels.dev is not None:
                given.append("dev")
            if labels.test is not None:
                given.append("test")
            if given:
                yield name, given


def _tell(run: Run, task: str, check: AnnotationCheck) -> None:
    run.say(
        f"{task}: {check.accuracy:.1%} right beside {counted(check.labels, 'label')} of people; "
        f"confidence is off by {check.calibration_error:.1%} on average"
    )
    for part in check.bins:
        run.say(
            f"{task}: confidence {part.low:.1f} to {part.high:.1f}, mean {part.confidence:.2f}: "
            f"{part.accuracy:.1%} right, from {counted(part.labels, 'label')}"
        )
    step = max(1, -(-len(check.kept) // _SHOWN))
    for kept in check.kept[::-1][::step]:
        run.note(
            f"{task}: min_confidence {kept.threshold:.2f} keeps {kept.share:.0%}: "
            f"{kept.accuracy:.1%} right ({kept.low:.1%} to {kept.high:.1%}), "
            f"from {counted(kept.labels, 'label')}"
        )
