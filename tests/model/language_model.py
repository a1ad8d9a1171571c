"""A tiny language model with random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
)

WORDS = [
    "message", "the", "customer", "wants", "a", "refund", "money", "back", "late", "parcel",
    "where", "is", "my", ":", ".", "/", "n",
]  # fmt: skip


def tiny_language_model(folder: Path, *, kind: str = "gpt2") -> Path:
    """Save a GPT-2 or Llama of 32 dimensions over ``WORDS``."""
    vocabulary = {word: i for i, word in enumerate(["<unk>", "<s>", *WORDS])}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=words, unk_token="<unk>", bos_token="<s>"
    ).save_pretrained(folder)
    size = {"vocab_size": len(vocabulary), "bos_token_id": 1, "eos_token_id": 1}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        if kind == "gpt2":
            model = GPT2LMHeadModel(
                GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=64, **size)
            )
        else:
            model = LlamaForCausalLM(
                LlamaConfig(hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                            num_attention_heads=2, max_position_embeddings=64, **size)
            )  # fmt: skip
        for parameter in model.parameters():  # far from uniform answers
            torch.nn.init.normal_(parameter, std=0.4)
    model.save_pretrained(folder)
    return folder
