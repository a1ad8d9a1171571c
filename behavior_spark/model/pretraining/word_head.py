"""The head that predicts masked words: a layer, a norm, and the input embeddings as decoder.

The heads of all supported architectures have this form (Devlin et al. 2019, arXiv 1810.04805),
with different names of tensors. An encoder without a head, such as a sentence encoder, gets a new
one whose layer is the identity. A new head must be trained alone first; otherwise it would damage
the encoder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch.nn.functional import gelu, linear

from behavior_spark.errors import ModelError

# Prefixes of layer, norm and bias: BERT and DeBERTa, RoBERTa, DistilBERT, ModernBERT, DeBERTa v3.
_NAMES = (
    ("cls.predictions.transform.dense", "cls.predictions.transform.LayerNorm",
     "cls.predictions.bias"),
    ("lm_head.dense", "lm_head.layer_norm", "lm_head.bias"),
    ("vocab_transform", "vocab_layer_norm", "vocab_projector.bias"),
    ("head.dense", "head.norm", "decoder.bias"),
    ("lm_predictions.lm_head.dense", "lm_predictions.lm_head.LayerNorm",
     "lm_predictions.lm_head.bias"),
)  # fmt: skip


class WordHead(torch.nn.Module):
    """Computes scores of all words of the vocabulary from hidden states.

    Attributes:
        is_new: Whether the head is new, because the encoder's folder has none.
    """

    def __init__(self, dimension: int, vocabulary: int) -> None:
        super().__init__()
        self.is_new = True
        with torch.random.fork_rng(devices=[]):  # do not change the caller's random state
            self.dense = torch.nn.Linear(dimension, dimension)
        self.norm = torch.nn.LayerNorm(dimension)
        self.bias = torch.nn.Parameter(torch.zeros(vocabulary))
        with torch.no_grad():
            self.dense.weight.copy_(torch.eye(dimension))
            self.dense.bias.zero_()

    def forward(self, hidden: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """Scores [n, vocabulary].

        Args:
            hidden: Hidden states [n, dimension].
            words: Input embeddings of all words [vocabulary, dimension].
        """
        return linear(self.norm(gelu(self.dense(hidden))), words, self.bias)


def word_head(folder: Path, model: Any) -> WordHead:
    """The head in an encoder's folder, else a new one, on the encoder's device.

    Raises:
        ModelError: The dimension of the encoder's word embeddings is not its hidden size.
    """
    words = model.get_input_embeddings().weight
    if words.shape[1] != model.config.hidden_size:
        raise ModelError(
            f"the encoder in {folder} cannot guess masked words",
            found=f"words of {words.shape[1]} numbers, hidden states of {model.config.hidden_size}",
            fix="pretrain.method=simcse or behaviour",
        )
    head = WordHead(words.shape[1], words.shape[0])
    tensors = _tensors(folder)
    for dense, norm, bias in _NAMES:
        stored = {
            "dense.weight": tensors.get(f"{dense}.weight"),
            "dense.bias": tensors.get(f"{dense}.bias", torch.zeros(words.shape[1])),
            "norm.weight": tensors.get(f"{norm}.weight"),
            "norm.bias": tensors.get(f"{norm}.bias", torch.zeros(words.shape[1])),
            "bias": tensors.get(bias),
        }
        initial = head.state_dict()
        if all(t is not None and t.shape == initial[name].shape for name, t in stored.items()):
            head.load_state_dict({name: t.float() for name, t in stored.items() if t is not None})
            head.is_new = False
            break
    return head.to(words.device)


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    """Tensors of a folder whose names are those of a head."""
    prefixes = tuple(name for names in _NAMES for name in names)
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(str(path), framework="pt") as file:
            for name in file.keys():  # noqa: SIM118
                if name.startswith(prefixes):
                    tensors[name] = file.get_tensor(name)
    return tensors
