"""A small transformer for tests whose promise is not about what its vectors mean."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import BertConfig, BertModel

WORDS = [
    "red", "green", "blue", "warm", "cold", "lamp", "mug", "bag", "box", "tea",
    "hello", "bye", "please", "order", "card", "money",
]  # fmt: skip


def save_tiny_encoder(folder: Path) -> Path:
    """A BERT of 32 dimensions with random weights and a vocabulary of words and letters.

    Args:
        folder: A new folder, written in the format of Hugging Face; it is returned.
    """
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
