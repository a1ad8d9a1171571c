"""Read labelled tables to the driver; their texts are cleaned like those of the warehouse."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType

from behavior_spark.cleaning.personal_data import masking_of
from behavior_spark.cleaning.text import clean_text
from behavior_spark.config import Settings
from behavior_spark.config.labels import Labels, Part
from behavior_spark.errors import InputError
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.labels import read_labels
from behavior_spark.model.heads.kind import MULTI_LABEL, SINGLE_LABEL
from behavior_spark.model.heads.labelled import LabelledTexts
from behavior_spark.model.heads.stated_costs import Costs, LabelCost
from behavior_spark.names import normal_name
from behavior_spark.pipelines.text_models.stored_annotations import annotated_labels
from behavior_spark.runs.run import Run

MOST_LABELS = 200_000


def labelled_task(
    run: Run, name: str, *, parts: Sequence[Part] = ("train", "dev")
) -> LabelledTexts:
    """The labelled texts of the head ``name`` whose labels were given before the night.

    Args:
        run: The run.
        name: A key of ``text.heads``.
        parts: Parts to read. Rows of ``dev`` are marked in ``held_out``.

    Raises:
        ConfigError: An expression of the task does not fit its table.
        InputError: No row is left, or a table cannot be read.
    """
    labels = run.settings.text.heads[name]
    label = f"text.heads.{name}"
    frame = labelled_rows(run, name, parts=parts, usable=False)
    multi = isinstance(frame.schema["label"].dataType, ArrayType)
    with spark_errors(label):
        # Labelled tables are small. The limit protects the driver from a wrong, large table.
        table: pd.DataFrame = (
            frame.orderBy(F.xxhash64("text"), "text", "part", "label").limit(MOST_LABELS).toPandas()
        )
    nulls = {"no_text": table["text"].isna(), "no_label": table["label"].isna()}
    left_out = {
        "no_text": int(nulls["no_text"].sum()),
        "no_label": int((nulls["no_label"] & ~nulls["no_text"]).sum()),
    }
    table = table[~nulls["no_text"] & ~nulls["no_label"]]
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
        costs=stated_costs(labels),
        left_out={reason: count for reason, count in left_out.items() if count},
    )


def stated_costs(labels: Labels) -> Costs:
    """Costs of a head's labels, by label as it is learned."""
    return {
        normal_name(label): LabelCost(cost.missed, cost.false_alarm)
        for label, cost in labels.cost.items()
    }


def cleaned(text: object, settings: Settings) -> str:
    """A labelled text, cleaned like the texts of the warehouse."""
    cap, mask = settings.text.max_chars, masking_of(settings.privacy)
    return clean_text(str(text), max_chars=cap, mask=mask, form=settings.text.normal_form).text


def labelled_rows(run: Run, name: str, *, parts: Sequence[Part], usable: bool = True) -> DataFrame:
    """``text, label, day, part`` of the head ``name``, for labels given before the night.

    With ``slices``, a map of strings, if the config names any. Rows without text or label are
    left out if only ``usable`` ones are wanted.

    Raises:
        ConfigError: An expression of the task does not fit its table.
        InputError: A table cannot be read.
    """
    labels, label = run.settings.text.heads[name], f"text.heads.{name}"
    annotated = None
    if labels.annotated is not None:
        annotated = annotated_labels(run, labels.annotated, min_confidence=labels.min_confidence)
    frame = read_labels(run.spark, labels, label=label, parts=parts, annotated=annotated)
    # In a part with a day column, a label without a day may be too late: it is left out.
    tables = {part: labels.part(part) for part in parts}
    dated = [part for part, table in tables.items() if table is not None and table.day]
    frame = frame.where(~F.col("part").isin(dated) | (F.col("day") < F.lit(run.as_of)))
    if not usable:
        return frame
    return frame.where(F.col("text").isNotNull() & F.col("label").isNotNull())
