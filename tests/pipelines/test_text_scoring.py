"""The score store: every text once ever, whatever happens in between."""

from __future__ import annotations

import datetime as dt
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from rich.console import Console
from safetensors.torch import load_file, save_file

from behavior_spark.config import Settings, validate_settings
from behavior_spark.errors import ModelError
from behavior_spark.io.day_range import DayRange
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.model.encoder.model_folder import backbone_digest, resolve_model_folder
from behavior_spark.model.encoder.options import EncoderOptions
from behavior_spark.model.heads.head import Head
from behavior_spark.model.registry.store import CHAMPION, ModelStore
from behavior_spark.model.registry.text_model import save_text_model
from behavior_spark.pipelines import Result, score_texts, similar_to, sql
from behavior_spark.pipelines.texts import scoring as text_scoring
from behavior_spark.schemas import RUNS, TEXT_EMBEDDINGS, TEXT_SCORES, TEXTS, Contract
from tests.conftest import ENCODER

NIGHT = dt.date(2024, 1, 10)
OPTIONS = EncoderOptions(max_length=16)
WORDS = ["red mug", "late parcel", "refund please", "blue bag", "where is my order"]


class Store:
    """A warehouse of texts alone."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self.spark = spark
        self.settings = self._settings(folder)
        self.warehouse = Warehouse(spark, self.settings.warehouse)
        self.models = ModelStore(Path(self.settings.models_path))

    def _settings(self, folder: Path, **text: object) -> Settings:
        own = {"encoder": ENCODER, "max_length": 16, "precision": "fp32", **text}
        return validate_settings(
            {
                "warehouse": str(folder / "warehouse"),
                "sources": {"events": {"path": "none", "columns": {"event_id": "id"}}},
                "text": own,
                "features": {"event_types": ["view"]},
                "targets": {"any": {"event": "true"}},
            }
        )

    def add(self, count: int, *, start: int = 0, day: dt.date = dt.date(2024, 1, 1)) -> None:
        rows = [
            (str(n), f"{WORDS[n % len(WORDS)]} {n}", dt.datetime(day.year, day.month, day.day))
            for n in range(start, start + count)
        ]
        frame = self.spark.createDataFrame(rows, "text_id string, text string, t timestamp")
        self.warehouse.append(
            frame.select(
                "text_id", "text", F.sha2("text", 256).alias("text_hash"),
                F.col("t").alias("text_time"), F.col("t").alias("arrived_at"),
                F.to_date("t").alias("arrived_day"),
            ),
            TEXTS,
            days=DayRange("arrived_day", day),
        )  # fmt: skip

    def publish(self, *names: str, seed: int = 0) -> dict[str, Head]:
        """Make a text model with random heads of these names the champion."""
        rng = np.random.default_rng(seed)
        heads = {
            name: Head(
                name=name, labels=("a", "b"), kind="single_label",
                weight=rng.normal(size=(2, 384)).astype(np.float32),
                bias=np.zeros(2, dtype=np.float32), thresholds=np.full(2, 0.5, dtype=np.float32),
                temperature=1.0, backbone_digest=backbone_digest(ENCODER, OPTIONS),
            )
            for name in names
        }  # fmt: skip
        folder = self.models.publish_text_model(
            lambda path: save_text_model(path, encoder_source=ENCODER, options=OPTIONS, heads=heads)
        )
        self.models.set_alias(CHAMPION, folder.name)
        return heads

    def score(self, *, as_of: dt.date = NIGHT, **options: object) -> Result:
        return score_texts(
            self.settings, as_of=as_of, spark=self.spark, console=Console(quiet=True), **options
        )  # type: ignore[arg-type]

    def embedded(self) -> list[str]:
        rows = self.warehouse.read(TEXT_EMBEDDINGS).select("text_hash").collect()
        return sorted(row["text_hash"] for row in rows)

    def scored(self, head: Head) -> list[str]:
        scores = self.warehouse.read(TEXT_SCORES).where(F.col("head_digest") == head.digest)
        return sorted(row["text_hash"] for row in scores.select("text_hash").collect())

    def hashes(self) -> list[str]:
        rows = self.warehouse.read(TEXTS).select("text_hash").distinct().collect()
        return sorted(row["text_hash"] for row in rows)


@pytest.fixture
def store(spark: SparkSession, tmp_path: Path) -> Store:
    return Store(spark, tmp_path)


@pytest.fixture(scope="module")
def night_before(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Result, Head]:
    """Folder of a store after a night over its first 8 texts; that night; the head it read."""
    folder = tmp_path_factory.mktemp("scored")
    store = Store(spark, folder)
    store.add(8, day=dt.date(2024, 1, 8))
    head = store.publish("mood")["mood"]
    return folder, store.score(), head


@pytest.fixture
def scored(
    spark: SparkSession, tmp_path: Path, night_before: tuple[Path, Result, Head]
) -> Store:
    """A copy of that store: a Delta table's paths are relative to it."""
    shutil.copytree(night_before[0] / "warehouse", tmp_path / "warehouse")
    return Store(spark, tmp_path)


def test_a_text_is_embedded_once_ever_and_a_new_head_needs_no_forward_pass(
    scored: Store, night_before: tuple[Path, Result, Head]
) -> None:
    store, (_, first, mood) = scored, night_before
    assert first.figures["texts_scored"] == first.figures["texts_known"] == 8
    assert first.figures["store_hit_rate"] == 0 and first.figures["padding_share"] == 0
    assert first.figures["seconds_model"] > 0
    store.add(2, start=8)
    both = store.publish("mood", "topic")
    second = store.score()
    assert both["mood"].digest == mood.digest
    assert (second.figures["texts_scored"], second.figures["store_hit_rate"]) == (2, 0.8)
    for head in both.values():
        assert store.scored(head) == store.hashes() == store.embedded()
    retrained = store.publish("mood", "topic", seed=1)
    third = store.score()
    assert third.figures["texts_scored"] == 0 and "seconds_model" not in third.figures
    assert third.figures["texts_known"] == 10 and third.figures["store_hit_rate"] == 1
    assert store.scored(retrained["mood"]) == store.hashes()


def test_a_run_killed_between_chunks_loses_none_and_repeats_none(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(40)
    head = store.publish("mood")["mood"]
    monkeypatch.setattr(text_scoring, "FIRST_CHUNK_PER_TASK", 4)
    embed_chunk, chunks = text_scoring.Chunk.embed, []

    def killed(chunk, *arguments, **options) -> None:  # type: ignore[no-untyped-def]
        if chunks:
            raise KeyboardInterrupt
        embed_chunk(chunk, *arguments, **options)
        chunks.append(len(store.embedded()))

    monkeypatch.setattr(text_scoring.Chunk, "embed", killed)
    with pytest.raises(KeyboardInterrupt):
        store.score()
    assert 0 < chunks[0] < 40
    monkeypatch.setattr(text_scoring.Chunk, "embed", embed_chunk)
    resumed = store.score()
    assert resumed.figures["texts_scored"] == 40 - chunks[0]
    assert store.embedded() == store.hashes() == store.scored(head)


def test_a_run_killed_before_its_heads_is_made_good_by_the_next(
    scored: Store, night_before: tuple[Path, Result, Head], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, head = scored, night_before[2]
    store.add(4, start=8)
    with monkeypatch.context() as patched:
        patched.setattr(text_scoring, "_classify_new", lambda *_: None)
        store.score()
    assert len(store.scored(head)) == 8
    store.add(2, start=12)
    store.score()
    assert store.scored(head) == store.hashes() and len(store.hashes()) == 14


def test_two_runs_at_once_lose_nothing_and_readers_see_each_text_once(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = store.publish("mood")["mood"]
    embed_chunk: Any = text_scoring.Chunk.embed
    nested: list[bool] = []

    def with_another(*arguments, **options) -> None:  # type: ignore[no-untyped-def]
        if not nested:
            nested.append(True)
            store.score()  # the other run comes between this one's look and its write
        embed_chunk(*arguments, **options)

    monkeypatch.setattr(text_scoring.Chunk, "embed", with_another)
    for start, first_chunk in ((0, 2_500), (8, 1)):  # in one job; counted first, in chunks
        monkeypatch.setattr(text_scoring, "FIRST_CHUNK_PER_TASK", first_chunk)
        nested.clear()
        store.add(8, start=start)
        store.score()
        hashes, embedded = store.hashes(), store.embedded()
        assert len(embedded) == 2 * len(hashes) and sorted(set(embedded)) == hashes
        assert sorted(set(store.scored(head))) == hashes
    history = store.spark.sql(f"DESCRIBE HISTORY {store.warehouse.identifier(TEXT_EMBEDDINGS)}")
    assert history.where("operation = 'WRITE' AND NOT isBlindAppend").isEmpty()
    rows = text_scoring.one_per_text(store.warehouse.read(TEXT_EMBEDDINGS))
    assert sorted(r["text_hash"] for r in rows.select("text_hash").collect()) == hashes


def test_a_store_that_another_run_fills_as_soon_as_it_is_made_is_looked_into(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A new store is not asked what it has."""
    store.add(3)
    real = Warehouse.create

    def create(warehouse: Warehouse, contract: Contract) -> None:
        was_there = warehouse.exists(contract)
        real(warehouse, contract)
        if contract is TEXT_EMBEDDINGS and not was_there:
            monkeypatch.undo()
            assert store.score().figures["texts_scored"] == 3

    monkeypatch.setattr(Warehouse, "create", create)
    assert store.score().figures["texts_scored"] == 0
    assert store.embedded() == store.hashes()


def test_failed_texts_are_tried_again_when_asked_and_all_are_with_rescore(
    scored: Store, night_before: tuple[Path, Result, Head]
) -> None:
    store, head = scored, night_before[2]
    table = store.warehouse.identifier(TEXT_EMBEDDINGS)
    failed = store.hashes()[0]
    store.spark.sql(
        f"UPDATE {table} SET embedding = NULL, error = 'out_of_memory' WHERE text_hash = '{failed}'"
    )
    assert store.score().figures["texts_scored"] == 0
    assert store.score(retry_failed=True).figures["texts_scored"] == 1
    best = text_scoring.one_per_text(store.warehouse.read(TEXT_EMBEDDINGS))
    assert best.where("error IS NOT NULL").isEmpty() and best.count() == 8
    again = store.score(rescore=True)
    assert again.figures["texts_scored"] == 8
    assert sorted(set(store.scored(head))) == store.hashes()
    assert store.score().figures["texts_scored"] == 0


def test_the_precision_is_chosen_once_and_recorded(store: Store, tmp_path: Path) -> None:
    store.settings = store._settings(tmp_path, precision="auto")
    store.add(6)
    first = store.score()
    digest = backbone_digest(ENCODER, OPTIONS)
    chosen = store.models.precision(digest)
    assert chosen in ("fp32", "bf16")
    assert any(chosen in note for note in first.notes)
    used = store.warehouse.read(TEXT_EMBEDDINGS).select("backbone_digest").distinct().collect()
    expected = backbone_digest(ENCODER, EncoderOptions(max_length=16, precision=chosen))
    assert [row[0] for row in used] == [expected] == [first.models["backbone"]]
    second = store.score()
    assert second.figures["texts_scored"] == 0 and "check precision" not in second.steps


@pytest.fixture(scope="module")
def mixed_night(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Store, Result, Head]:
    """A night of ``score_days``: 3 texts older than that, 10 at its first day, one too long."""
    folder = tmp_path_factory.mktemp("mixed")
    store = Store(spark, folder)
    store.settings = store._settings(folder, score_days=5)
    store.add(3, start=10, day=NIGHT - dt.timedelta(days=6))
    store.add(10, day=NIGHT - dt.timedelta(days=5))
    long = store.spark.createDataFrame(
        [("long " * 40, dt.datetime(2024, 1, 5))], "text string, t timestamp"
    )
    store.warehouse.append(
        long.select(
            F.lit("x").alias("text_id"), "text", F.sha2("text", 256).alias("text_hash"),
            F.col("t").alias("text_time"), F.col("t").alias("arrived_at"),
            F.to_date("t").alias("arrived_day"),
        ),
        TEXTS,
    )  # fmt: skip
    head = store.publish("mood")["mood"]
    return store, store.score(), head


def test_texts_that_arrived_long_ago_are_left_out_where_config_says_so(
    mixed_night: tuple[Store, Result, Head],
) -> None:
    assert mixed_night[1].figures["texts_scored"] == 11


def test_long_texts_are_counted_and_the_run_says_where_its_time_went(
    mixed_night: tuple[Store, Result, Head],
) -> None:
    store, result, _ = mixed_night
    assert result.figures["texts_truncated"] == 1
    assert any("1 of 11 texts (9.1%) are longer" in note for note in result.notes)
    row = store.warehouse.read(RUNS).where("command = 'score-texts'").first()
    assert row is not None
    steps = ("load", "read", "tokenize", "model", "return", "find", "write")
    assert all(row["figures"][f"seconds_{step}"] >= 0 for step in steps)


def test_sql_and_similar_texts_use_the_texts_own_model(
    mixed_night: tuple[Store, Result, Head],
) -> None:
    store, _, head = mixed_night
    query = (
        "SELECT text_hash, classify_text(text, 'mood').label AS label FROM texts "
        f"WHERE arrived_day >= DATE'{NIGHT}' - INTERVAL 5 DAYS"
    )
    asked = sql(store.settings, query, as_of=NIGHT, spark=store.spark, console=Console(quiet=True))
    stored = store.warehouse.read(TEXT_SCORES).where(F.col("head_digest") == head.digest)
    labels = {row["text_hash"]: row["label"] for row in stored.collect()}
    assert len(labels) == 11
    assert {row["text_hash"]: row["label"] for row in asked.details["rows"]} == labels
    found = similar_to(store.settings, ["RED  mugs"], k=2, as_of=NIGHT, spark=store.spark).orderBy(
        "rank"
    )
    rows = found.collect()
    assert [row["rank"] for row in rows] == [1, 2]
    assert all(row["text"].startswith("red mug") for row in rows)
    assert rows[0]["similarity"] >= rows[1]["similarity"] > 0.5


@pytest.mark.parametrize("per_task", [1, 2])  # the second night in chunks, or in one job
def test_a_night_over_many_texts_looks_only_at_days_not_scored_before(
    scored: Store, monkeypatch: pytest.MonkeyPatch, per_task: int
) -> None:
    store, following = scored, NIGHT + dt.timedelta(days=1)
    monkeypatch.setattr(text_scoring, "FIRST_CHUNK_PER_TASK", per_task)
    store.add(2, start=8, day=NIGHT)
    second = store.score(as_of=following)
    assert second.figures["texts_known"] == second.figures["texts_scored"] == 2
    store.add(1, start=10, day=dt.date(2024, 1, 5))  # late
    third = store.score(as_of=following)
    assert third.figures["texts_scored"] == 1 and third.figures["texts_known"] == 11
    assert store.embedded() == store.hashes()


def test_an_earlier_night_with_score_days_looks_further_back_than_a_later_one_did(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(text_scoring, "FIRST_CHUNK_PER_TASK", 1)
    store.settings = store._settings(tmp_path, score_days=5)
    store.add(4, day=dt.date(2024, 1, 2))
    store.add(4, start=4, day=dt.date(2024, 1, 8))
    assert store.score().figures["texts_scored"] == 4
    assert store.score(as_of=dt.date(2024, 1, 5)).figures["texts_scored"] == 4


def test_after_a_whole_ingest_or_a_clean_up_a_night_looks_at_every_text(
    scored: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = scored
    monkeypatch.setattr(text_scoring, "FIRST_CHUNK_PER_TASK", 1)

    def looked_at() -> tuple[float, float]:
        figures = store.score().figures
        return figures["texts_known"], figures["texts_scored"]

    assert looked_at()[0] == 0
    table = store.warehouse.identifier(TEXT_EMBEDDINGS)
    store.spark.sql(f"DELETE FROM {table} WHERE text_hash = '{store.hashes()[0]}'")
    assert looked_at() == (8, 1)
    texts = store.warehouse.read(TEXTS).collect()
    frame = store.spark.createDataFrame(texts[:7], TEXTS.schema)
    store.warehouse.replace(frame, TEXTS, where="true")
    assert looked_at() == (7, 0)
    assert set(store.hashes()) <= set(store.embedded())


@pytest.fixture(scope="module")
def wounded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder that fails on texts with the word "mug", and on no other."""
    folder = tmp_path_factory.mktemp("wounded") / "model"
    shutil.copytree(resolve_model_folder(ENCODER), folder)
    tensors = load_file(folder / "model.safetensors")
    word = (folder / "vocab.txt").read_text().split("\n").index("mug")
    tensors["embeddings.word_embeddings.weight"][word] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_failures_of_all_texts_end_the_run_and_no_later_night_takes_them_for_scored(
    spark: SparkSession, tmp_path: Path, wounded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No task has enough texts to judge; the failures were stored, and the next run succeeded.

    From the second run on as where Spark counts nothing, which hides causes and seconds alone.
    """
    store = Store(spark, tmp_path)
    store.settings = store._settings(tmp_path, encoder=str(wounded))
    store.add(40)
    mugs = store.warehouse.read(TEXTS).where("text LIKE '%mug%'").count()
    assert mugs == 8
    keep = store.warehouse.read(TEXTS).where("text NOT LIKE '%mug%'").select("text_id")
    store.warehouse.delete_matching(TEXTS, keep, on=("text_id",))
    for counted_by_spark in (True, False):
        with pytest.raises(ModelError, match="8 of 8 texts could not be embedded") as error:
            store.score()
        assert error.value.exit_code == 2
        assert ("not finite" in str(error.value)) == counted_by_spark
        assert store.embedded() == []
        monkeypatch.setattr(text_scoring, "observed_values", lambda observation: None)
    store.add(40, start=100)  # a fifth of the new texts fails: less than text.max_failed_share
    result = store.score()
    assert result.figures["texts_failed"] == 16 and result.figures["texts_scored"] == 48
    assert any("16 texts have no embedding" in note for note in result.notes)
    assert result.figures["tokens_scored"] > 32
