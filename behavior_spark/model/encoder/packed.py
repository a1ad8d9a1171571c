"""A forward pass without padding: texts lie one after the other in one long row of tokens.

Every layer but attention treats tokens one by one, so only attention must know where a text
ends. On CUDA in half precision it is variable-length FlashAttention (Dao 2023,
"FlashAttention-2", arXiv 2307.08691) by ``torch.nn.attention.varlen``; elsewhere texts of
equal length, which lie side by side once sorted, are attended to together. An architecture
that cannot run so (relative positions, windows) is found out by a trial in ``inference.py``.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "behavior_spark_packed"
# Between these lengths two batched products beat SDPA for bf16 on a CPU; beyond them their score
# matrix costs more memory than it saves time, and below SDPA in fp32 is as fast.
SHORTEST_PRODUCT, LONGEST_PRODUCT = 33, 512
# oneDNN compiles each product for its shape and keeps, or loses, memory for each: texts of all
# lengths took 20 MB more for every 8,192 of them. So shapes are few: lengths in steps of this,
# texts by powers of two.
STEP = 32

_current = threading.local()


@dataclass(frozen=True)
class Layout:
    """Where the texts of one packed row lie.

    Attributes:
        groups: First token, number of texts and their length, for each run of equal lengths; may
            be left out where attention goes by ``edges`` (CUDA in half precision).
        edges: int32 [texts + 1] on the model's device: first token of each text, and the end.
        longest: Tokens of the longest text.
        tokens: Tokens of all texts; what follows them belongs to none.
    """

    groups: list[tuple[int, int, int]]
    edges: torch.Tensor
    longest: int
    tokens: int

    @classmethod
    def of(cls, lengths: npt.NDArray[np.int64], device: torch.device) -> Layout:
        """The layout of texts with these lengths, at least one text."""
        starts = np.concatenate([[0], np.cumsum(lengths)])
        first = np.flatnonzero(np.concatenate([[True], lengths[1:] != lengths[:-1]]))
        counts = np.diff(np.append(first, len(lengths)))
        groups = list(
            zip(starts[first].tolist(), counts.tolist(), lengths[first].tolist(), strict=True)
        )
        edges = on_device(starts.astype(np.int32), device)
        return cls(groups, edges, int(lengths.max()), int(starts[-1]))

    def means(self, hidden: torch.Tensor) -> torch.Tensor:
        """Mean over the tokens of each text: [texts, dimension] of [tokens, dimension]."""
        if hidden.is_cuda:  # one kernel: one for each group takes longer to start than to run
            return torch.segment_reduce(hidden, "mean", offsets=self.edges, axis=0, unsafe=True)
        return torch.cat(
            [
                hidden[start : start + count * length].view(count, length, -1).mean(dim=1)
                for start, count, length in self.groups
            ]
        )


def packed_hidden(
    model: Any, ids: torch.Tensor, positions: torch.Tensor, layout: Layout
) -> torch.Tensor:
    """Last hidden states [tokens, dimension] of ids and positions [tokens] packed as ``layout``."""
    with _laid_out(layout), _flash_alone(ids.is_cuda):
        states = model(input_ids=ids[None], position_ids=positions[None])
    hidden: torch.Tensor = states.last_hidden_state[0]
    return hidden


def on_device(array: npt.NDArray[Any], device: torch.device) -> torch.Tensor:
    """``array`` for the device, without waiting for what the device is doing."""
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)  # from pageable memory it may wait


def copy_to(place: torch.Tensor, array: npt.NDArray[Any]) -> None:
    """``array`` into a tensor of its shape, without waiting for what the device is doing."""
    tensor = torch.from_numpy(array)
    place.copy_(tensor.pin_memory() if place.is_cuda else tensor, non_blocking=True)


def enable(model: Any) -> None:
    """Let ``model`` attend by :func:`attend`.

    Raises:
        Exception: Whatever transformers says of a model whose attention cannot be chosen.
    """
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, _no_mask)
    model.set_attn_implementation(NAME)
    if model.config._attn_implementation != NAME:  # some models only log that they did not
        raise ValueError("the attention of this model cannot be chosen")


def attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Attention within each text of the current layout, as transformers calls it.

    Args:
        module: The layer that asks.
        query: [1, heads, tokens, head dimension]; ``key`` and ``value`` likewise.
        key: See ``query``.
        value: See ``query``.
        attention_mask: None: nothing is padded.
        scaling: Factor of the scores; by default 1 / sqrt(head dimension).
        sliding_window: Refused.
        dropout: Share of the weights dropped out; not where FlashAttention does the work.

    Returns:
        [1, tokens, heads, head dimension], and None for the weights.

    Raises:
        ValueError: There is no layout, or the model wants more than plain attention.
    """
    layout: Layout | None = getattr(_current, "layout", None)
    plain = attention_mask is None and sliding_window is None and query.shape == key.shape
    if layout is None or not plain or getattr(module, "is_causal", False):
        raise ValueError("this attention cannot be packed")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    rows = [part[0].transpose(0, 1) for part in (query, key, value)]  # tokens, heads, dimension
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16):
        return _variable_length(rows, layout, scale)[None], None
    heads, dimension = rows[0].shape[1:]
    out = None
    if not torch.is_grad_enabled():
        out = torch.empty_like(rows[0], memory_format=torch.contiguous_format)
        out[layout.tokens :] = 0
    found = []
    for start, count, length in layout.groups:
        shape, own = (count, length, heads, dimension), slice(start, start + count * length)
        parts = [row[own].view(shape).transpose(1, 2) for row in rows]
        attended = _equal_length(*parts, scale=scale, dropout=dropout).transpose(1, 2)
        if out is None:  # for the way back a whole of parts is cheaper than parts of a whole
            found.append(attended.reshape(count * length, heads, dimension))
        else:
            out[own].view(shape).copy_(attended)
    if out is None:
        found.append(rows[0].new_zeros(len(rows[0]) - layout.tokens, heads, dimension))
        out = torch.cat(found)
    return out[None], None


def _variable_length(rows: list[torch.Tensor], layout: Layout, scale: float) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    query, key, value = rows
    natural = query.shape[-1] ** -0.5
    if scale != natural:  # an argument for the scale came after the function itself
        query = query * (scale / natural)
    found = varlen_attn(
        query, key, value, layout.edges, layout.edges, layout.longest, layout.longest
    )
    assert isinstance(found, torch.Tensor)  # a pair only where more was asked for
    return found


def _equal_length(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, scale: float, dropout: float
) -> torch.Tensor:
    """[texts, heads, tokens, dimension] of three such tensors."""
    on_cpu = query.dtype == torch.bfloat16 and not query.is_cuda
    if on_cpu and SHORTEST_PRODUCT <= query.shape[2] <= LONGEST_PRODUCT:
        return _by_products(query, key, value, scale=scale, dropout=dropout)
    if on_cpu:
        query, key, value = query.float(), key.float(), value.float()
    return torch.nn.functional.scaled_dot_product_attention(
        query, key, value, dropout_p=dropout, scale=scale
    )


def _by_products(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, scale: float, dropout: float
) -> torch.Tensor:
    """As :func:`_equal_length`, by products of few shapes."""
    texts, heads, length, dimension = query.shape
    flat = [
        torch.nn.functional.pad(
            part.reshape(texts * heads, length, dimension), (0, 0, 0, -length % STEP)
        )
        for part in (query, key, value)
    ]
    unused, found, start = query.new_empty(1, 1, 1), [], 0
    while start < texts:
        count = 1 << ((texts - start).bit_length() - 1)
        parts = [part[start * heads : (start + count) * heads] for part in flat]
        scores = torch.baddbmm(unused, parts[0], parts[1].transpose(1, 2), beta=0, alpha=scale)
        scores[:, :, length:] = -torch.inf
        weights = torch.nn.functional.dropout(torch.softmax(scores, dim=-1), dropout)
        found.append(torch.bmm(weights, parts[2])[:, :length])
        start += count
    return torch.cat(found).view(texts, heads, length, dimension)


def _no_mask(*_: Any, **__: Any) -> None:
    """What transformers asks for a mask: none is needed where nothing is padded."""


def _flash_alone(on_gpu: bool) -> AbstractContextManager[object]:
    """On Hopper torch 2.15 prefers cuDNN, which plans anew for each new number of texts."""
    if not on_gpu:
        return nullcontext()
    from torch.nn.attention import SDPBackend, sdpa_kernel

    return sdpa_kernel(SDPBackend.FLASH_ATTENTION)


@contextmanager
def _laid_out(layout: Layout) -> Iterator[None]:
    _current.layout = layout
    try:
        yield
    finally:
        _current.layout = None
