"""Heads over stored embeddings."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from pyspark.sql import SparkSession

from behavior_spark.model.heads.head import Head
from behavior_spark.scoring.classification import classify

NOW = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def head(name: str, labels: tuple[str, ...], rng: np.random.Generator) -> Head:
    return Head(
        name=name, labels=labels, kind="single_label",
        weight=rng.normal(size=(len(labels), 4)).astype(np.float32),
        bias=np.zeros(len(labels), dtype=np.float32),
        thresholds=np.full(len(labels), 0.5, dtype=np.float32),
        temperature=1.0, backbone_digest="0" * 16,
    )  # fmt: skip


def test_every_head_gives_its_own_probabilities_in_one_pass(spark: SparkSession) -> None:
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(5, 4)).astype(np.float32)
    heads = [head("mood", ("glad", "sad"), rng), head("topic", ("a", "b", "c"), rng)]
    rows = [(str(i), [float(v) for v in vector]) for i, vector in enumerate(vectors)]
    frame = spark.createDataFrame([*rows, ("none", None)],
                                  "text_hash string, embedding array<float>")  # fmt: skip
    found = classify(frame, heads, at=NOW).collect()
    scored = {(row["head"], row["text_hash"]): row for row in found}
    assert len(found) == len(scored) == 10
    for one in heads:
        for i, chances in enumerate(one.probabilities(vectors)):
            row = scored[one.name, str(i)]
            expected = dict(zip(one.labels, chances, strict=True))
            assert row["probabilities"] == pytest.approx(expected)
            assert row["label"] == one.labels[int(chances.argmax())]
            assert row["probability"] == pytest.approx(chances.max())
            assert row["head_digest"] == one.digest
