"""A causal transformer over a user's events (SASRec).

Kang & McAuley 2018, "Self-Attentive Sequential Recommendation" (arXiv 1808.09781), with layers
that normalise their input (Xiong et al. 2020) and a learned bias of attention for each distance
(Shaw et al. 2018; T5) in place of positions: an event's state then depends on events before it
alone, and not on how many are cut off. The table of items that is read is the one that is
predicted with (weight tying, Press & Wolf 2017).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from behavior_spark.errors import ModelError


@dataclass(frozen=True)
class Shape:
    """What a network consists of.

    Attributes:
        items: Number of items; codes are 1 to ``items``.
        words: Number of words that items may have; 0: items have no words.
        text_width: Width of an item's text embedding; 0: items have none.
        traits: Largest code of each trait of events.
        width: Width of states and items.
        blocks: Number of layers.
        heads: Attention heads in each.
        widening: Width of the layer between, as a multiple of ``width``.
        length: How many events back attention looks, the last event included.
        dropout: Share of numbers left out in training.
        similarity: ``dot``, or ``cosine`` divided by ``temperature``.
        temperature: Of ``cosine``.
    """

    items: int
    words: int = 0
    text_width: int = 0
    traits: Mapping[str, int] = field(default_factory=dict)
    width: int = 64
    blocks: int = 1
    heads: int = 1
    widening: int = 2
    length: int = 50
    dropout: float = 0.2
    similarity: Literal["dot", "cosine"] = "dot"
    temperature: float = 0.05

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ModelError(
                "the width of a sequence model is not a multiple of its heads",
                found=f"width {self.width}, heads {self.heads}",
                fix="choose heads that divide the width",
            )


class ItemTable(nn.Module):
    """Vectors of items: one of the item's own, plus the mean of its words', plus its text's.

    An item that training did not see has no vector of its own: its words and text speak for it.

    Args:
        shape: The network's shape.
    """

    word_ids: torch.Tensor
    word_offsets: torch.Tensor
    texts: torch.Tensor

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.own = nn.Embedding(shape.items + 1, shape.width, padding_idx=0)
        self.words = nn.Embedding(shape.words, shape.width) if shape.words else None
        self.text = (
            nn.Linear(shape.text_width, shape.width, bias=False) if shape.text_width else None
        )
        self.register_buffer("word_ids", torch.zeros(0, dtype=torch.long), persistent=False)
        self.register_buffer(
            "word_offsets", torch.zeros(shape.items + 2, dtype=torch.long), persistent=False
        )
        self.register_buffer(
            "texts", torch.zeros(shape.items + 1, shape.text_width), persistent=False
        )

    def forward(self, codes: torch.Tensor, *, own_kept: torch.Tensor | None = None) -> torch.Tensor:
        """Vectors of items.

        Args:
            codes: int64 (n,).
            own_kept: Which items keep their own vector, bool (n,); None: all.

        Returns:
            float32 (n, width).
        """
        vectors: torch.Tensor = self.own(codes)
        if own_kept is not None:
            vectors = vectors * own_kept[:, None]
        if self.words is not None:
            vectors = vectors + self._words_of(codes)
        if self.text is not None:
            vectors = vectors + self.text(self.texts[codes])
        return vectors

    def _words_of(self, codes: torch.Tensor) -> torch.Tensor:
        assert self.words is not None
        first, last = self.word_offsets[codes], self.word_offsets[codes + 1]
        counts = last - first
        offsets = counts.cumsum(0) - counts
        chosen = torch.repeat_interleave(first - offsets, counts)
        chosen = chosen + torch.arange(len(chosen), device=chosen.device)
        return functional.embedding_bag(
            self.word_ids[chosen], self.words.weight, offsets, mode="mean"
        )


class Block(nn.Module):
    """Attention to earlier events, then a layer for each event alone.

    Args:
        shape: The network's shape.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads, self.dropout = shape.heads, shape.dropout
        self.before_attention = nn.LayerNorm(shape.width)
        self.queries_keys_values = nn.Linear(shape.width, 3 * shape.width)
        self.distances = nn.Parameter(torch.zeros(shape.heads, shape.length))
        self.mixed = nn.Linear(shape.width, shape.width)
        self.before_inner = nn.LayerNorm(shape.width)
        self.inner = nn.Linear(shape.width, shape.widening * shape.width)
        self.outer = nn.Linear(shape.widening * shape.width, shape.width)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """States after this layer, float32 (users, events, width)."""
        users, events, width = states.shape
        split = self.queries_keys_values(self.before_attention(states))
        split = split.view(users, events, 3, self.heads, width // self.heads)
        queries, keys, values = split.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(
            queries,
            keys,
            values,
            attn_mask=self._bias(events),
        )
        mixed = self.mixed(mixed.transpose(1, 2).reshape(users, events, width))
        states = states + functional.dropout(mixed, self.dropout, self.training)
        outer = self.outer(functional.gelu(self.inner(self.before_inner(states))))
        return states + functional.dropout(outer, self.dropout, self.training)

    def _bias(self, events: int) -> torch.Tensor:
        places = torch.arange(events, device=self.distances.device)
        distance = places[:, None] - places
        reach = self.distances.shape[1]
        bias = self.distances[:, distance.clamp(0, reach - 1)]
        return bias.masked_fill((distance < 0) | (distance >= reach), -math.inf)


class Network(nn.Module):
    """Items and traits in, a state for each event out; an item's score is a product with it.

    Args:
        shape: What it consists of.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.table = ItemTable(shape)
        self.traits = nn.ModuleDict(
            {
                f"of_{name}": nn.Embedding(largest + 1, shape.width, padding_idx=0)
                for name, largest in shape.traits.items()
            }
        )
        self.before_blocks = nn.LayerNorm(shape.width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.blocks))
        self.after_blocks = nn.LayerNorm(shape.width)
        self.apply(_initialise)

    def states(
        self, items: torch.Tensor, traits: Mapping[str, torch.Tensor] | None = None
    ) -> torch.Tensor:
        """What is known of a user after each event.

        Args:
            items: Vectors of the items, float32 (users, events, width), zero after the last event.
            traits: Codes by name, int64 (users, events) each.

        Returns:
            float32 (users, events, width), ready for a product with ``outputs``.
        """
        for name, embedding in self.traits.items():
            items = items + embedding((traits or {})[name.removeprefix("of_")])
        states = functional.dropout(self.before_blocks(items), self.shape.dropout, self.training)
        for block in self.blocks:
            states = block(states)
        ready: torch.Tensor = self.after_blocks(states)
        if self.shape.similarity == "cosine":
            return functional.normalize(ready, dim=-1) / self.shape.temperature
        return ready

    def outputs(self, vectors: torch.Tensor) -> torch.Tensor:
        """What states are multiplied with for the items of these vectors, float32 (n, width)."""
        if self.shape.similarity == "cosine":
            return functional.normalize(vectors, dim=-1)
        return vectors


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.05)
        if module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx].zero_()
    elif isinstance(module, nn.Linear):
        # Small weights left the states near the last item, from which training hardly escaped.
        nn.init.xavier_normal_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
