"""User vectors in Spark workers: a sequence model over histories, to a few numbers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import DataFrame

from behavior_spark.prediction.next_items import USERS_AT_ONCE, load_model, task_threads

if TYPE_CHECKING:
    from behavior_spark.model.sequence.user_vectors import UserVectors

_KEY = ["as_of", "user_id"]
_SCHEMA = "as_of date, user_id string, vector array<double>"


@dataclass(frozen=True)
class UserVectorRecipe:
    """What a worker needs to load a model of user vectors.

    Attributes:
        folder: Folder of the models, on a file system or in an object store.
        digest: Name of the model in it, which is its digest.
        dimensions: How many numbers a user has.
        trained_through: First day after the events that it learned from.
    """

    folder: str
    digest: str
    dimensions: int
    trained_through: dt.date

    def load(self) -> UserVectors:
        """The model, loaded once per worker process."""
        return _load(self.folder, self.digest, task_threads())

    def vectors(self, histories: DataFrame) -> DataFrame:
        """``as_of, user_id, vector``; null without an event of a known item.

        Args:
            histories: ``as_of, user_id`` and the lists ``items``, ``event_types``,
                ``event_times`` and ``values``, in order of time.
        """

        def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for first in range(0, batch.num_rows, USERS_AT_ONCE):
                    yield _vectors(self.load(), batch.slice(first, USERS_AT_ONCE))

        return histories.mapInArrow(run, _SCHEMA)


def _vectors(vectors: UserVectors, batch: pa.RecordBatch) -> pa.RecordBatch:
    table = vectors.vectors(vectors.model.vocabulary.histories(batch))
    lists = [None if row[0] != row[0] else row for row in table.tolist()]  # NaN: nothing known
    columns = [batch.column(name) for name in _KEY] + [pa.array(lists, pa.list_(pa.float64()))]
    return pa.RecordBatch.from_arrays(columns, names=[*_KEY, "vector"])


@lru_cache(maxsize=1)
def _load(folder: str, digest: str, threads: int) -> UserVectors:
    from behavior_spark.model.sequence.user_vectors import UserVectors

    return UserVectors.of(load_model(folder, digest, threads))
