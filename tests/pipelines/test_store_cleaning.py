"""The score store after a clean-up: each score once, what is in use still there, all accounted."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from behavior_spark.cli.job import run_job
from behavior_spark.cli.main import run
from behavior_spark.config import Settings, validate_settings
from behavior_spark.errors import BehaviorError, ConfigError, InputError
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.model.encoder.model_folder import backbone_digest
from behavior_spark.model.encoder.options import EncoderOptions
from behavior_spark.model.heads.head import Head
from behavior_spark.model.registry.store import ModelStore
from behavior_spark.model.registry.text_model import save_text_model
from behavior_spark.pipelines import Result, clean_scores
from behavior_spark.pipelines.texts.store_cleaning import ScoresCleaned
from behavior_spark.schemas import ITEMS, RUNS, TEXT_EMBEDDINGS, TEXT_SCORES, TEXTS, Contract
from tests.conftest import ENCODER

AS_OF = dt.date(2024, 3, 1)
OLD = dt.datetime(2023, 6, 1)
BEFORE = dt.datetime(2024, 1, 30, 23)  # an hour before the last 30 days
AFTER = dt.datetime(2024, 1, 31)
A, B, C, H, G = ("a" * 16, "b" * 16, "c" * 16, "1" * 16, "2" * 16)
STORE = (TEXT_EMBEDDINGS, TEXT_SCORES)


def _settings(tmp_path: Path, **changes: Any) -> Settings:
    tree: dict[str, Any] = {
        "warehouse": str(tmp_path / "a warehouse"),
        "models": str(tmp_path / "models"),
        "sources": {
            "events": {
                "path": "none", "format": "json",
                "columns": {"event_id": "e", "user_id": "u", "event_time": "t", "event_type": "k"},
            },
            "texts": {
                "path": "none", "format": "json",
                "columns": {"text_id": "i", "user_id": "u", "text_time": "t", "text": "b"},
            },
            "items": {"path": "none", "format": "json", "columns": {"item_id": "i", "title": "t"}},
        },
        "features": {"event_types": ["purchase"]},
        "targets": {
            "bag_30d": {"event": "event_type = 'purchase'", "item": "category = 'bag'"},
        },
    }  # fmt: skip
    return validate_settings({**tree, **changes})


class Shop:
    """A warehouse whose store is written row by row."""

    def __init__(self, spark: SparkSession, settings: Settings) -> None:
        self.spark, self.settings = spark, settings
        self.warehouse = Warehouse(spark, settings.warehouse)

    def _add(self, contract: Contract, rows: list[dict[str, Any]]) -> None:
        full = [tuple(row.get(name) for name in contract.names) for row in rows]
        frame = self.spark.createDataFrame(full, contract.schema).coalesce(1)
        self.warehouse.append(frame, contract)

    def embeddings(self, *rows: tuple[Any, ...]) -> None:
        """Rows (text_hash, backbone_digest, scored_at, error or None, tokens), in one commit."""
        names = ("text_hash", "backbone_digest", "scored_at", "error", "token_count")
        made = [dict(zip(names, row, strict=False)) for row in rows]
        for row in made:
            row["embedding"] = None if row.get("error") else [1.0, 0.0]
        self._add(TEXT_EMBEDDINGS, made)

    def scores(self, *rows: tuple[Any, ...]) -> None:
        """Rows (text_hash, head_digest, scored_at, label), in one commit."""
        names = ("text_hash", "head_digest", "scored_at", "label")
        made = [dict(zip(names, row, strict=False)) for row in rows]
        for row in made:
            row |= {"head": "intent", "probability": 0.5, "probabilities": {"x": 0.5}}
        self._add(TEXT_SCORES, made)

    def texts(self, *rows: tuple[str, str, dt.datetime]) -> None:
        """Rows (text_id, text_hash, arrived_at)."""
        self._add(TEXTS, [
            {"text_id": i, "text_hash": h, "arrived_at": at, "arrived_day": at.date(),
             "text": "a text", "text_time": at}
            for i, h, at in rows
        ])  # fmt: skip

    def items(self, *rows: tuple[str, str | None, dt.datetime, str | None]) -> None:
        """Rows (item_id, title_hash, valid_from, category)."""
        self._add(ITEMS, [
            {"item_id": i, "title_hash": h, "valid_from": at, "category": c, "title": h and "t"}
            for i, h, at, c in rows
        ])  # fmt: skip

    def clean(self, **options: Any) -> Result:
        return clean_scores(
            self.settings, as_of=AS_OF, spark=self.spark, console=Console(quiet=True), **options
        )

    def rows(self, contract: Contract, *names: str) -> list[tuple[Any, ...]]:
        found = self.warehouse.read(contract).select(*(names or ("text_hash",))).collect()
        return sorted(map(tuple, found), key=str)

    def hashes(self, contract: Contract = TEXT_EMBEDDINGS) -> list[str]:
        return [row[0] for row in self.rows(contract)]

    def versions(self) -> list[int | None]:
        return [self.warehouse.version(contract) for contract in STORE]


@pytest.fixture
def shop(spark: SparkSession, tmp_path: Path) -> Shop:
    return Shop(spark, _settings(tmp_path))


def _add_up(result: Result, word: str, before: int) -> bool:
    f = result.figures
    reasons = sum(f[f"{word}_removed_{reason}"] for reason in ("duplicate", "unused", "model"))
    return f[f"{word}_removed"] == reasons and before == reasons + f[f"{word}_kept"]


def _three_lines(error: BehaviorError) -> bool:
    return len(str(error).splitlines()) <= 3 and bool(error.found and error.fix)


def _fill_with_duplicates(shop: Shop) -> None:
    shop.embeddings(("x", A, OLD, None, 1), ("y", A, BEFORE, "model_error"), ("z", A, OLD))
    shop.embeddings(("x", A, AFTER, None, 2), ("y", A, OLD, None, 3), ("z", B, OLD))
    # Newest of all, and a failure: the vector before it is worth more.
    shop.embeddings(("x", A, dt.datetime(2024, 2, 2), "model_error"), ("w", A, OLD, "null_text"))
    shop.embeddings(("w", A, AFTER, "model_error", 9))
    shop.scores(("x", H, OLD, "first"), ("y", H, OLD, "only"))
    shop.scores(("x", H, AFTER, "second"), ("x", G, OLD, "other head"))


@pytest.fixture(scope="module")
def filled(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a warehouse with duplicates."""
    folder = tmp_path_factory.mktemp("filled")
    _fill_with_duplicates(Shop(spark, _settings(folder)))
    return folder / "a warehouse"


@pytest.fixture
def doubled(shop: Shop, filled: Path) -> Shop:
    """A copy of it: a Delta table's paths are relative to it."""
    shutil.copytree(filled, str(shop.settings.warehouse.path))
    return shop


@pytest.fixture
def schema_shop(spark: SparkSession, tmp_path: Path, filled: Path) -> Any:
    """A copy of it in a schema."""
    shutil.copytree(filled, tmp_path / "schema")
    spark.sql(f"CREATE SCHEMA cleaned LOCATION '{tmp_path / 'schema'}'")
    for contract in STORE:
        at = tmp_path / "schema" / contract.name
        spark.sql(f"CREATE TABLE cleaned.{contract.name} USING DELTA LOCATION '{at}'")
    yield Shop(spark, _settings(tmp_path, warehouse={"schema": "cleaned"}))
    spark.sql("DROP SCHEMA cleaned CASCADE")


def _check_without_duplicates(shop: Shop) -> None:
    kept = shop.rows(TEXT_EMBEDDINGS, "text_hash", "backbone_digest", "token_count")
    assert kept == [("w", A, 9), ("x", A, 2), ("y", A, 3), ("z", A, None), ("z", B, None)]
    assert shop.rows(TEXT_SCORES, "text_hash", "label") == [
        ("x", "other head"), ("x", "second"), ("y", "only"),
    ]  # fmt: skip


def test_of_several_scores_of_a_text_the_newest_stays_and_a_vector_before_an_error(
    doubled: Shop,
) -> None:
    shop = doubled
    result = shop.clean()
    _check_without_duplicates(shop)
    assert result.figures["embeddings_removed_duplicate"] == 4
    assert result.figures["scores_removed_duplicate"] == 1
    assert _add_up(result, "embeddings", 9) and _add_up(result, "scores", 4)
    assert result.figures["embeddings_files_before"] == 4
    assert result.figures["embeddings_files_after"] == 1
    assert result.figures["scores_files_after"] == 1
    [recorded] = shop.warehouse.read(RUNS).collect()
    assert (recorded["command"], recorded["status"]) == ("clean-scores", "done")
    assert recorded["figures"]["embeddings_removed"] == 4

    before = shop.versions()
    again = shop.clean()
    assert (again.figures["embeddings_removed"], again.figures["scores_removed"]) == (0, 0)
    assert shop.versions() == before  # not even a commit


def test_tables_of_a_catalog_are_cleaned_likewise(schema_shop: Shop) -> None:
    result = schema_shop.clean(vacuum=True, models=[B])
    assert result.figures["embeddings_removed_model"] == 1
    assert _add_up(result, "embeddings", 9)
    assert ("z", B) not in schema_shop.rows(TEXT_EMBEDDINGS, "text_hash", "backbone_digest")
    assert schema_shop.hashes(TEXT_SCORES) == ["x", "x", "y"]


def test_of_rows_that_nothing_tells_apart_one_stays_whole(shop: Shop) -> None:
    twice = [("x", A, OLD, None, 5), ("x", A, OLD, None, 5), ("y", A, OLD, "model_error")]
    shop.embeddings(*twice)
    shop.embeddings(("x", A, OLD, None, 5), ("x", A, dt.datetime(2023, 5, 1), None, 4), twice[2])
    shop.scores(("x", H, OLD, "a"), ("x", H, OLD, "a"), ("y", H, OLD, "a"))
    result = shop.clean()
    names = ("text_hash", "token_count", "error", "embedding", "scored_at")
    assert shop.rows(TEXT_EMBEDDINGS, *names) == [
        ("x", 5, None, [1.0, 0.0], OLD), ("y", None, "model_error", None, OLD),
    ]  # fmt: skip
    assert shop.rows(TEXT_SCORES, "text_hash", "probabilities") == [
        ("x", {"x": 0.5}), ("y", {"x": 0.5}),
    ]  # fmt: skip
    assert _add_up(result, "embeddings", 6) and _add_up(result, "scores", 3)


def _fill_with_ages(shop: Shop) -> None:
    shop.texts(
        ("t1", "in use", OLD), ("t2", "in use", AFTER), ("t3", "aged", BEFORE),
        ("t4", "scored lately", OLD), ("t5", "aged title", OLD), ("t6", "tonight", AFTER),
    )  # fmt: skip
    shop.items(
        ("i1", "title now", OLD, "bag"),
        ("i2", "title until January", OLD, "box"), ("i2", "title until February", BEFORE, "box"),
        ("i2", "title since", dt.datetime(2024, 2, 1), "box"),
        ("i3", "title of the target", OLD, "bag"), ("i3", "title since", BEFORE, "bag"),
        ("i4", "aged title", OLD, "box"), ("i4", None, BEFORE, "box"),
    )  # fmt: skip
    used = ["in use", "title now", "title until February", "title since", "title of the target"]
    unused = ["aged", "aged title", "title until January", "orphan"]
    shop.embeddings(*[(h, A, OLD) for h in [*used, *unused]], ("scored lately", A, AFTER))
    shop.embeddings(("orphan", B, OLD), ("orphan", C, AFTER), ("in use", B, OLD), ("aged", A, OLD))
    shop.scores(*[(h, H, OLD) for h in [*used, *unused]], ("orphan", G, AFTER), ("aged", H, BEFORE))


def test_by_age_go_scores_of_texts_nobody_used_and_of_texts_that_are_gone(shop: Shop) -> None:
    _fill_with_ages(shop)
    planned = shop.clean(unused_days=30, dry_run=True)
    result = shop.clean(unused_days=30)
    assert shop.rows(TEXT_EMBEDDINGS, "text_hash", "backbone_digest") == [
        ("in use", A), ("in use", B), ("orphan", C), ("scored lately", A), ("title now", A),
        ("title of the target", A), ("title since", A), ("title until February", A),
    ]  # fmt: skip
    assert shop.hashes(TEXT_SCORES) == [
        "in use", "orphan", "title now", "title of the target", "title since",
        "title until February",
    ]  # fmt: skip
    counted = {k: v for k, v in result.figures.items() if "files" not in k}
    assert counted == {k: v for k, v in planned.figures.items() if "files" not in k}
    assert counted["embeddings_removed_unused"] == 5
    # A copy of an unused text counts once, as the duplicate it is.
    assert counted["embeddings_removed_duplicate"] == 1
    assert counted["scores_removed_unused"] == 4 and counted["scores_removed_duplicate"] == 1
    assert _add_up(result, "embeddings", 14) and _add_up(result, "scores", 11)
    notes = "\n".join(result.notes)
    assert "3 of the unused texts are still in tables texts or items" in notes
    assert "training looks back 270 days" in notes
    assert "--vacuum" in notes


def test_a_text_that_is_not_there_to_look_up_is_not_taken_for_unused(shop: Shop) -> None:
    shop.embeddings(("x", A, OLD))
    with pytest.raises(InputError, match="table texts does not exist") as caught:
        shop.clean(unused_days=0)
    assert "behavior-spark ingest" in str(caught.value)
    assert shop.hashes() == ["x"]
    with pytest.raises(ConfigError, match="0 or more") as caught_config:
        shop.clean(unused_days=-1)
    assert len(str(caught_config.value).splitlines()) <= 3


def test_a_dry_run_counts_and_writes_nothing(doubled: Shop) -> None:
    shop = doubled
    before = shop.versions()
    result = shop.clean(models=[B], dry_run=True, vacuum=True)
    assert shop.versions() == before
    assert not shop.warehouse.exists(RUNS)
    assert _add_up(result, "embeddings", 9) and _add_up(result, "scores", 4)
    assert result.figures["embeddings_removed_model"] == 1
    assert result.figures["embeddings_removed_duplicate"] == 4
    assert "dry run: nothing was written" in result.notes


def _head(digest: str) -> Head:
    weight = np.ones((2, 384), dtype=np.float32)
    return Head(
        name="intent", labels=("a", "b"), kind="single_label", weight=weight,
        bias=np.zeros(2, dtype=np.float32), thresholds=np.full(2, 0.5, dtype=np.float32),
        temperature=1.0, backbone_digest=digest,
    )  # fmt: skip


def test_of_other_models_only_those_stay_that_the_night_an_alias_or_the_config_uses(
    spark: SparkSession, tmp_path: Path
) -> None:
    text = {"encoder": ENCODER, "max_length": 32, "precision": "fp32"}
    shop = Shop(spark, _settings(tmp_path, text=text))
    store = ModelStore(Path(shop.settings.models_path))
    base = backbone_digest(ENCODER, EncoderOptions(max_length=32))
    digests: dict[str, tuple[str, str]] = {}
    for alias, length in (("champion", 64), ("candidate", 96), (None, 128)):
        options = EncoderOptions(max_length=length)
        backbone = backbone_digest(ENCODER, options)
        head = _head(backbone)
        folder = store.publish_text_model(
            lambda path, options=options, head=head: save_text_model(
                path, encoder_source=ENCODER, options=options, heads={"intent": head}
            )
        )
        if alias:
            store.set_alias(alias, folder.name)
        digests[alias or "forgotten"] = (backbone, head.digest)
    backbones = [base, *[pair[0] for pair in digests.values()], A]
    heads = [*[pair[1] for pair in digests.values()], H]
    shop.embeddings(*[("x", digest, OLD) for digest in backbones])
    shop.scores(*[("x", digest, OLD, "a") for digest in heads])

    result = shop.clean(other_models=True)
    kept = {digests["champion"], digests["candidate"]}
    names = ("backbone_digest",)
    assert {row[0] for row in shop.rows(TEXT_EMBEDDINGS, *names)} == {base, *[k[0] for k in kept]}
    assert {row[0] for row in shop.rows(TEXT_SCORES, "head_digest")} == {k[1] for k in kept}
    assert result.figures["embeddings_removed_model"] == 2
    removed = result.of(ScoresCleaned).removed_models["text_scores"]
    assert removed == {H: 1, digests["forgotten"][1]: 1}
    assert _add_up(result, "embeddings", 5) and _add_up(result, "scores", 4)

    # The model of the night may go when it is named, and the reader is told what that costs.
    named = shop.clean(models=[base, digests["champion"][1]])
    assert named.figures["embeddings_removed_model"] == named.figures["scores_removed_model"] == 1
    assert sum("is in use: the next score-texts" in note for note in named.notes) == 2


def test_while_no_precision_is_chosen_the_encoders_vectors_of_either_stay(
    spark: SparkSession, tmp_path: Path
) -> None:
    shop = Shop(spark, _settings(tmp_path, text={"encoder": ENCODER, "max_length": 32}))
    plain, half = (
        backbone_digest(ENCODER, EncoderOptions(max_length=32, precision=each))
        for each in ("fp32", "bf16")
    )
    shop.embeddings(*[("x", digest, OLD) for digest in (plain, half, A)])
    names = ("backbone_digest",)
    shop.clean(other_models=True)
    assert {row[0] for row in shop.rows(TEXT_EMBEDDINGS, *names)} == {plain, half}
    ModelStore(Path(shop.settings.models_path)).record_precision(plain, {"precision": "bf16"})
    result = shop.clean(other_models=True)
    assert shop.rows(TEXT_EMBEDDINGS, *names) == [(half,)]
    assert result.figures["scores_kept"] == 0  # no heads, no table of scores


def test_other_models_are_not_guessed_where_no_encoder_is_set(shop: Shop) -> None:
    shop.embeddings(("x", A, OLD))
    with pytest.raises(ConfigError, match="--other-models") as caught:
        shop.clean(other_models=True)
    assert _three_lines(caught.value)
    assert shop.hashes() == ["x"]


def test_a_model_is_removed_by_its_digest_and_a_wrong_one_is_named_with_those_there(
    shop: Shop,
) -> None:
    shop.embeddings(("x", A, OLD), ("x", B, OLD), ("y", B, OLD), ("y", B, AFTER))
    shop.scores(("x", H, OLD, "a"), ("x", G, OLD, "a"))
    for wrong in ("d" * 16, "' OR true --", A[:8]):
        with pytest.raises(InputError, match="no row of the model") as caught:
            shop.clean(models=[A, wrong])
        assert _three_lines(caught.value)
        assert all(digest in str(caught.value) for digest in (A, B, H, G))
    assert len(shop.hashes()) == 4

    result = shop.clean(models=[B])
    assert shop.rows(TEXT_EMBEDDINGS, "text_hash", "backbone_digest") == [("x", A)]
    assert len(shop.hashes(TEXT_SCORES)) == 2
    # Each row counts once: a copy of a removed model's row is the model's.
    assert result.figures["embeddings_removed_model"] == 3
    assert result.figures["embeddings_removed_duplicate"] == 0
    assert _add_up(result, "embeddings", 4)
    assert any("scores carry their head's digest" in note for note in result.notes)
    shop.clean(models=[A, H])
    assert (shop.hashes(), shop.hashes(TEXT_SCORES)) == ([], ["x"])


def test_without_a_store_the_command_that_makes_it_is_named(shop: Shop) -> None:
    with pytest.raises(InputError, match="run `behavior-spark score-texts` first"):
        shop.clean()


def test_help_teaches_what_goes_and_what_stays(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["clean-scores", "--help"]) == 0
    shown = re.sub(r"[^\w.,:;'()-]+", " ", capsys.readouterr().out)
    for option in ("--unused-days", "--other-models", "--model", "--vacuum", "--dry-run", "--json"):
        assert option in shown
    for promise in ("the newest stays", "younger than N days stay", "an alias names", "7 days",
                    "write nothing"):  # fmt: skip
        assert promise in shown


def test_the_command_and_its_job_clean_the_store_that_the_config_names(
    shop: Shop, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.embeddings(("x", A, OLD), ("x", A, AFTER), ("x", B, OLD))
    config = tmp_path / "mine.yaml"
    config.write_text(shop.settings.model_dump_json(by_alias=True, exclude_unset=True))
    options = ["--config", str(config), "--as-of", "2024-03-01", "--json"]
    assert run(["clean-scores", *options, "--model", "nonsense"]) == 2
    assert "no row of the model nonsense" in capsys.readouterr().err
    assert run(["clean-scores", *options, "--model", A, "--model", B, "--dry-run"]) == 0
    shown = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert shown["figures"]["embeddings_removed_model"] == 3
    monkeypatch.setattr(sys, "argv", ["clean_scores.py", *options])
    run_job("clean-scores")
    assert "3 rows = 2 kept + 1 removed" in " ".join(capsys.readouterr().out.split())
