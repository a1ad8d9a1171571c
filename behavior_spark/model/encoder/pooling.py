"""Pool the hidden states of a text's tokens into one vector, as sentence-transformers does.

With several methods joined by ``+``, their vectors are concatenated in that order. Source:
``sentence_transformers/sentence_transformer/modules/pooling.py``, version 6; weighted mean:
Muennighoff 2022, "SGPT" (arXiv 2202.08904).
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from behavior_spark.model.encoder.packed import Layout


def pool_padded(hidden: torch.Tensor, read: torch.Tensor, methods: str) -> torch.Tensor:
    """Vectors, float32 [texts, methods x dimension], of texts padded on the right.

    Args:
        hidden: Hidden states, float32 [texts, longest, dimension].
        read: int [texts, longest], 1 for a token, 0 for padding.
        methods: Pooling methods joined by ``+``, such as ``mean``.
    """
    return _joined([_PADDED[method](hidden, read) for method in methods.split("+")])


def pool_packed(hidden: torch.Tensor, layout: Layout, texts: int, methods: str) -> torch.Tensor:
    """Like :func:`pool_padded`, for packed texts.

    Args:
        hidden: Hidden states, float32 [tokens, dimension].
        layout: Layout of the texts; there may be empty texts after the last one.
        texts: Number of texts, without empty ones.
        methods: Pooling methods joined by ``+``, such as ``mean``.
    """
    return _joined([_PACKED[method](hidden, layout)[:texts] for method in methods.split("+")])


def _joined(vectors: list[torch.Tensor]) -> torch.Tensor:
    return vectors[0] if len(vectors) == 1 else torch.cat(vectors, dim=1)


def _padded_sum(hidden: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return (hidden * weights).sum(dim=1)


def _padded_mean(hidden: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
    weights = read.unsqueeze(-1).float()
    return _padded_sum(hidden, weights) / weights.sum(dim=1).clamp(min=1e-9)


def _padded_root(hidden: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
    weights = read.unsqueeze(-1).float()
    return _padded_sum(hidden, weights) / weights.sum(dim=1).clamp(min=1e-9).sqrt()


def _padded_weighted(hidden: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
    weights = (read.cumsum(dim=1) * read).unsqueeze(-1).float()
    return _padded_sum(hidden, weights) / weights.sum(dim=1).clamp(min=1e-9)


def _padded_max(hidden: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
    return hidden.masked_fill(read.unsqueeze(-1) == 0, -torch.inf).amax(dim=1)


def _padded_first(hidden: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
    return hidden[:, 0]


def _padded_last(hidden: torch.Tensor, read: torch.Tensor) -> torch.Tensor:
    last = (read.sum(dim=1) - 1).clamp(min=0)
    return hidden[torch.arange(len(hidden), device=hidden.device), last]


def _packed_weighted(hidden: torch.Tensor, layout: Layout) -> torch.Tensor:
    lengths = _lengths(layout)
    starts = torch.repeat_interleave(layout.edges[:-1].long(), lengths, output_size=len(hidden))
    places = torch.arange(1, len(hidden) + 1, device=hidden.device) - starts
    weights = (lengths * (lengths + 1) / 2).clamp(min=1e-9)[:, None]
    # Computed from the mean, which is fast on a CPU.
    return layout.means(hidden * places[:, None].float()) * lengths[:, None] / weights


def _packed_root(hidden: torch.Tensor, layout: Layout) -> torch.Tensor:
    means = layout.means(hidden)
    return means * _lengths(layout)[: len(means), None].float().sqrt()


def _packed_max(hidden: torch.Tensor, layout: Layout) -> torch.Tensor:
    if hidden.is_cuda:
        return torch.segment_reduce(hidden, "max", offsets=layout.edges, axis=0, unsafe=True)
    return torch.cat(
        [
            hidden[start : start + count * length].view(count, length, -1).amax(dim=1)
            for start, count, length in layout.groups
        ]
    )


def _packed_first(hidden: torch.Tensor, layout: Layout) -> torch.Tensor:
    return hidden[layout.edges[:-1].long().clamp(max=len(hidden) - 1)]


def _packed_last(hidden: torch.Tensor, layout: Layout) -> torch.Tensor:
    return hidden[layout.edges[1:].long() - 1]


def _lengths(layout: Layout) -> torch.Tensor:
    return layout.edges.long().diff()


_PADDED: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "mean": _padded_mean,
    "cls": _padded_first,
    "max": _padded_max,
    "mean_sqrt_len_tokens": _padded_root,
    "weightedmean": _padded_weighted,
    "lasttoken": _padded_last,
}
_PACKED: dict[str, Callable[[torch.Tensor, Layout], torch.Tensor]] = {
    "mean": lambda hidden, layout: layout.means(hidden),
    "cls": _packed_first,
    "max": _packed_max,
    "mean_sqrt_len_tokens": _packed_root,
    "weightedmean": _packed_weighted,
    "lasttoken": _packed_last,
}
