"""A plain BERT is computed here, equal to transformers' to the last bit; all else is left to it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import AutoModel, BertConfig, BertForMaskedLM, BertModel

from behavior_spark.errors import ModelError
from behavior_spark.model.encoder import loading
from behavior_spark.model.encoder.bert import Bert, is_plain_bert, load_bert
from behavior_spark.model.encoder.encoder import Encoder, EncoderOptions
from tests.conftest import ENCODER

PLAIN = {"vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "intermediate_size": 32, "max_position_embeddings": 24}  # fmt: skip


def saved(folder: Path, family: Any = BertModel, **changes: object) -> Path:
    """A folder with random weights by transformers, none of them 0 or 1."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = family(BertConfig(**PLAIN | changes))
        with torch.no_grad():
            for weight in model.parameters():
                weight.normal_(std=0.4)
        model.save_pretrained(folder)
    return folder


def change_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@settings(max_examples=15, deadline=None)
@given(
    heads=st.sampled_from([1, 2, 4]),
    layers=st.integers(1, 3),
    types=st.integers(1, 3),
    inner=st.sampled_from([8, 48]),
    masked_words=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    lengths=st.lists(st.integers(1, 24), min_size=1, max_size=4),
)
def test_hidden_states_are_those_of_transformers(
    tmp_path_factory: pytest.TempPathFactory,
    heads: int,
    layers: int,
    types: int,
    inner: int,
    masked_words: bool,
    dtype: torch.dtype,
    lengths: list[int],
) -> None:
    folder = saved(
        tmp_path_factory.mktemp("bert"), BertForMaskedLM if masked_words else BertModel,
        num_attention_heads=heads, num_hidden_layers=layers, type_vocab_size=types,
        intermediate_size=inner, layer_norm_eps=1e-6,
    )  # fmt: skip
    ours, theirs = load_bert(folder, dtype), AutoModel.from_pretrained(folder, dtype=dtype).eval()
    assert ours is not None
    width = max(lengths)
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    ids = torch.arange(len(lengths) * width).view(-1, width) * 7 % 40
    with torch.inference_mode():
        one, other = (m(input_ids=ids, attention_mask=mask) for m in (ours, theirs))
    read = mask.bool()
    assert torch.equal(one.last_hidden_state[read], other.last_hidden_state[read])


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_embeddings_are_those_of_transformers(
    monkeypatch: pytest.MonkeyPatch, precision: Any
) -> None:
    texts = ["red lamp", "a blue mug of tea, please", "灯", "", "tea " * 70]
    options = EncoderOptions(max_length=64, precision=precision)
    ours = Encoder.load(ENCODER, options, device="cpu")
    assert isinstance(ours.model, Bert) and ours.inference.packs
    monkeypatch.setattr(loading, "load_bert", lambda *arguments: None)
    theirs = Encoder.load(ENCODER, options, device="cpu")
    assert not isinstance(theirs.model, Bert)
    assert ours.inference.onednn == theirs.inference.onednn
    one, other = (encoder.embed(texts).embeddings for encoder in (ours, theirs))
    assert np.array_equal(one, other, equal_nan=True)  # the empty text has none


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_act": "relu"},
        {"position_embedding_type": "relative_key"},
        {"is_decoder": True},
        {"model_type": "roberta"},
        {"hidden_size": "16"},
        {"num_attention_heads": 3},
        {"layer_norm_eps": None},
        {"quantization_config": {"quant_method": "fp8"}},
        {"num_hidden_layers": 1},  # weights of a second layer are left over
        {"num_hidden_layers": 3},  # and of a third are missing
        {"vocab_size": 41},
    ],
)
def test_what_is_no_plain_bert_is_left_to_transformers(
    tmp_path: Path, change: dict[str, object]
) -> None:
    folder = saved(tmp_path)
    assert load_bert(folder, torch.float32) is not None
    change_config(folder, **change)
    assert load_bert(folder, torch.float32) is None


def test_weights_that_are_damaged_of_integers_or_in_parts_are_left_to_transformers(
    tmp_path: Path,
) -> None:
    folder = saved(tmp_path)
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    name = "embeddings.word_embeddings.weight"
    save_file(tensors | {name: tensors[name].to(torch.int8)}, weights)
    assert load_bert(folder, torch.float32) is None
    weights.write_bytes(b"no tensors")
    assert load_bert(folder, torch.float32) is None
    weights.rename(folder / "model-00001-of-00001.safetensors")
    assert load_bert(folder, torch.float32) is None
    (folder / "config.json").write_text("{")
    with pytest.raises(ModelError, match=r"config\.json"):
        load_bert(folder, torch.float32)
    assert not is_plain_bert(str(folder)) and not is_plain_bert("package:no_such_package")


def test_loading_one_imports_neither_transformers_models_nor_a_compiler() -> None:
    code = (
        "import sys\nfrom behavior_spark.model.encoder.encoder import Encoder, EncoderOptions\n"
        f"Encoder.load({ENCODER!r}, EncoderOptions(max_length=16), device='cpu').embed(['a'])\n"
        "heavy = {'transformers.modeling_utils', 'torch._dynamo', 'sympy', 'scipy'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-500:]
