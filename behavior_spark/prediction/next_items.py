"""Next items of users: a sequence model over their histories, in Spark workers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.errors import ModelError
from behavior_spark.schemas import USER_NEXT_ITEMS
from behavior_spark.shared_folder import SharedFolder

if TYPE_CHECKING:
    from behavior_spark.model.sequence.model import SequenceModel

# Users at once in a worker: a list of 200 events each stays below 20 MB.
USERS_AT_ONCE = 2048
_NAMES = ["user_id", "items", "scores", "reason_items", "influences", "last_item"]
_SCORED = (
    "user_id string, items array<string>, scores array<float>, reason_items array<string>, "
    "influences array<float>, last_item string"
)


@dataclass(frozen=True)
class SequenceRecipe:
    """What a worker needs to load a sequence model and to ask it.

    Attributes:
        folder: Folder of sequence models, on a file system or in an object store.
        digest: Name of the model in it, which is its digest.
        k: Number of next items.
        leave_out_seen: Whether items of a user's events are left out.
        occluded: Newest events among which a reason is looked for.
    """

    folder: str
    digest: str
    k: int
    leave_out_seen: bool
    occluded: int

    def load(self) -> SequenceModel:
        """The model, loaded once per worker process and fetched once per machine."""
        return load_model(self.folder, self.digest, task_threads())


def task_threads() -> int:
    """Processors of this task; 1 outside of one."""
    context = TaskContext.get()
    return max(1, context.cpus()) if context else 1


@lru_cache(maxsize=1)
def load_model(folder: str, digest: str, threads: int) -> SequenceModel:
    """A model of a folder of models, for a worker.

    Raises:
        ModelError: It is another one than the digest says.
    """
    from behavior_spark.model.encoder.devices import use_threads
    from behavior_spark.model.sequence.model import SequenceModel

    use_threads(threads)
    model = SequenceModel.load(SharedFolder(folder).fetch(digest))
    if model.digest != digest:
        raise ModelError(
            "this worker's sequence model is not the one the driver named",
            found=f"{model.digest}, wanted {digest}",
            fix="put the models on a path that all workers share",
        )
    return model


def predict_items(histories: DataFrame, recipe: SequenceRecipe, *, as_of: dt.date) -> DataFrame:
    """Next items of each user, with the columns of ``user_next_items``.

    A user without an event of an item that the model knows has no row.

    Args:
        histories: ``user_id`` and the lists ``items``, ``event_types``, ``event_times`` and
            ``values``, in order of time.
        recipe: The model and what to ask it.
        as_of: Day of the prediction.
    """

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from behavior_spark.model.sequence.scoring import ScoreOptions, score

        options = ScoreOptions(recipe.k, recipe.leave_out_seen, recipe.occluded)
        for batch in batches:
            for first in range(0, batch.num_rows, USERS_AT_ONCE):
                scored = score(recipe.load(), batch.slice(first, USERS_AT_ONCE), options)
                yield scored.select(_NAMES)

    scored = histories.mapInArrow(run, _SCORED)
    each = F.posexplode(F.arrays_zip("items", "scores", "reason_items", "influences"))
    rows = scored.select("user_id", "last_item", each.alias("place", "next"))
    reason_item = F.col("next.reason_items")
    how = F.when(reason_item == F.col("last_item"), " seen last").otherwise(" seen before")
    return rows.select(
        "user_id",
        F.lit(as_of).alias("as_of"),
        (F.col("place") + 1).alias("rank"),
        F.col("next.items").alias("item_id"),
        F.col("next.scores").alias("score"),
        reason_item.alias("reason_item_id"),
        F.when(reason_item.isNotNull(), F.col("next.influences")).alias("influence"),
        F.concat(F.lit("after "), reason_item, how).alias("reason"),
        F.lit(recipe.digest).alias("model_digest"),
    ).select(*USER_NEXT_ITEMS.names)
