import json
import shutil

import numpy as np
import pytest

from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.encoder import Encoder, EncoderOptions
from behavior_spark.model.encoder.model_folder import effective_options
from behavior_spark.model.registry.text_model import load_text_model

OPTIONS = EncoderOptions(max_length=20)


@pytest.mark.parametrize("copy_encoder", [False, True])
def test_a_saved_text_model_comes_back_the_same(save, tiny_folder, tmp_path, copy_encoder):
    saved = save(tmp_path / "m", copy_encoder=copy_encoder)
    back = load_text_model(tmp_path / "m")
    assert back.digest == saved.digest and back.options == effective_options(tiny_folder, OPTIONS)
    assert back.metadata == {"mode": "head"}
    assert back.heads["intent"].digest == saved.heads["intent"].digest
    assert (tmp_path / "m" / "encoder").exists() == copy_encoder


def test_a_bundle_with_its_encoder_can_be_moved(save, tmp_path, tiny_folder):
    saved = save(tmp_path / "m", copy_encoder=True)
    expected = Encoder.load(str(tiny_folder), OPTIONS, device="cpu").embed(["red mug"])
    shutil.rmtree(tiny_folder)
    (tmp_path / "m").rename(tmp_path / "elsewhere")
    back = load_text_model(tmp_path / "elsewhere")
    found = Encoder.load(back.encoder_source, back.options, device="cpu").embed(["red mug"])
    assert back.digest == saved.digest
    assert np.array_equal(found.embeddings, expected.embeddings)


@pytest.mark.parametrize("name", ["encoder/model.safetensors", "encoder/config.json"])
def test_a_tampered_encoder_is_refused(save, tmp_path, name):
    save(tmp_path / "m", copy_encoder=True)
    path = tmp_path / "m" / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ModelError):
        load_text_model(tmp_path / "m")


def test_a_head_put_in_place_of_another_is_refused(save, tmp_path):
    save(tmp_path / "m")
    save(tmp_path / "n", seed=5)
    shutil.rmtree(tmp_path / "m" / "heads" / "intent")
    shutil.copytree(tmp_path / "n" / "heads" / "intent", tmp_path / "m" / "heads" / "intent")
    with pytest.raises(ModelError, match="not the one the manifest recorded"):
        load_text_model(tmp_path / "m")


@pytest.mark.parametrize(
    "change",
    [
        {"encoder": "../tiny"},
        {"encoder": "/no/such/folder"},
        {"encoder": 3},
        {"format": 99},
        {"digest": "0" * 16},
        {"options": {"pooling": "cls"}},
        {"options": {"unknown": 1}},
        {"heads": {}},
        {"heads": {"../heads/intent": "0" * 16}},
    ],
)
def test_a_tampered_manifest_is_refused(save, tmp_path, change):
    save(tmp_path / "m")
    path = tmp_path / "m" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ModelError):
        load_text_model(tmp_path / "m")


def test_a_head_of_another_encoder_is_refused_and_nothing_is_left_behind(save, tmp_path, make_head):
    with pytest.raises(ModelError, match="does not belong"):
        save(tmp_path / "out" / "m", heads={"intent": make_head(dimension=32)})
    assert not (tmp_path / "out").exists()


def test_a_failed_save_leaves_nothing_behind(save, tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("behavior_spark.model.heads.head.save_file", fail)
    with pytest.raises(OSError, match="disk full"):
        save(tmp_path / "out" / "m")
    assert list((tmp_path / "out").iterdir()) == []


def test_a_saved_model_is_never_overwritten(save, tmp_path):
    save(tmp_path / "m")
    with pytest.raises(ModelError, match="exists already"):
        save(tmp_path / "m")
