"""A forward pass without padding: all texts are packed one after the other in one sequence.

All layers except attention treat tokens one by one, so only attention must know where a text
ends. On CUDA in half precision, attention is variable-length FlashAttention (Dao 2023,
"FlashAttention-2", arXiv 2307.08691) by ``torch.nn.attention.varlen``. Elsewhere texts of equal
length, which are adjacent after sorting, are attended to in one batch. A trial in
``inference.py`` finds the architectures that do not support packing (relative positions, windows).
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from behavior_spark.model.encoder.bert import Bert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAME = "behavior_spark_packed"
# For bf16 on a CPU, two batched products are faster than SDPA for texts of these lengths. For
# longer texts their score matrix needs too much memory; for shorter ones SDPA in fp32 is as fast.
SHORTEST_PRODUCT, LONGEST_PRODUCT = 33, 512
# oneDNN compiles a product for each shape and keeps memory for it: texts of all lengths took
# 20 MB more for every 8,192 texts. So only few shapes are used: lengths are rounded up to
# multiples of STEP, and numbers of texts are powers of two.
STEP = 32

_current = threading.local()


@dataclass(frozen=True)
class Layout:
    """Where each text is in a packed sequence.

    Attributes:
        groups: First token, number of texts and their length, for each run of texts of equal
            length; empty where attention uses ``edges`` (CUDA in half precision).
        edges: int32 [texts + 1] on the model's device: first token of each text, and the end.
        longest: Number of tokens of the longest text.
        tokens: Number of tokens of all texts; tokens after them belong to no text.
    """

    groups: list[tuple[int, int, int]]
    edges: torch.Tensor
    longest: int
    tokens: int

    @classmethod
    def of(cls, lengths: npt.NDArray[np.int64], device: torch.device) -> Layout:
        """The layout of at least one text, with lengths int64 [texts]."""
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
        if hidden.is_cuda:  # one kernel in place of one a group, which take longer to launch
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
    """Copy an array to the device, without waiting for the device's running work."""
    tensor = torch.from_numpy(array)
    if device.type != "cuda":
        return tensor.to(device)
    # A copy from memory that is not pinned may wait.
    return tensor.pin_memory().to(device, non_blocking=True)


def copy_to(place: torch.Tensor, array: npt.NDArray[Any]) -> None:
    """Copy an array to a tensor of its shape, without waiting for the device's running work."""
    tensor = torch.from_numpy(array)
    place.copy_(tensor.pin_memory() if place.is_cuda else tensor, non_blocking=True)


def enable(model: Any) -> Callable[[], None]:
    """Make ``model`` use :func:`attend` as its attention.

    Returns:
        A function that restores the model's own attention.

    Raises:
        Exception: Any error of transformers if the model's attention cannot be replaced.
    """
    if isinstance(model, Bert):
        own, model.attention = model.attention, attend
        return partial(setattr, model, "attention", own)
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface

    AttentionInterface.register(NAME, attend)
    AttentionMaskInterface.register(NAME, _no_mask)
    undo = partial(model.set_attn_implementation, model.config._attn_implementation)
    try:
        model.set_attn_implementation(NAME)
        if model.config._attn_implementation != NAME:  # some models only log that they refuse it
            raise ValueError("the attention of this model cannot be chosen")
    except Exception:
        with suppress(Exception):
            undo()
        raise
    return undo


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
    """Attention within each text of the current layout, with the interface of transformers.

    Args:
        module: The attention layer.
        query: [1, heads, tokens, head dimension].
        key: Like ``query``.
        value: Like ``query``.
        attention_mask: Must be None: nothing is padded.
        scaling: Factor of the scores; 1 / sqrt(head dimension) by default.
        sliding_window: Must be None.
        dropout: Share of the attention weights that are dropped out; ignored by FlashAttention.

    Returns:
        [1, tokens, heads, head dimension], and None for the weights.

    Raises:
        ValueError: There is no current layout, or the model needs more than plain attention.
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
    outputs = []
    for start, count, length in layout.groups:
        shape, tokens = (count, length, heads, dimension), slice(start, start + count * length)
        parts = [row[tokens].view(shape).transpose(1, 2) for row in rows]
        attended = _equal_length(*parts, scale=scale, dropout=dropout).transpose(1, 2)
        if out is None:  # with gradients: concatenating is cheaper to differentiate than copying
            outputs.append(attended.reshape(count * length, heads, dimension))
        else:
            out[tokens].view(shape).copy_(attended)
    if out is None:
        outputs.append(rows[0].new_zeros(len(rows[0]) - layout.tokens, heads, dimension))
        out = torch.cat(outputs)
    return out[None], None


def _variable_length(rows: list[torch.Tensor], layout: Layout, scale: float) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    query, key, value = rows
    default_scale = query.shape[-1] ** -0.5
    if scale != default_scale:  # early versions of varlen_attn have no argument for the scale
        query = query * (scale / default_scale)
    attended = varlen_attn(
        query, key, value, layout.edges, layout.edges, layout.longest, layout.longest
    )
    assert isinstance(attended, torch.Tensor)  # a tuple only with other arguments
    return attended


def _equal_length(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *, scale: float, dropout: float
) -> torch.Tensor:
    """Attention within texts of equal length; all tensors [texts, heads, tokens, dimension]."""
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
    """Like :func:`_equal_length`, by batched products that use few different shapes."""
    texts, heads, length, dimension = query.shape
    flat = [
        torch.nn.functional.pad(
            part.reshape(texts * heads, length, dimension), (0, 0, 0, -length % STEP)
        )
        for part in (query, key, value)
    ]
    unused, outputs, start = query.new_empty(1, 1, 1), [], 0
    while start < texts:
        count = 1 << ((texts - start).bit_length() - 1)
        parts = [part[start * heads : (start + count) * heads] for part in flat]
        scores = torch.baddbmm(unused, parts[0], parts[1].transpose(1, 2), beta=0, alpha=scale)
        scores[:, :, length:] = -torch.inf
        weights = torch.nn.functional.dropout(torch.softmax(scores, dim=-1), dropout)
        outputs.append(torch.bmm(weights, parts[2])[:, :length])
        start += count
    return torch.cat(outputs).view(texts, heads, length, dimension)


def _no_mask(*_: Any, **__: Any) -> None:
    """Mask function for transformers: no mask, because nothing is padded."""


def _flash_alone(on_gpu: bool) -> AbstractContextManager[object]:
    """Allow only FlashAttention for SDPA on a GPU.

    On Hopper, torch 2.15 prefers cuDNN, which makes a new plan for each new number of texts.
    """
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
