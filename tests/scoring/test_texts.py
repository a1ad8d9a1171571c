"""Which texts are new to the store."""

from __future__ import annotations

import datetime as dt

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from behavior_spark.io.conf import conf_meanwhile
from behavior_spark.scoring.texts import (
    distinct_texts,
    not_scored,
    one_per_text,
    spread_texts,
    tasks_for,
)

NOW = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


@pytest.mark.parametrize("few", [False, True])
def test_only_texts_that_are_not_stored_are_pending_and_each_once(
    spark: SparkSession, few: bool
) -> None:
    texts = spark.createDataFrame(
        [("1", "a"), ("1", "a"), ("2", "b"), (None, "c"), ("3", None)],
        "text_hash string, text string",
    )
    stored = spark.createDataFrame([("2",), ("9",)], "text_hash string")
    distinct = distinct_texts(texts)
    pending = not_scored(distinct, stored, among=distinct if few else None)
    assert [tuple(row) for row in pending.collect()] == [("1", "a")]


def test_the_store_is_not_shuffled_to_find_what_is_new(
    spark: SparkSession, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = spark.range(5).selectExpr("string(id) text_hash", "string(id) text")
    stored = spark.range(100_000).selectExpr("string(id) text_hash", "array(1.0f) embedding")
    not_scored(texts, stored, among=texts).explain()
    plan = capsys.readouterr().out
    assert "BroadcastHashJoin" in plan and "SortMergeJoin" not in plan
    assert "Exchange hashpartitioning" not in plan and "embedding" not in plan


def test_a_text_stored_twice_is_read_once_the_newest_without_an_error(spark: SparkSession) -> None:
    later = NOW + dt.timedelta(seconds=1)
    twice = spark.createDataFrame(
        [("1", None, NOW, "old"), ("1", None, later, "new"), ("2", None, NOW, "good"),
         ("2", "out_of_memory", later, "bad"), ("3", "model_error", NOW, "only")],
        "text_hash string, error string, scored_at timestamp, v string",
    )  # fmt: skip
    kept = {row["text_hash"]: row["v"] for row in one_per_text(twice).collect()}
    assert kept == {"1": "new", "2": "good", "3": "only"}


@pytest.mark.parametrize("parallelism", [2, 4])
@pytest.mark.parametrize("texts", [500, 2_000, 6_000, 50_000])
def test_every_task_gets_its_share_of_texts_whatever_adaptive_execution_joins(
    spark: SparkSession, parallelism: int, texts: int
) -> None:
    rows = spark.range(texts).select(
        F.md5(F.col("id").cast("string")).alias("text_hash"),
        # One text of a megabyte among many short ones.
        F.expr("if(id = 0, repeat('long ', 200000), 'short')").alias("text"),
    )
    tasks = tasks_for(texts, parallelism=parallelism)
    with conf_meanwhile(spark, {"spark.sql.shuffle.partitions": str(parallelism)}):
        # As scoring does it: made distinct by the hash, in as many partitions as there are tasks.
        spread = spread_texts(distinct_texts(rows), tasks)
        counts = spread.groupBy(F.spark_partition_id()).count().collect()
    assert len(counts) == tasks
    assert max(row["count"] for row in counts) <= 1.2 * texts / tasks
