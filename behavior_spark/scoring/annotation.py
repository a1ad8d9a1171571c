"""Label texts in Spark workers with a language model."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from behavior_spark.errors import ModelError
from behavior_spark.schemas import ANNOTATIONS
from behavior_spark.scoring.arrow import gather, map_array
from behavior_spark.scoring.workers import task_resources

if TYPE_CHECKING:
    from behavior_spark.model.encoder.devices import Device
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
    device: Device = "auto"

    def load(self) -> Annotator:
        """The annotator; a worker loads it once, and again if its files or options changed.

        Raises:
            ModelError: It cannot be loaded, or its files differ from the driver's.
        """
        from behavior_spark.model.heads.annotator import Annotator

        device = _task_device(self.device)
        key = (self.source, self.options, device)
        annotator = _annotators.get(key)
        if annotator is None or annotator.digest != self.digest:
            _annotators.pop(key, None)  # two of them may not fit in memory
            annotator = _annotators[key] = Annotator.load(self.source, self.options, device=device)
        if annotator.digest != self.digest:
            raise ModelError(
                "this worker's language model is not the one the driver named",
                found=f"{annotator.digest}, wanted {self.digest}",
                fix="put the same model on a path that all workers share; replace its files "
                "between runs only",
            )
        return annotator


def _task_device(wanted: Device) -> str | None:
    """The torch device of this task, which may use its share of threads from here on."""
    from behavior_spark.model.encoder.devices import choose_device, use_threads

    cpus, address, task = task_resources()
    use_threads(cpus)
    return choose_device(wanted, address=address, task=task)


def precision_on_worker(frame: DataFrame, device: Device) -> DataFrame:
    """What a worker's device computes in itself: one row, its precision and name in ``found``.

    Args:
        frame: One row, of any columns.
        device: As in ``EncoderRecipe``.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from behavior_spark.model.encoder.devices import native_precision

        for _ in batches:
            found = native_precision(_task_device(device))
            yield pa.RecordBatch.from_pydict({"found": [json.dumps(found)]})

    return frame.coalesce(1).mapInArrow(run, "found string")


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
