"""BERT's encoder (Devlin et al. 2019, arXiv 1810.04805) for inference, without transformers.

Most text encoders are BERTs: MiniLM, E5, BGE, GTE. Importing transformers' model of it takes two
seconds of processor time in each process that loads one, and its loader half of a load. A folder
whose config or weights are not those of a plain BERT is left to transformers, which says what is
wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from behavior_spark.errors import ModelError
from behavior_spark.files import read_json
from behavior_spark.model.encoder.model_folder import resolve_model_folder

_MODEL_TYPE = "bert"
_WEIGHTS = "model.safetensors"
_PREFIX = "bert."  # of a model with a head, such as one of masked words
_FLOATS = ("F32", "F16", "BF16")
# Values of a config with which a vector is what is computed here; None: the config does not say.
_PLAIN: dict[str, tuple[object, ...]] = {
    "model_type": (_MODEL_TYPE,),
    "hidden_act": ("gelu", None),
    "position_embedding_type": ("absolute", None),
    "is_decoder": (False, None),
    "add_cross_attention": (False, None),
    "quantization_config": (None,),
    "pruned_heads": ({}, None),
}

# As in transformers: from the layer, query, key and value [texts, heads, tokens, head dimension]
# and a mask to [texts, tokens, heads, head dimension], and None for the weights.
Attention = Callable[..., tuple[torch.Tensor, None]]


@dataclass(frozen=True)
class BertConfig:
    """The sizes of a BERT, named as in ``config.json``."""

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    vocab_size: int
    max_position_embeddings: int
    type_vocab_size: int = 2
    pad_token_id: int | None = 0
    layer_norm_eps: float = 1e-12
    model_type: str = _MODEL_TYPE

    @classmethod
    def read(cls, folder: Path) -> BertConfig | None:
        """The config in a folder; None if it is not that of a plain BERT.

        Raises:
            ModelError: ``config.json`` is damaged.
        """
        config = read_json(folder / "config.json")
        if not all(config.get(name) in values for name, values in _PLAIN.items()):
            return None
        try:
            sizes = cls(**{f.name: config[f.name] for f in fields(cls) if f.name in config})
        except TypeError:  # a size is left to transformers' defaults
            return None
        return sizes if sizes.is_valid else None

    @property
    def is_valid(self) -> bool:
        """Whether all sizes are positive, and of the right type."""
        sizes = [getattr(self, field.name) for field in fields(self) if field.type == "int"]
        return (
            all(type(size) is int and size > 0 for size in sizes)
            and type(self.layer_norm_eps) is float
            and self.hidden_size % self.num_attention_heads == 0
        )


class Bert(torch.nn.Module):
    """BERT without pooler and dropout; its tensors have the names that they have in the files.

    Made without weights: ``load_bert`` gives it those of a folder.

    Attributes:
        config: Its sizes.
        attention: What attends; padded texts with a mask unless it is replaced.
    """

    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self.config = config
        self.attention: Attention = attend_padded
        self.embeddings = _Embeddings(config)
        layers = torch.nn.ModuleList(_Layer(config) for _ in range(config.num_hidden_layers))
        self.encoder = torch.nn.ModuleDict({"layer": layers})

    def get_input_embeddings(self) -> torch.nn.Embedding:
        """The embeddings of words."""
        return self.embeddings.word_embeddings

    def forward(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
    ) -> Any:
        """Hidden states.

        Args:
            input_ids: int64 [texts, tokens].
            attention_mask: int64 [texts, tokens], 0 for padding; None: nothing is padded.
            position_ids: int64 [texts, tokens]; from 0 in each row by default.

        Returns:
            An object with ``last_hidden_state`` [texts, tokens, hidden size].
        """
        if position_ids is None:
            position_ids = torch.arange(input_ids.shape[1], device=input_ids.device)[None]
        mask = None if attention_mask is None else attention_mask.bool()[:, None, None, :]
        hidden = self.embeddings(input_ids, position_ids)
        for layer in self.encoder["layer"].children():
            hidden = layer(hidden, mask, self.attention)
        return SimpleNamespace(last_hidden_state=hidden)


# Without memory: torch would fill it with random numbers, and imports a compiler to do it for an
# embedding on this device.
_PLACE = "meta"


def _linear(inner: int, outer: int) -> torch.nn.Linear:
    return torch.nn.Linear(inner, outer, device=_PLACE)


def _embedding(rows: int, width: int) -> torch.nn.Embedding:
    return torch.nn.Embedding(rows, width, _weight=torch.empty(rows, width, device=_PLACE))


def _norm(width: int, config: BertConfig) -> torch.nn.LayerNorm:
    return torch.nn.LayerNorm(width, eps=config.layer_norm_eps, device=_PLACE)


class _Embeddings(torch.nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word_embeddings = _embedding(config.vocab_size, width)
        self.position_embeddings = _embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = _embedding(config.type_vocab_size, width)
        self.LayerNorm = _norm(width, config)

    def forward(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        summed = self.word_embeddings(ids) + self.token_type_embeddings.weight[0]
        normalised: torch.Tensor = self.LayerNorm(summed + self.position_embeddings(positions))
        return normalised


class _Layer(torch.nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        width, inner = config.hidden_size, config.intermediate_size
        self.attention = torch.nn.ModuleDict(
            {"self": _SelfAttention(config), "output": _Output(width, width, config)}
        )
        self.intermediate = _Intermediate(width, inner)
        self.output = _Output(inner, width, config)

    def forward(
        self, hidden: torch.Tensor, mask: torch.Tensor | None, attend: Attention
    ) -> torch.Tensor:
        attended = self.attention["self"](hidden, mask, attend)
        hidden = self.attention["output"](attended, hidden)
        changed: torch.Tensor = self.output(self.intermediate(hidden), hidden)
        return changed


class _SelfAttention(torch.nn.Module):
    def __init__(self, config: BertConfig) -> None:
        super().__init__()
        self._heads, width = config.num_attention_heads, config.hidden_size
        self.query = _linear(width, width)
        self.key = _linear(width, width)
        self.value = _linear(width, width)

    def forward(
        self, hidden: torch.Tensor, mask: torch.Tensor | None, attend: Attention
    ) -> torch.Tensor:
        shape = (*hidden.shape[:2], self._heads, -1)
        query, key, value = (
            layer(hidden).view(shape).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        attended, _ = attend(self, query, key, value, mask)
        return attended.reshape(hidden.shape)


class _Intermediate(torch.nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.dense = _linear(width, inner)
        self.intermediate_act_fn = torch.nn.GELU()

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        activated: torch.Tensor = self.intermediate_act_fn(self.dense(hidden))
        return activated


class _Output(torch.nn.Module):
    def __init__(self, inner: int, width: int, config: BertConfig) -> None:
        super().__init__()
        self.dense = _linear(inner, width)
        self.LayerNorm = _norm(width, config)

    def forward(self, hidden: torch.Tensor, before: torch.Tensor) -> torch.Tensor:
        normalised: torch.Tensor = self.LayerNorm(self.dense(hidden) + before)
        return normalised


def attend_padded(
    _: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
) -> tuple[torch.Tensor, None]:
    """Attention to all tokens of a row that the mask does not hide; see ``Attention``."""
    attended = torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    return attended.transpose(1, 2), None


def is_plain_bert(source: str) -> bool:
    """Whether an encoder's config is that of a plain BERT; False where it is not on this machine.

    Args:
        source: Folder or ``package:`` name of the encoder.
    """
    try:
        package = source.startswith("package:")
        folder = resolve_model_folder(source) if package else Path(source)
        return BertConfig.read(folder) is not None
    except (ModelError, OSError):
        return False


def load_bert(folder: Path, dtype: torch.dtype) -> Bert | None:
    """The model in a folder, on the CPU, in evaluation mode; None if it is no plain BERT.

    It is none too where config and weights disagree.

    Args:
        folder: Folder of the model, whose own code was refused before.
        dtype: Of the weights and of what is computed.

    Raises:
        ModelError: ``config.json`` is damaged.
    """
    config = BertConfig.read(folder)
    if config is None or not (folder / _WEIGHTS).is_file():
        return None
    model = Bert(config)
    wanted = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    try:
        with safe_open(folder / _WEIGHTS, framework="pt") as file:
            stored = {name.removeprefix(_PREFIX): name for name in file.keys()}  # noqa: SIM118
            if not _fit(wanted, {name: file.get_slice(key) for name, key in stored.items()}):
                return None
            tensors = {name: file.get_tensor(stored[name]).to(dtype) for name in wanted}
    except (OSError, SafetensorError):
        return None
    model.load_state_dict(tensors, assign=True)
    return model.eval()


def _fit(wanted: dict[str, list[int]], stored: dict[str, Any]) -> bool:
    """Whether the stored tensors are the model's: all of them, and none of its parts beside."""
    for name, shape in wanted.items():
        tensor = stored.get(name)
        if tensor is None or tensor.get_shape() != shape or tensor.get_dtype() not in _FLOATS:
            return False
    by_habit = ("embeddings.position_ids", "embeddings.token_type_ids")  # follow from the config
    own = {name.partition(".")[0] for name in wanted}
    beside = stored.keys() - wanted.keys() - set(by_habit)
    return not any(name.partition(".")[0] in own for name in beside)
