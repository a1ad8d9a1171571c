import json
import shutil
from functools import partial

import numpy as np
import pytest

from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.registry.learned_from import LearnedFrom, key_check, text_keys
from behavior_spark.model.registry.promotions import history, lineage, promote, refuse, roll_back
from behavior_spark.model.registry.records import ModelRecord, data_fingerprint
from behavior_spark.model.registry.store import CHALLENGER, CHAMPION, ModelStore
from behavior_spark.model.registry.text_model import load_text_model
from behavior_spark.shared_folder import SharedFolder


def test_publishing_places_a_model_at_its_digest_once(save, tmp_path):
    store = ModelStore(tmp_path / "store")
    saved = save(tmp_path / "m")
    first = store.publish_text_model(tmp_path / "m")
    again = store.publish_text_model(lambda folder: save(folder))
    assert first == again == tmp_path / "store" / "text" / saved.digest
    assert [path.name for path in first.parent.iterdir()] == [saved.digest]
    assert store.digests() == [saved.digest]


def test_a_damaged_model_is_not_published(save, tmp_path):
    store = ModelStore(tmp_path / "store")
    save(tmp_path / "m")
    (tmp_path / "m" / "heads" / "intent" / "head.json").unlink()
    with pytest.raises(ModelError):
        store.publish_text_model(tmp_path / "m")
    assert store.digests() == []


def test_a_label_with_a_bar_or_a_line_break_stays_in_its_row_of_the_card(save, make_head, tmp_path):
    labels = ("refund | return", "late\nparcel", "a\\|b")
    figures = {"rows": 3, "precision": 0.5, "recall": 0.5, "f1": 0.5}
    metrics = {"per_class": dict.fromkeys(labels, figures), "dropped_labels": [labels[1]]}
    digest = save(tmp_path / "other").backbone_digest
    head = make_head(labels=labels, dimension=32, metrics=metrics, backbone_digest=digest)
    folder = tmp_path / "m"
    ModelRecord(save(folder, heads={"intent": head}).digest).save(folder)
    card = (folder / "card.md").read_text().splitlines()
    start = card.index("| label | texts | precision | recall | F1 |")
    assert card[start + 2 : start + 6] == [
        r"| refund \| return | 3 | 0.500 | 0.500 | 0.500 |",
        "| late parcel | 3 | 0.500 | 0.500 | 0.500 |",
        r"| a\\\|b | 3 | 0.500 | 0.500 | 0.500 |",
        "",
    ]


def test_an_alias_points_at_a_published_model_and_others_stay(save, tmp_path):
    store = ModelStore(tmp_path / "store")
    assert store.alias("champion") is None
    one = store.publish_text_model(lambda folder: save(folder)).name
    two = store.publish_text_model(lambda folder: save(folder, seed=5)).name
    store.set_alias("champion", one)
    store.set_alias("challenger", two)
    store.set_alias("champion", two)
    assert ModelStore(tmp_path / "store").aliases() == {"champion": two, "challenger": two}
    assert load_text_model(store.folder(two)).digest == two


@pytest.mark.parametrize("digest", ["0" * 16, "../..", ""])
def test_an_alias_cannot_point_at_a_model_that_is_not_published(tmp_path, digest):
    with pytest.raises(ModelError, match="no text model"):
        ModelStore(tmp_path).set_alias("champion", digest)


@pytest.fixture(params=["a folder", "an object store"])
def store(request, save, tmp_path) -> ModelStore:
    if request.param == "a folder":
        return ModelStore(tmp_path / "store")
    request.getfixturevalue("another_machine")
    return ModelStore("s3a://night/store")


@pytest.fixture
def models(store, save) -> list[str]:
    """Digests of three published models."""
    return [store.publish_text_model(lambda f, s=s: save(f, seed=s)).name for s in (0, 5, 9)]


def test_an_alias_that_is_dropped_stands_for_nothing_and_a_name_finds_its_model(store, models):
    store.set_alias(CHALLENGER, models[1])
    assert store.resolve(CHALLENGER) == store.resolve(models[1]) == models[1]
    store.drop_alias(CHALLENGER)
    store.drop_alias(CHALLENGER)
    assert store.alias(CHALLENGER) is None and store.aliases() == {}
    with pytest.raises(ModelError, match="no model is called"):
        store.resolve(CHALLENGER)


def test_the_log_says_who_replaced_whom_why_and_by_whom(store, models, monkeypatch):
    monkeypatch.setenv("BEHAVIOR_USER", "ada")
    store.set_alias(CHALLENGER, models[1])
    promote(store, models[0], reason="first")
    refuse(store, models[2], reason="worse", figures={"f1": -0.1})
    promote(store, models[1], reason="better")
    assert store.aliases() == {CHAMPION: models[1]}  # the challenger is one no more
    lines = [p.read_text() for p in sorted((store.root / "promotions").iterdir())]
    assert all(text.count("\n") == 1 for text in lines)  # one line each: together JSON lines
    found = [json.loads(text) for text in lines]
    assert [(e["event"], e["model"], e["replaced"]) for e in found] == [
        ("promoted", models[0], None),
        ("refused", models[2], models[0]),
        ("promoted", models[1], models[0]),
    ]
    assert {e["by"] for e in found} == {"ada"} and found[1]["figures"] == {"f1": -0.1}
    assert [e.reason for e in history(store)] == ["first", "worse", "better"]
    with pytest.raises(ModelError, match="champion already"):
        promote(store, models[1], reason="again")


def test_rolling_back_twice_goes_further_back_and_never_to_what_was_rolled_back(store, models):
    for model in models:
        promote(store, model, reason="")
    assert lineage(store) == models
    assert roll_back(store).model == models[1] == store.alias(CHAMPION)
    assert roll_back(store).model == models[0] == store.alias(CHAMPION)
    with pytest.raises(ModelError, match="no earlier champion"):
        roll_back(store)
    promote(store, models[2], reason="after all")
    assert roll_back(store, to=models[0], reason="it was slow").reason == "it was slow"
    with pytest.raises(ModelError, match="no such earlier champion"):
        roll_back(store, to=models[1])
    assert store.alias(CHAMPION) == models[0]


def test_a_damaged_log_is_not_guessed_at(store, models):
    promote(store, models[0], reason="")
    entry = next((store.root / "promotions").iterdir())
    entry.write_text("{")
    store.shared.publish(f"promotions/{entry.name}")
    with pytest.raises(ModelError, match="promotion log"):
        roll_back(store)


def test_a_record_is_written_once_and_refused_when_it_was_changed(store, models):
    folder = store.folder(models[0])
    record = ModelRecord(
        models[0], parents={"encoder": "e", "champion": None}, licence="Apache-2.0",
        data={"intent": {"texts": 12, "fingerprint": "f"}}, config={"finetune": "head"},
    )  # fmt: skip
    record.save(folder)
    other = ModelRecord(models[0], licence="other").save(folder)
    assert other == record == ModelRecord.load(folder) and load_text_model(folder)
    card = (folder / "card.md").read_text()
    for part in ("Model details", "Intended use", "Training data", "Metrics", "caveats"):
        assert part in card
    assert "Apache-2.0" in card and "intent" in card
    path = folder / "record.json"
    path.write_text(path.read_text().replace("Apache-2.0", "MIT"))
    with pytest.raises(ModelError, match="changed after"):
        ModelRecord.load(folder)
    assert ModelRecord.load(store.folder(models[1])).licence is None  # a model without a record
    with pytest.raises(ModelError, match="another model"):
        ModelRecord(models[0]).save(store.folder(models[1]))


def test_a_model_knows_the_texts_behind_it_whatever_their_case_and_spaces(store, models):
    folder = store.folder(models[0])
    assert LearnedFrom.load(folder) is None
    learned = LearnedFrom(text_keys(["Red mug", "red  MUG"]), text_keys(["late parcel"]))
    learned.save(folder)
    back = LearnedFrom.load(folder)
    keys = text_keys(["RED mug", "late parcel", "blue bag"])
    assert len(back.train) == 1 and back.key_check == key_check(None) == ""
    assert back.shared_with(keys).tolist() == [True, True, False]
    assert back.shared_with(keys, dev=False).tolist() == [True, False, False]
    key = "k" * 16
    LearnedFrom(text_keys(["red mug"], key=key), text_keys([], key=key), key_check(key)).save(
        folder
    )
    assert LearnedFrom.load(folder).key_check == key_check(key) != key_check("another key here")
    assert not LearnedFrom.load(folder).shared_with(keys).any()
    assert LearnedFrom.load(folder).shared_with(text_keys(["Red mug"], key="k" * 16)).all()
    (folder / "learned_from.safetensors").write_bytes(b"{")
    with pytest.raises(ModelError, match="learned from"):
        LearnedFrom.load(folder)


def test_a_table_has_the_same_fingerprint_in_any_order_and_another_with_any_other_label():
    one = data_fingerprint(["a", "b"], ["x", "y"])
    assert one == data_fingerprint(["b", "a"], ["y", "x"]) != data_fingerprint(["a", "b"], "yx")


def test_what_was_measured_is_kept_for_each_state_of_the_data(store, models):
    store.record_evaluation(models[0], "d1", {"measured_at": "2024-01-02", "f1": 0.5})
    store.record_evaluation(models[0], "d2", {"measured_at": "2024-01-01", "f1": 0.6})
    store.record_evaluation(models[0], "d1", {"measured_at": "2024-01-03", "f1": 0.7})
    assert [each["f1"] for each in store.evaluations(models[0])] == [0.6, 0.7]
    assert store.evaluations(models[1]) == [] and store.digests() == sorted(models)
    store.shared.remove(models[1])
    with pytest.raises(ModelError):
        store.record_evaluation(models[1], "d1", {})


def test_keys_of_texts_are_those_by_which_texts_are_held_out():
    from behavior_spark.model.heads.labelled import LabelledTexts, split_task

    texts = [f"text {n}" for n in range(60)]
    split = split_task(
        LabelledTexts("x", texts, ["a", "b"] * 30), validation_share=0.2, seed=0, max_examples=None
    )
    assert np.array_equal(text_keys(texts) < 0.2 * 2.0**64, split.validation)


def test_what_one_machine_publishes_in_an_object_store_another_uses(
    save, tmp_path, another_machine, tiny_folder
):
    """Models, aliases, figures and the encoder inside a model: all found by their address."""
    address = "s3a://night/w/_models"
    first = ModelStore(address)
    shared = SharedFolder(f"{address}/encoders")
    shutil.copytree(tiny_folder, shared.path / "tiny")
    shared.publish("tiny")
    source = f"{address}/encoders/tiny"

    made = partial(save, encoder_source=source)
    own = first.publish_text_model(lambda folder: made(folder, copy_encoder=True))
    named = first.publish_text_model(lambda folder: made(folder, seed=5))
    promote(first, own.name, reason="first")
    first.record_evaluation(own.name, "data", {"f1": 0.5})
    first.record_precision("e" * 16, {"precision": "bf16"})

    another_machine("second")
    second = ModelStore(address)
    assert second.digests() == sorted([own.name, named.name])
    assert second.aliases() == {CHAMPION: own.name}
    assert second.evaluations(own.name) == [{"f1": 0.5}]
    assert second.precision("e" * 16) == "bf16"
    models = [second.load(digest) for digest in (own.name, named.name)]
    assert [m.encoder_source for m in models] == [f"{address}/text/{own.name}/encoder", source]
    another_machine("worker")  # which knows the address alone
    encoders = [Encoder.load(m.encoder_source, m.options, device="cpu") for m in models]
    assert [e.digest for e in encoders] == [m.backbone_digest for m in models]
    with pytest.raises(ModelError, match="no text model"):
        second.load("0" * 16)
