"""Labelled tables on the driver, cleaned as the texts of the warehouse are."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType

from behavior_spark.cleaning.text import clean_text
from behavior_spark.config import Settings
from behavior_spark.config.labels import Part
from behavior_spark.errors import InputError
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.labels import read_labels
from behavior_spark.model.heads.kind import MULTI_LABEL, SINGLE_LABEL
from behavior_spark.model.heads.labelled import LabelledTexts
from behavior_spark.pipelines.text_models.annotation import annotated_labels
from behavior_spark.runs.run import Run

MOST_LABELS = 200_000


def labelled_task(
    run: Run, name: str, *, parts: Sequence[Part] = ("train", "dev")
) -> LabelledTexts:
    """The labelled texts of the head ``name``: those with a label, given before the night.

    Args:
        run: The run.
        name: A key of ``text.heads``.
        parts: Those wanted; ``held_out`` tells the rows of ``dev`` where there are any.

    Raises:
        ConfigError: An expression of the task does not fit its table.
        InputError: No row is left, or a table cannot be read.
    """
    labels = run.settings.text.heads[name]
    label = f"text.heads.{name}"
    frame = labelled_rows(run, name, parts=parts)
    multi = isinstance(frame.schema["label"].dataType, ArrayType)
    with spark_errors(label):
        # Labels are what people wrote by hand; a cap keeps a wrong table off the driver.
        table: pd.DataFrame = (
            frame.orderBy(F.xxhash64("text"), "text", "part", "label").limit(MOST_LABELS).toPandas()
        )
    if table.empty:
        raise InputError(
            f"{label}: no labelled row", found=f"before {run.as_of}" if labels.day else None
        )
    run.say(f"{name}: {len(table):,} labelled texts")
    if len(table) == MOST_LABELS:
        run.note(f"{label}: only the first {MOST_LABELS:,} labelled texts, by hash, are used")
    in_dev = [part == "dev" for part in table["part"]]
    return LabelledTexts(
        name=name,
        texts=[cleaned(text, run.settings) for text in table["text"]],
        labels=[list(v) for v in table["label"]] if multi else [str(v) for v in table["label"]],
        kind=MULTI_LABEL if multi else SINGLE_LABEL,
        days=[None if pd.isna(d) else str(d) for d in table["day"]] if labels.day else None,
        held_out=in_dev if any(in_dev) else None,
        validation_share=labels.validation_share,
        tested_elsewhere=labels.has_test,
        abstain=labels.abstain,
    )


def cleaned(text: object, settings: Settings) -> str:
    """A labelled text as the texts of the warehouse are cleaned."""
    cap, mask = settings.text.max_chars, settings.privacy.mask_personal_data
    return clean_text(str(text), max_chars=cap, mask=mask).text


def labelled_rows(run: Run, name: str, *, parts: Sequence[Part]) -> DataFrame:
    """``text, label, day, part`` of the head ``name``: with a label, given before the night.

    ``slices`` too, a map of strings, where the config names any.

    Raises:
        ConfigError: An expression of the task does not fit its table.
        InputError: A table cannot be read.
    """
    labels, label = run.settings.text.heads[name], f"text.heads.{name}"
    annotated = None
    if labels.annotated is not None:
        annotated = annotated_labels(run, labels.annotated, min_confidence=labels.min_confidence)
    frame = read_labels(run.spark, labels, label=label, parts=parts, annotated=annotated)
    # Where a part names a day, a label without one cannot be shown to be early enough.
    tables = {part: labels.part(part) for part in parts}
    dated = [part for part, table in tables.items() if table is not None and table.day]
    frame = frame.where(~F.col("part").isin(dated) | (F.col("day") < F.lit(run.as_of)))
    return frame.where(F.col("text").isNotNull() & F.col("label").isNotNull())
