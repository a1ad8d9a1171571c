"""Read a labelled table, or the tables of its parts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, StringType

from behavior_spark.config import Labels
from behavior_spark.config.labels import PARTS, Part
from behavior_spark.errors import ConfigError
from behavior_spark.io.expressions import check_condition
from behavior_spark.io.sources import map_labels, read_raw


def read_labels(
    spark: SparkSession,
    labels: Labels,
    *,
    label: str,
    parts: Sequence[Part] = PARTS,
    annotated: DataFrame | None = None,
) -> DataFrame:
    """Columns ``text, label, day, part`` of the parts asked for that the task has.

    ``label`` is a string, or an array of strings where a text has several; ``day`` is null where
    labels have none; ``part`` is train, dev or test.

    Args:
        spark: Session to read with.
        labels: The labelled table.
        label: Its place in the config, for messages.
        parts: Those wanted.
        annotated: What a language model has labelled, where ``labels`` says so.

    Raises:
        InputError: A table is not there or cannot be read.
        ConfigError: An expression is not SQL over its table, or gives the wrong type.
    """
    if labels.split is not None:
        whole = labels.model_copy(update={"split": None})
        check_condition(
            _raw(spark, whole, annotated, label), f"({labels.split}) = ''", label=f"{label}.split"
        )
    frames = []
    for part in parts:
        table = labels.part(part)
        if table is not None:
            where = label if part == "train" or labels.split else f"{label}.{part}"
            frame = map_labels(_raw(spark, table, annotated, where), table, label=where)
            _check_label(frame, where)
            frames.append(frame.withColumn("part", F.lit(part)))
    kinds = {frame.schema["label"].dataType.simpleString() for frame in frames}
    if len(kinds) > 1:
        raise ConfigError(
            f"{label}: its parts have labels of different types", found=", ".join(sorted(kinds))
        )
    return reduce(DataFrame.unionByName, frames)


def _raw(spark: SparkSession, labels: Labels, annotated: DataFrame | None, label: str) -> DataFrame:
    if labels.annotated is None or annotated is None:
        return read_raw(spark, labels, label=label)
    if labels.where:
        check_condition(annotated, labels.where, label=f"{label}.where")
        return annotated.where(labels.where)
    return annotated


def _check_label(frame: DataFrame, label: str) -> None:
    kind = frame.schema["label"].dataType
    strings = isinstance(kind, StringType) or (
        isinstance(kind, ArrayType) and isinstance(kind.elementType, StringType)
    )
    if not strings:
        raise ConfigError(
            f"{label}.label must be a string or an array of strings",
            found=f"type {kind.simpleString()}",
            fix="write it as text: label: CAST(my_column AS STRING)"
            if not isinstance(kind, ArrayType)
            else "write it as text: label: CAST(my_column AS ARRAY<STRING>)",
        )
