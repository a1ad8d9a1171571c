"""Export the queue of a night to one file, with the masked text and the suggested answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from rich.console import RenderableType
from rich.text import Text

from behavior_spark.errors import InputError
from behavior_spark.io.exports import export_rows
from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.uses.service_answers import approved_answers
from behavior_spark.runs.run import Run
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import SERVICE_QUEUE, TEXTS

_CASES = 3
_ANSWER = pa.schema([("reply_id", pa.string()), ("reply", pa.string())])
_PLAIN = (
    "queue", "place", "text_id", "user_id", "kind", "language", "need", "need_confidence",
    "likeliest_need", "second_need", "abstained_because", "mood", "urgency", "value", "risk",
    "routed_by", "reply_id", "reply_similarity", "no_reply_because",
)  # fmt: skip


@dataclass(frozen=True)
class QueueExported(StageResult):
    """Rows as they were written.

    Attributes:
        file: Path of the file.
        rows: Rows written.
    """

    file: str
    rows: int

    @property
    def details(self) -> Mapping[str, Any]:
        """Both."""
        return dict(vars(self))

    def blocks(self) -> list[RenderableType]:
        """One line."""
        return [Text(f"{self.file}: {self.rows:,} texts")]


@stage(
    "export-service-queue",
    does="texts of a queue, with suggested answers, to a file for the team's tool",
    reads=(SERVICE_QUEUE, TEXTS),
)
def export_queue_stage(run: Run, name: str | None, *, output: Path) -> QueueExported:
    """Write the texts of a night to a file, in the order in which to answer them.

    Args:
        run: The run; its as_of is the night.
        name: A queue; None: all of them.
        output: File to write, of a kind that ``export_rows`` knows.

    Raises:
        InputError: There is no such queue of this night.
        ConfigError: The file has another ending.
    """
    tonight = run.warehouse.require(SERVICE_QUEUE, made_by="service").where(
        F.col("as_of") == F.lit(run.as_of)
    )
    rows = tonight if name is None else tonight.where(F.col("queue") == name)
    with spark_errors("exporting the service queue"):
        if rows.isEmpty():
            _refuse_nothing(run, name, tonight)
        flat = flat_rows(rows, run.warehouse.read(TEXTS), _answer_texts(run))
        written = export_rows(flat.orderBy("queue", "place"), output)
    return QueueExported(str(output), written)


def flat_rows(rows: DataFrame, texts: DataFrame, answers: DataFrame) -> DataFrame:
    """One row per text with plain columns: the masked text, the answer, cases by number.

    Args:
        rows: Contract ``service_queue``.
        texts: Contract ``texts``: cleaned, personal data masked.
        answers: ``reply_id, reply``.
    """
    version = texts.select("text_id", "arrived_at", "text")
    cases = [
        F.get("similar_cases", F.lit(place))["text_id"].alias(f"similar_case_{place + 1}")
        for place in range(_CASES)
    ]
    return (
        rows.join(version, ["text_id", "arrived_at"], "left")
        .join(F.broadcast(answers), "reply_id", "left")
        .select(
            *_PLAIN,
            F.col("arrived_at").cast("string").alias("arrived_at"),
            F.array_join("urgent_because", ", ").alias("urgent_because"),
            "text",
            "reply",
            *cases,
        )
    )


def _answer_texts(run: Run) -> DataFrame:
    service = run.settings.service
    answers = approved_answers(run, service)[0] if service else []
    by_id = sorted({(answer.id, answer.text) for answer in answers})
    listed = [{"reply_id": key, "reply": reply} for key, reply in by_id]
    return run.spark.createDataFrame(pa.Table.from_pylist(listed, schema=_ANSWER))


def _refuse_nothing(run: Run, name: str | None, tonight: DataFrame) -> None:
    queues = sorted(row["queue"] for row in tonight.select("queue").distinct().collect())
    what = "the service queue" if name is None else f"queue {name}"
    raise InputError(
        f"{what} has no text of {run.as_of}",
        found=f"queues of this night: {', '.join(queues) or 'none'}",
        fix="give one of these queues" if queues
        else "give --as-of a night that was queued, or run `behavior-spark service` first",
    )  # fmt: skip
