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
from behavior_spark.config.labels import PARTS, Labels, Part
from behavior_spark.errors import InputError
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.labels import read_labels
from behavior_spark.model.heads.findings import describe_findings
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
    frame = labelled_rows(run, name, parts=parts)
    multi = isinstance(frame.schema["label"].dataType, ArrayType)
    table, left_out = usable_rows(run, name, frame)
    if table.empty:
        found = [f"before {run.as_of}"] if labels.day else []
        found += describe_findings({"dropped_rows": left_out})
        raise InputError(f"{label}: no labelled row", found="; ".join(found) or None)
    run.say(f"{name}: {len(table):,} labelled texts")
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
        left_out=left_out,
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


def labelled_rows(run: Run, name: str, *, parts: Sequence[Part]) -> DataFrame:
    """``text, label, day, part`` of the head ``name``, for labels given before the night.

    With ``slices``, a map of strings, if the config names any. Rows without text, label or day
    are there too: :func:`usable_rows` counts them.

    Raises:
        ConfigError: An expression of the task does not fit its table.
        InputError: A table cannot be read.
    """
    labels, label = run.settings.text.heads[name], f"text.heads.{name}"
    annotated = None
    if labels.annotated is not None:
        annotated = annotated_labels(run, labels.annotated, min_confidence=labels.min_confidence)
    frame = read_labels(run.spark, labels, label=label, parts=parts, annotated=annotated)
    # Only a part with a day column has days.
    return frame.where(F.col("day").isNull() | (F.col("day") < F.lit(run.as_of)))


def usable_rows(run: Run, name: str, frame: DataFrame) -> tuple[pd.DataFrame, dict[str, int]]:
    """Rows of :func:`labelled_rows` with text, label and day, by hash of the text.

    In a part with a day column, a label whose day is missing or cannot be read may be too late.

    Returns:
        The rows, and how many others were read, by reason.
    """
    tables = {part: run.settings.text.heads[name].part(part) for part in PARTS}
    dated = [part for part, table in tables.items() if table is not None and table.day]
    table = first_rows(run, frame, "part", "label", label=f"text.heads.{name}")
    lacking = {
        "no_text": table["text"].isna(),
        "no_label": table["label"].isna(),
        "unreadable_day": table["part"].isin(dated) & table["day"].isna(),
    }
    usable, left_out = pd.Series(True, index=table.index), dict[str, int]()
    for reason, rows in lacking.items():
        if count := int((usable & rows).sum()):
            left_out[reason] = count
        usable &= ~rows
    return table[usable], left_out


def first_rows(run: Run, frame: DataFrame, *order: str, label: str) -> pd.DataFrame:
    """At most ``MOST_LABELS`` rows, by hash of ``text``; that others are left out is noted.

    Labelled tables are small: the limit protects the driver from a wrong, large one.

    Args:
        run: The run.
        frame: With a column ``text``.
        order: Columns that order the rows of one text.
        label: The table's place in the config.
    """
    ordered = frame.orderBy(F.xxhash64("text"), "text", *order)
    with spark_errors(label):
        table: pd.DataFrame = ordered.limit(MOST_LABELS + 1).toPandas()
    if len(table) > MOST_LABELS:
        run.note(f"{label}: only its first {MOST_LABELS:,} rows are read, by hash of the text")
    return table[:MOST_LABELS]
