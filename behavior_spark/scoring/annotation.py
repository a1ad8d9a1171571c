"""Label texts in Spark workers with a language model."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from behavior_spark.errors import ModelError
from behavior_spark.schemas import ANNOTATIONS
from behavior_spark.scoring.arrow import gather, map_array
from behavior_spark.scoring.workers import task_resources

if TYPE_CHECKING:
    from behavior_spark.model.heads.annotator import Annotator, AnnotatorOptions

WINDOW_ROWS, WINDOW_BYTES = 512, 8 << 20

_annotators: dict[tuple[str, AnnotatorOptions, str | None], Annotator] = {}


@dataclass(frozen=True)
class AnnotatorRecipe:
    """What a worker needs to load a language model; small enough to send with every task.

    Attributes:
        task: What the labels are about; becomes the column ``task``.
        source: Folder readable by every worker, or ``package:NAME/folder``.
        options: Labels and prompts.
        digest: Digest of model and options; a worker whose files give another one raises.
        device: As in ``EncoderRecipe``.
    """

    task: str
    source: str
    options: AnnotatorOptions
    digest: str
    device: Literal["auto", "cpu", "cuda"] = "auto"

    def load(self) -> Annotator:
        """The annotator, loaded once per worker process.

        Raises:
            ModelError: It cannot be loaded, or its files differ from the driver's.
        """
        from behavior_spark.model.encoder.devices import choose_device, use_threads
        from behavior_spark.model.heads.annotator import Annotator

        cpus, address, task = task_resources()
        use_threads(cpus)
        device = choose_device(self.device, address=address, task=task)
        key = (self.source, self.options, device)
        if key not in _annotators:
            _annotators[key] = Annotator.load(self.source, self.options, device=device)
        if _annotators[key].digest != self.digest:
            raise ModelError(
                "this worker's language model is not the one the driver named",
                found=f"{_annotators[key].digest}, wanted {self.digest}",
                fix="put the same model on a path that all workers share",
            )
        return _annotators[key]


def annotate_texts(frame: DataFrame, recipe: AnnotatorRecipe, *, at: dt.datetime) -> DataFrame:
    """Label ``text`` of each row: columns of ``annotations``.

    Args:
        frame: ``text_hash, text``; no nulls.
        recipe: The language model.
        at: When the model ran, UTC.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in gather(batches, rows=WINDOW_ROWS, size=WINDOW_BYTES):
            votes = recipe.load().votes(batch.column("text").to_pylist())
            yield _record_batch(batch.column("text_hash"), votes, recipe, at)

    return frame.select("text_hash", "text").mapInArrow(run, ANNOTATIONS.schema)


def _record_batch(
    keys: pa.Array, votes: np.ndarray, recipe: AnnotatorRecipe, at: dt.datetime
) -> pa.RecordBatch:
    from behavior_spark.model.heads.prompts import majority_vote

    rows, prompts = votes.shape[:2]
    labels = pa.array(recipe.options.labels, type=pa.string())
    winner, agreement, probability = majority_vote(votes)
    voted = labels.take(pa.array(votes.argmax(axis=2).ravel()))
    offsets = pa.array(np.arange(rows + 1, dtype=np.int32) * prompts)
    return pa.RecordBatch.from_arrays(
        [
            keys.cast(pa.string()),
            pa.repeat(recipe.task, rows),
            labels.take(pa.array(winner)),
            pa.array(agreement, type=pa.float32()),
            pa.array(probability, type=pa.float32()),
            pa.ListArray.from_arrays(offsets, voted),
            map_array(votes.mean(axis=1), recipe.options.labels),
            pa.repeat(recipe.digest, rows),
            pa.repeat(pa.scalar(at, pa.timestamp("us", tz="UTC")), rows),
        ],
        names=ANNOTATIONS.names,
    )
