"""Training from the warehouse: stored embeddings are read, and no model looks back."""

import datetime as dt
from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import functions as F
from rich.console import Console

from behavior_spark import pipelines
from behavior_spark.config import validate_settings
from behavior_spark.errors import BehaviorError, ConfigError, InputError, ModelError
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.pipelines.text_models.finetuning import Finetuned
from behavior_spark.pipelines.text_models.label_check import LabelsChecked
from behavior_spark.pipelines.text_models.pretraining import Pretrained
from behavior_spark.pipelines.text_models.words import Explained
from behavior_spark.schemas import EVENTS, ITEMS, TEXTS
from tests.conftest import ENCODER

NIGHT, QUIET = dt.date(2024, 1, 10), Console(quiet=True)
WANTS = {"refund": "I want my money back for the {}", "delivery": "where is my {} now"}
ITEM_NAMES = [f"{colour} {thing}" for colour in ("red", "blue", "oak", "silk", "steel", "paper")
              for thing in ("mug", "bag", "chair", "lamp", "tie")]  # fmt: skip


@pytest.fixture(scope="module")
def shop(spark, tmp_path_factory):
    """Texts and their labels, and sessions in which a colour's items were bought together."""
    root = tmp_path_factory.mktemp("training")
    rows = [(want.format(item), label) for label, want in WANTS.items() for item in ITEM_NAMES]
    pd.DataFrame(rows, columns=["said", "label"]).to_parquet(root / "labels.parquet")
    warehouse = Warehouse(spark, settings_of(root).warehouse)
    day = F.lit(dt.datetime(2024, 1, 2)).cast("timestamp")
    times = {"arrived_at": day, "arrived_day": F.lit(dt.date(2024, 1, 2))}
    texts = spark.createDataFrame([(str(n), text) for n, (text, _) in enumerate(rows)],
                                  "text_id string, text string")  # fmt: skip
    warehouse.append(
        texts.withColumns({"text_hash": F.sha2("text", 256), "text_time": day, **times}), TEXTS
    )
    items = spark.createDataFrame([(name, name) for name in ITEM_NAMES],
                                  "item_id string, title string")  # fmt: skip
    warehouse.append(
        items.withColumns({"valid_from": day, "title_hash": F.sha2("title", 256)}), ITEMS
    )
    bought = [
        (f"{u}-{name}", f"u{u}", name, f"s{u}")
        for u in range(24)
        for name in ITEM_NAMES
        if name.split()[0] == ITEM_NAMES[5 * (u % 6)].split()[0]
    ]
    events = spark.createDataFrame(
        bought, "event_id string, user_id string, item_id string, session_id string"
    )
    warehouse.append(
        events.withColumns({"event_time": day, "event_type": F.lit("purchase"), **times}), EVENTS
    )
    return root


def settings_of(root: Path, *, head=None, pretrain=None, **text):
    table = {"path": str(root / "labels.parquet"), "text": "said", "label": "label"}
    return validate_settings(
        {
            "warehouse": str(root / "warehouse"),
            "sources": {
                "events": {"path": "none", "columns": {"event_id": "id"}},
                "items": {"path": "none", "columns": {"item_id": "id"}},
            },
            "text": {"encoder": ENCODER, "max_length": 16, "precision": "fp32",
                     "heads": {"intent": table | (head or {})}, **text},
            "pretrain": pretrain or {},
            "features": {"event_types": ["view"]},
            "targets": {"any": {"event": "true"}},
        }
    )  # fmt: skip


def do(spark, command, settings, *, as_of=NIGHT):
    return getattr(pipelines, command)(settings, as_of=as_of, spark=spark, console=QUIET)


def test_texts_that_were_scored_are_not_embedded_again(spark, shop, monkeypatch):
    settings = settings_of(shop)
    do(spark, "score_texts", settings)

    def refuse(*arguments, **named):
        raise AssertionError("an encoder was loaded")

    monkeypatch.setattr(Encoder, "load", refuse)
    result = do(spark, "finetune", settings)
    assert result.figures["texts_stored"] == 2 * len(ITEM_NAMES)
    assert result.figures["intent_accuracy"] > 0.9
    monkeypatch.undo()
    check_words(spark, settings, shop)


def check_words(spark, settings, root):
    """The head in use tells the words of texts: given, of a file, and stored."""
    (root / "texts.txt").write_text("I want  my money back for the lamp\n\n", encoding="utf-8")
    result = pipelines.words(settings, "intent", texts=["where is my red mug now"],
                             file=root / "texts.txt", label="delivery")  # fmt: skip
    delivery, refund = result.of(Explained).texts
    assert delivery.label == "delivery" and delivery.probability > 0.5 > refund.probability
    assert delivery.raising(2) and {w.word for w in refund.lowering(3)} & {"want", "money", "back"}
    assert len(refund.words) == 8 and "delivery" in str(result.of(Explained).blocks()[0])
    stored = pipelines.words(settings, "intent", where="text LIKE '%red%'", limit=2, spark=spark,
                             console=QUIET)  # fmt: skip
    told = stored.of(Explained)
    assert len(told.texts) == 2 and told.names == sorted(told.names)
    assert stored.notes == ("the newest 2 of 10 texts; --limit gives more",)
    assert stored.details["texts"][0]["name"] == told.names[0]
    for where, problem in (("text", "must be a condition"), ("text = 'nothing'", "no stored text")):
        with pytest.raises(BehaviorError, match=problem):
            pipelines.words(settings, "intent", where=where, spark=spark, console=QUIET)
    with pytest.raises(ConfigError, match="no head 'mood'"):
        pipelines.words(settings, "mood", texts=["hello"])
    with pytest.raises(InputError, match="no text"):
        pipelines.words(settings, "intent")


def test_labelled_texts_outside_the_warehouse_are_embedded_once_ever(spark, shop, monkeypatch):
    count = 2 * len(ITEM_NAMES)
    settings = settings_of(shop, head={"text": "concat(said, ' please')"}, promote="manual")
    first = do(spark, "finetune", settings)
    assert first.figures["texts_embedded"] == count and first.figures["texts_stored"] == 0
    kept = list((shop / "warehouse").rglob("labelled_embeddings/*/*.safetensors"))
    assert len(kept) == 1 and b"please" not in kept[0].read_bytes()

    def refuse(*arguments, **named):
        raise AssertionError("an encoder was loaded")

    monkeypatch.setattr(Encoder, "load", refuse)
    again = do(spark, "finetune", settings)
    assert again.figures["texts_embedded"] == 0 and again.figures["texts_stored"] == count
    assert again.models == first.models
    measured = pipelines.evaluate(
        settings, model=first.models["text"], as_of=NIGHT, spark=spark, console=QUIET
    )
    assert measured.figures  # by the kept embeddings: no encoder is loaded


def test_labels_that_are_wrong_are_listed_before_anything_is_trained(spark, shop, monkeypatch):
    """Of every part, with texts; training names the command, and embeds none of them again."""
    table = pd.read_parquet(shop / "labels.parquet")
    wrong = [3, 17, 40]
    table.loc[wrong, "label"] = ["delivery", "delivery", "refund"]
    table["part"] = ["test" if row % 10 == 7 else "train" for row in range(len(table))]
    mail = {"said": "=HYPERLINK(1) a@b.org where is my tent now", "part": "train"}
    table.loc[len(table)] = mail | {"label": "delivery"}
    table.loc[len(table)] = mail | {"label": "refund"}
    table.to_parquet(shop / "doubtful.parquet")
    head = {"path": str(shop / "doubtful.parquet"), "split": "part"}
    settings = settings_of(shop, head=head, promote="manual")
    file = shop / "doubts.csv"

    checked = pipelines.check_labels(
        settings, heads=["intent"], output=file, as_of=NIGHT, spark=spark, console=QUIET
    )

    doubts = pd.read_csv(file)
    conflicts, likely = (doubts[doubts["finding"] == kind] for kind in ("conflict", "likely_wrong"))
    planted = set(table["said"].iloc[wrong])
    assert planted <= set(likely["text"])
    assert set(likely["text"]) <= planted | set(conflicts["text"])  # of the mail one is wrong
    assert (likely["likely"] != likely["labels"]).all() and likely["probability"].between(
        0, 1
    ).all()
    assert (
        sorted(conflicts["labels"]) == ["delivery", "refund"] and len(set(conflicts["text"])) == 1
    )
    assert conflicts["text"].iloc[0].startswith("'=") and "a@b.org" not in file.read_text()
    assert checked.details["heads"]["intent"] == {
        "texts": len(table), "conflict": 2, "likely_wrong": len(likely)
    }  # fmt: skip
    again = do(spark, "check_labels", settings)
    assert "lists them" in str(again.of(LabelsChecked).blocks()[-1])
    assert "runs" not in again.tables  # it has recorded nothing

    def refuse(*arguments, **named):
        raise AssertionError("an encoder was loaded")

    monkeypatch.setattr(Encoder, "load", refuse)
    trained = do(spark, "finetune", settings)
    assert any("check-labels --head intent" in note for note in trained.notes)
    with pytest.raises(ConfigError, match="no head 'mood'"):
        pipelines.check_labels(settings, heads=["mood"], as_of=NIGHT, spark=spark, console=QUIET)
    with pytest.raises(ConfigError, match="txt"):
        pipelines.check_labels(
            settings, output=shop / "d.txt", as_of=NIGHT, spark=spark, console=QUIET
        )


def test_a_split_keeps_its_test_rows_from_training(spark, shop):
    split = (
        "CASE WHEN said LIKE '%mug%' THEN 'test' WHEN said LIKE '%tie%' THEN 'dev' ELSE 'train' END"
    )
    result = do(spark, "finetune", settings_of(shop, head={"split": split}))
    rows = result.of(Finetuned).heads["intent"]["rows"]
    assert rows == {"train": 2 * 18, "validation": 2 * 6}


def test_a_null_among_several_labels_is_no_label(spark, shop):
    several = "array(label, CASE WHEN said LIKE '%mug%' THEN 'mug' END)"
    settings = settings_of(shop, head={"label": several})
    result = do(spark, "finetune", settings)
    assert set(result.of(Finetuned).heads["intent"]["per_class"]) == {"delivery", "mug", "refund"}
    # The champion, if another test made one, gives one label a text: both answer all texts.
    if result.details["promotion"]["gate"] is not None:
        assert any("the other several; both are compared" in note for note in result.notes)


def test_a_day_of_the_test_labels_alone_leaves_the_others_in(spark, shop):
    test = {"path": str(shop / "labels.parquet"), "where": "said LIKE '%mug%'",
            "day": "DATE'2023-12-01'"}  # fmt: skip
    head = {"where": "said NOT LIKE '%mug%'", "test": test}
    rows = do(spark, "finetune", settings_of(shop, head=head)).of(Finetuned).heads["intent"]["rows"]
    assert sum(rows.values()) == 2 * (len(ITEM_NAMES) - 6)


@pytest.mark.parametrize(
    "head",
    [{"split": "no_such_column"}, {"split": "1 +"}, {"label": "1"}, {"label": "array(1)"},
     {"test": {"path": "nothing_here"}}, {"dev": {"path": "labels.parquet", "text": "nope"}}],
)  # fmt: skip
def test_a_wrong_labelled_table_is_said_in_three_lines(spark, shop, head):
    for part in ("dev", "test"):
        if part in head:
            head = {part: head[part] | {"path": str(shop / head[part]["path"])}}
    with pytest.raises(BehaviorError) as error:
        do(spark, "finetune", settings_of(shop, head=head))
    assert len(str(error.value).splitlines()) <= 3 and "text.heads.intent" in str(error.value)


def test_an_encoder_pretrained_on_behaviour_scores_later_nights_and_no_earlier_one(spark, shop):
    pretrain = {"method": "behaviour", "epochs": 2, "batch_texts": 8, "held_out_share": 0.2}
    result = do(spark, "pretrain", settings_of(shop, pretrain=pretrain))
    folder = Path(result.of(Pretrained).encoder)
    assert result.figures["found_after"] >= result.figures["found_before"]
    assert not list(folder.parent.glob(".corpus*")) and folder.name == result.models["encoder"]
    pretrained = settings_of(shop, encoder=str(folder))
    do(spark, "finetune", pretrained)
    model = Path(pretrained.models_path) / "text"
    head = next(model.glob("*/heads/intent/head.json"))
    assert head.exists()
    with pytest.raises(ModelError, match="must not look back") as error:
        do(spark, "score_texts", pretrained, as_of=NIGHT - dt.timedelta(days=1))
    assert "2024-01-09" in str(error.value)


def test_words_are_learned_from_the_texts_that_a_condition_chooses(spark, shop):
    pretrain = {"method": "mlm", "where": "text LIKE '%money%'", "held_out_share": 0.3,
                "batch_tokens": 128}  # fmt: skip
    result = do(spark, "pretrain", settings_of(shop, pretrain=pretrain))
    assert result.figures["perplexity_after"] < result.figures["perplexity_before"]
    assert any("head for words" in note for note in result.notes)
    with pytest.raises(ConfigError, match=r"pretrain\.where"):
        do(spark, "pretrain", settings_of(shop, pretrain=pretrain | {"where": "nope = 1"}))
    few = settings_of(shop, pretrain=pretrain | {"where": "text LIKE '%no such words%'"})
    with pytest.raises(BehaviorError):
        do(spark, "pretrain", few)
    assert not list(Path(few.models_path).glob("encoders/.corpus-*"))
