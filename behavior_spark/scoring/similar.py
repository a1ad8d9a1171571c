"""Exact search for the k most similar texts by their embeddings, for tables of any size.

Both tables are cut into parts by a hash of the id. A task holds one part of the queries in memory,
reads one part of the corpus in id order, and keeps the k best matches so far. Each row reaches
Python once per task. A cross join of packed blocks was slower: it copies both blocks for every
pair of blocks, and a Cartesian product packs them again for every pair of partitions.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DoubleType,
    FloatType,
    StructField,
    StructType,
)

from behavior_spark.errors import ConfigError, InputError, ModelError
from behavior_spark.scoring.arrow import matrix_of
from behavior_spark.scoring.workers import task_resources

if TYPE_CHECKING:
    from behavior_spark.model.encoder.nearest import RunningNearest

_ID_TYPES = ("string", "tinyint", "smallint", "int", "bigint", "binary", "date", "timestamp")
_PAIRS_A_BATCH = 100_000


def similar_texts(
    queries: DataFrame,
    corpus: DataFrame,
    *,
    k: int = 10,
    query_id: str = "text_hash",
    corpus_id: str = "text_hash",
    embedding: str = "embedding",
    block_rows: int = 16_384,
    exclude_same: bool = True,
) -> DataFrame:
    """The k corpus rows nearest to each query by cosine similarity.

    Columns ``query_id`` and ``match_id`` (the ids' type), ``rank`` (int, 1 is the nearest) and
    ``similarity`` (float in [-1, 1]): the cosine, rounded to a multiple of 2**-24 (6e-8). Equal
    similarities are ranked by ``match_id`` ascending, so the result does not depend on the order
    of rows, on partitions or on ``block_rows``. Of rows with the same id only the one with the
    smallest embedding (in Spark's order of arrays) counts. Rows without id or embedding are left
    out. A vector of zeros has similarity 0 to all.

    Both frames are read twice, once to count their rows, so pass stored tables.

    Args:
        queries: ``query_id, embedding``.
        corpus: ``corpus_id, embedding``; fewer than k rows give fewer matches.
        k: Matches per query, at least 1.
        query_id: Id column of ``queries``: string, integer, binary, date or timestamp.
        corpus_id: Id column of ``corpus``, of the same type.
        embedding: Column of both frames, array of float or double (read as float).
        block_rows: About how many queries a task holds; it reads up to four times as many
            corpus rows. Larger blocks need more memory and less shuffling.
        exclude_same: Leave out the match that has the query's own id.

    Raises:
        ConfigError: ``k`` or ``block_rows`` is less than 1.
        InputError: A column is missing or of another type.
        ModelError: Raised in the workers and wrapped by Spark: embeddings of different lengths,
            or a null, NaN or infinite number in an embedding.
    """
    for name, value in (("k", k), ("block_rows", block_rows)):
        if value < 1:
            raise ConfigError(f"{name} must be at least 1", found=str(value))
    kind = _id_type(queries, query_id, embedding, "queries")
    if (other := _id_type(corpus, corpus_id, embedding, "corpus")) != kind:
        raise InputError(
            "queries and corpus have ids of two types",
            found=f"{kind.simpleString()} and {other.simpleString()}",
            fix="cast one of the id columns",
        )
    grid = _grid(queries, corpus, block_rows)
    cells = _cells(queries, query_id, embedding, grid, is_corpus=False).unionByName(
        _cells(corpus, corpus_id, embedding, grid, is_corpus=True)
    )
    # Sorted by id, so that equal ids are neighbours; of these the smallest vector comes first.
    in_order = cells.repartition("cell").sortWithinPartitions("cell", "is_corpus", "id", "vector")
    return _merged(in_order, kind, k=k, exclude_same=exclude_same)


def _id_type(frame: DataFrame, id_column: str, embedding: str, label: str) -> DataType:
    fields = {field.name: field.dataType for field in frame.schema}
    for name in (id_column, embedding):
        if name not in fields:
            raise InputError(
                f"{label}: there is no column {name!r}",
                found=", ".join(fields),
                fix="name the columns with query_id, corpus_id and embedding",
            )
    kind, vector = fields[id_column], fields[embedding]
    if kind.simpleString() not in _ID_TYPES:
        raise InputError(
            f"{label}.{id_column} cannot be an id",
            found=kind.simpleString(),
            fix=f"cast it to one of {', '.join(_ID_TYPES)}",
        )
    if not isinstance(vector, ArrayType) or not isinstance(
        vector.elementType, FloatType | DoubleType
    ):
        raise InputError(
            f"{label}.{embedding} must be an array of float or double", found=vector.simpleString()
        )
    return kind


def _grid(queries: DataFrame, corpus: DataFrame, block_rows: int) -> DataFrame:
    """One row: the number of parts of the queries (``down``) and of the corpus (``across``).

    If ``block_rows`` would give a single task, up to four parts of at least 2,000 queries each
    keep the cores of one machine busy.
    """
    return (
        queries.agg(F.count(F.lit(1)).alias("queries"))
        .crossJoin(corpus.agg(F.count(F.lit(1)).alias("rows")))
        .selectExpr(
            f"greatest(1, ceil(queries / {block_rows}), least(4, queries div 2000)) AS down",
            f"greatest(1, ceil(rows / {4 * block_rows})) AS across",
        )
    )


def _cells(
    frame: DataFrame, id_column: str, embedding: str, grid: DataFrame, *, is_corpus: bool
) -> DataFrame:
    """A copy of each row for each cell that needs it: ``cell, is_corpus, id, vector``.

    A cell is a pair of one part of the queries and one part of the corpus.
    """
    if is_corpus:
        cells = "transform(sequence(1, down), i -> i * across - pmod(xxhash64(id), across))"
    else:
        cells = "transform(sequence(1, across), i -> pmod(xxhash64(id), down) * across + i)"
    vectors = frame.select(
        F.col(f"`{id_column}`").alias("id"),
        F.col(f"`{embedding}`").cast("array<float>").alias("vector"),
    )
    return (
        vectors.where("id IS NOT NULL AND vector IS NOT NULL")
        .crossJoin(F.broadcast(grid))
        .selectExpr(f"explode({cells}) AS cell", f"{is_corpus} AS is_corpus", "id", "vector")
    )


def _merged(cells: DataFrame, kind: DataType, *, k: int, exclude_same: bool) -> DataFrame:
    """Search each cell for k matches per query, then keep the k best over a query's cells.

    A cell returns one row per query with an array of matches, so that few rows are shuffled and
    grouped; a window function would need one row per match.
    """
    # ``distance`` is the negated similarity, so that sorting the structs gives the ranking.
    pair = StructType([StructField("distance", FloatType()), StructField("match_id", kind)])
    schema = StructType(
        [StructField("query_id", kind), StructField("matches", ArrayType(pair, False))]
    )

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        device = _task_device()
        cell: _Cell | None = None
        for number, is_corpus, rows in _runs(batches):
            if cell is None or cell.number != number:
                if cell is not None:
                    yield from cell.results(schema.names)
                cell = _Cell(number, k=k, exclude_same=exclude_same, device=device)
            (cell.search if is_corpus else cell.hold)(rows)
        if cell is not None:
            yield from cell.results(schema.names)

    return (
        cells.mapInArrow(run, schema)
        .groupBy("query_id")
        .agg(F.sort_array(F.flatten(F.collect_list("matches"))).alias("matches"))
        .select("query_id", F.posexplode(F.slice("matches", 1, k)).alias("position", "match"))
        .selectExpr(
            "query_id",
            "match.match_id AS match_id",
            "position + 1 AS rank",
            "float(0) - match.distance AS similarity",
        )
    )


def _runs(batches: Iterator[pa.RecordBatch]) -> Iterator[tuple[int, bool, pa.RecordBatch]]:
    """Slices of rows of one cell and one side, without repeated ids: cell, is_corpus, rows.

    The rows of one side may come in several slices.
    """
    last = None
    for batch in batches:
        if not len(batch):
            continue
        ids = batch.column("id")
        sides = batch.column("is_corpus").to_numpy(zero_copy_only=False)
        groups = batch.column("cell").to_numpy() * 2 + sides
        new = np.ones(len(batch), dtype=bool)
        new[0] = (groups[0], ids[0]) != last
        new[1:] = pc.not_equal(ids[1:], ids[:-1]).to_numpy(zero_copy_only=False)
        new[1:] |= groups[1:] != groups[:-1]
        last = (groups[-1], ids[-1])
        groups, batch = groups[new], batch if new.all() else batch.filter(pa.array(new))
        edges = [0, *(np.flatnonzero(np.diff(groups)) + 1).tolist(), len(groups)]
        for start, stop in pairwise(edges):
            if stop > start:
                number, side = divmod(int(groups[start]), 2)
                yield number, bool(side), batch.slice(start, stop - start)


class _Cell:
    """A part of the queries, with the best matches among the corpus rows so far."""

    def __init__(self, number: int, *, k: int, exclude_same: bool, device: str) -> None:
        self.number, self._k = number, k
        self._exclude_same, self._device = exclude_same, device
        self._held: list[pa.RecordBatch] = []
        self._nearest: RunningNearest | None = None
        self._query_ids = pa.array([])
        self._corpus_ids: list[pa.Array] = []

    def hold(self, rows: pa.RecordBatch) -> None:
        """Add queries. All queries of a cell come before its first corpus row."""
        self._held.append(rows)

    def search(self, rows: pa.RecordBatch) -> None:
        """Compare the queries with more corpus rows. Ids ascend from call to call."""
        from behavior_spark.model.encoder.nearest import RunningNearest

        if not self._held:
            return
        if self._nearest is None:
            self._held = [pa.concat_batches(self._held)]
            self._query_ids = self._held[0].column("id")
            queries = _matrix(self._held[0].column("vector"))
            self._nearest = RunningNearest(queries, self._k, device=self._device)
        # A copy: a batch from Spark is one buffer, so a view of its ids would keep all its vectors.
        ids = rows.column("id").take(pa.array(np.arange(len(rows))))
        self._corpus_ids.append(ids)
        same = None
        if self._exclude_same:
            positions = pc.fill_null(pc.index_in(self._query_ids, value_set=ids), -1)
            same = positions.to_numpy(zero_copy_only=False)
        self._nearest.add(_matrix(rows.column("vector")), excluded=same)

    def results(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        """One row per query: its id and its matches, nearest first."""
        if self._nearest is None:
            return
        corpus_ids = pa.concat_arrays(self._corpus_ids)
        step = max(1, _PAIRS_A_BATCH // self._k)
        for start in range(0, len(self._query_ids), step):
            similarities = self._nearest.similarities[start : start + step]
            kept = np.isfinite(similarities)  # -inf: the query's own row
            positions = self._nearest.positions[start : start + step][kept]
            offsets = np.concatenate([[0], kept.sum(axis=1).cumsum()]).astype(np.int32)
            pairs = pa.StructArray.from_arrays(
                [pa.array(0 - similarities[kept]), corpus_ids.take(pa.array(positions))],
                names=["distance", "match_id"],
            )
            matches = pa.ListArray.from_arrays(pa.array(offsets), pairs)
            ids = self._query_ids[start : start + step]
            yield pa.RecordBatch.from_arrays([ids, matches], names)


def _matrix(vectors: pa.Array) -> np.ndarray:
    """An Arrow list column without nulls as float32 [rows, width]; at least one row."""
    lengths = pc.unique(pc.list_value_length(vectors)).to_pylist()
    if len(lengths) > 1:
        raise ModelError(
            "embeddings of different lengths cannot be compared",
            found=f"lengths {', '.join(map(str, sorted(lengths)[:5]))}",
            fix="compare embeddings of one encoder (backbone_digest)",
        )
    return matrix_of(vectors, len(vectors))


def _task_device() -> str:
    """The GPU that Spark assigned to this task, else the CPU; also sets the number of threads."""
    from behavior_spark.model.encoder.devices import choose_device, use_threads

    cpus, address, task = task_resources()
    use_threads(cpus)
    return "cpu" if address is None else choose_device("auto", address=address, task=task) or "cpu"
