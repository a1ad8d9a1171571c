"""Read the team's table of approved answers."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType

from behavior_spark.config import Answers
from behavior_spark.errors import InputError
from behavior_spark.io.expressions import check_condition, type_of
from behavior_spark.io.sources import read_raw

_LABEL = "service.answers"


def read_answers(spark: SparkSession, source: Answers) -> DataFrame:
    """``needs`` (array of strings), ``answer, approved, language, answer_id, question``.

    What is not mapped is null; ``approved`` is then true.

    Raises:
        InputError: The table is not there.
        ConfigError: A mapping is not SQL over its columns.
    """
    frame = read_raw(spark, source, label=_LABEL)
    kinds = {
        name: type_of(frame, expression, label=f"{_LABEL}.columns.{name}")
        for name, expression in source.columns.items()
    }
    if "approved" in kinds:
        check_condition(frame, source.columns["approved"], label=f"{_LABEL}.columns.approved")
    need = F.expr(source.columns["need"])
    if isinstance(kinds["need"], ArrayType):
        needs = need.cast("array<string>")
    elif kinds["need"].typeName() in ("map", "struct", "binary"):
        raise InputError(
            f"{_LABEL}.columns.need must be a label or an array of labels",
            found=kinds["need"].simpleString(),
        )
    else:
        needs = F.when(need.isNotNull(), F.array(need.cast("string")))
    approved = F.expr(source.columns.get("approved", "true"))
    texts = [
        F.expr(source.columns.get(name, "NULL")).cast("string").alias(name)
        for name in ("answer", "language", "answer_id", "question")
    ]
    return frame.select(needs.alias("needs"), F.coalesce(approved, F.lit(False)).alias("approved"),
                        *texts)  # fmt: skip
