"""Similar texts are those of brute force, whatever the order, the partitions and the blocks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.errors import ConfigError, InputError
from behavior_spark.io.conf import conf_meanwhile
from behavior_spark.scoring.similar import similar_texts

Vectors = Mapping[Any, Sequence[float]]
_SCHEMA = "text_hash string, embedding array<float>"


def vectors(rows: int, *, seed: int, prefix: str = "t") -> dict[str, list[float]]:
    """Half small whole numbers, so that many similarities are tied; some zeros and copies."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, 6)).astype(np.float32)
    matrix[::2] = rng.integers(-1, 2, size=matrix[::2].shape)
    matrix[1::7] = matrix[0]
    matrix[3] = 0
    names = [f"{prefix}{number}" for number in rng.permutation(rows)]
    return dict(zip(names, matrix.tolist(), strict=True))


def brute_force(
    queries: Vectors, corpus: Vectors, *, k: int, exclude_same: bool = True
) -> list[tuple[Any, Any, int, float]]:
    def cosine(left: Sequence[float], right: Sequence[float]) -> float:
        length = math.sqrt(math.fsum(x * x for x in left)) * math.sqrt(
            math.fsum(x * x for x in right)
        )
        dot = math.fsum(x * y for x, y in zip(left, right, strict=True))
        return round(dot / length * 2**24) / 2**24 if length else 0.0

    rows = []
    for name, query in queries.items():
        found = [
            (-cosine(query, other), match)
            for match, other in corpus.items()
            if not (exclude_same and match == name)
        ]
        best = enumerate(sorted(found)[:k], start=1)
        rows += [(name, match, rank, -distance) for rank, (distance, match) in best]
    return sorted(rows)


def frame(spark: SparkSession, rows: Vectors, schema: str = _SCHEMA) -> DataFrame:
    return spark.createDataFrame(list(rows.items()), schema)


def found(matches: DataFrame) -> list[tuple[Any, Any, int, float]]:
    return sorted(tuple(row) for row in matches.collect())


@pytest.mark.parametrize(
    ("block_rows", "partitions", "k"), [(16_384, 1, 5), (1000, 7, 1), (13, 2, 5), (5, 3, 12)]
)
def test_matches_are_those_of_brute_force_for_all_blocks_and_partitions(
    spark: SparkSession, block_rows: int, partitions: int, k: int
) -> None:
    queries, corpus = vectors(40, seed=1), vectors(70, seed=2)
    matches = similar_texts(
        frame(spark, queries).repartition(partitions),
        frame(spark, dict(reversed(corpus.items()))).repartition(partitions + 1),
        k=k,
        block_rows=block_rows,
    )
    assert matches.dtypes == [
        ("query_id", "string"), ("match_id", "string"), ("rank", "int"), ("similarity", "float"),
    ]  # fmt: skip
    assert found(matches) == brute_force(queries, corpus, k=k)


def test_small_arrow_batches_give_the_same_matches(spark: SparkSession) -> None:
    texts = vectors(40, seed=3)
    twice = frame(spark, texts).union(frame(spark, texts))
    with conf_meanwhile(spark, {"spark.sql.execution.arrow.maxRecordsPerBatch": "3"}):
        matches = found(similar_texts(twice, twice, k=4, block_rows=25))
    assert matches == brute_force(texts, texts, k=4)


def test_a_text_is_its_own_match_only_where_asked(spark: SparkSession) -> None:
    texts = {"a": [1.0, 0.0], "b": [1.0, 1.0], "c": [2.0, 0.0]}
    table = frame(spark, texts)
    assert found(similar_texts(table, table, k=1)) == [
        ("a", "c", 1, 1.0), ("b", "a", 1, pytest.approx(0.5**0.5)), ("c", "a", 1, 1.0),
    ]  # fmt: skip
    everything = found(similar_texts(table, table, k=9, exclude_same=False))
    assert everything == brute_force(texts, texts, k=9, exclude_same=False)
    assert len(everything) == 9
    alone = table.where("text_hash = 'a'")
    assert found(similar_texts(alone, alone)) == []
    assert found(similar_texts(alone, alone, exclude_same=False)) == [("a", "a", 1, 1.0)]


def test_rows_without_id_or_embedding_are_left_out_and_an_id_counts_once(
    spark: SparkSession,
) -> None:
    # An id stored with two vectors counts with the lesser one, wherever it lies.
    holed = [
        ("a", [1.0, 0.0]), ("b", [0.0, 1.0]), ("b", [0.0, 1.0]), ("b", [1.0, 0.0]),
        ("c", None), (None, [1.0, 1.0]), ("d", [0.5, 0.5]),
    ]  # fmt: skip
    clean = {"a": [1.0, 0.0], "b": [0.0, 1.0], "d": [0.5, 0.5]}
    for rows in (holed, holed[::-1]):
        table = spark.createDataFrame(rows, _SCHEMA)
        assert found(similar_texts(table, table, k=5)) == brute_force(clean, clean, k=5)
    nobody = table.where("text_hash IS NULL")
    assert found(similar_texts(nobody, table)) == found(similar_texts(table, nobody)) == []


def test_ids_keep_their_type_and_order_and_columns_may_have_other_names(
    spark: SparkSession,
) -> None:
    numbers = {2: [1.0, 0.0], 10: [1.0, 0.0], -3: [1.0, 0.0], 1: [0.0, 1.0]}
    queries = frame(spark, {7: [3.0, 0.0]}, "user long, `the.vector` array<double>")
    corpus = frame(spark, numbers, "item long, `the.vector` array<float>")
    matches = similar_texts(
        queries, corpus, k=3, query_id="user", corpus_id="item", embedding="the.vector"
    )
    assert found(matches) == [(7, -3, 1, 1.0), (7, 2, 2, 1.0), (7, 10, 3, 1.0)]
    assert dict(matches.dtypes)["match_id"] == "bigint"


def test_no_work_is_done_until_the_matches_are_read(spark: SparkSession) -> None:
    def fail(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        raise RuntimeError("was read")

    trap = frame(spark, {"a": [1.0]}).mapInArrow(fail, _SCHEMA)
    matches = similar_texts(trap, trap)
    assert matches.columns == ["query_id", "match_id", "rank", "similarity"]
    with pytest.raises(Exception, match="was read"):  # a failed subquery comes as py4j raised it
        matches.collect()


@pytest.mark.parametrize(
    ("queries", "corpus", "said"),
    [
        ({"a": [1.0, 0.0]}, {"b": [1.0]}, "lengths differ"),
        ({"a": [1.0, 0.0]}, {"b": [1.0, 0.0], "c": [1.0]}, "of different lengths"),
        ({"a": [1.0, 0.0]}, {"b": [1.0, None]}, "null, NaN or infinite"),
    ],
)
def test_embeddings_that_cannot_be_compared_stop_the_job_with_a_clear_word(
    spark: SparkSession, queries: Vectors, corpus: Vectors, said: str
) -> None:
    with pytest.raises(PySparkException, match=said):
        similar_texts(frame(spark, queries), frame(spark, corpus)).collect()


def test_bad_arguments_are_refused_before_any_work(spark: SparkSession) -> None:
    good = frame(spark, {"a": [1.0]})
    for setting in ({"k": 0}, {"block_rows": 0}):
        with pytest.raises(ConfigError):
            similar_texts(good, good, **setting)
    with pytest.raises(InputError, match="corpus: there is no column 'embedding'"):
        similar_texts(good, good.drop("embedding"))
    with pytest.raises(InputError, match="there is no column 'user'"):
        similar_texts(good, good, query_id="user")
    with pytest.raises(InputError, match="must be an array of float or double"):
        similar_texts(good.withColumn("embedding", F.lit("x")), good)
    with pytest.raises(InputError, match="cannot be an id"):
        similar_texts(good.withColumn("text_hash", F.lit(0.5)), good)
    with pytest.raises(InputError, match="ids of two types"):
        similar_texts(good.withColumn("text_hash", F.lit(1)), good)
