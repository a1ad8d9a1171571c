"""What is known of items beside their names: words, and an embedding of their text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Floats
from behavior_spark.model.sequence.network import ItemTable


@dataclass(frozen=True, eq=False)
class ItemFacts:
    """Words and text embeddings of items, in the order of their codes.

    Attributes:
        words: Words of each item, such as brand and categories; None: items have none.
        texts: float32 (items, text width), zero where there is no text; None: items have none.
    """

    words: Sequence[Sequence[str]] | None = None
    texts: Floats | None = None

    def known_words(self) -> tuple[str, ...]:
        """All words, in order."""
        return tuple(sorted({word for bag in self.words or () for word in bag}))

    def followed_by(self, more: ItemFacts) -> ItemFacts:
        """Facts of these items and of more.

        Raises:
            ModelError: One has words or texts that the other lacks.
        """
        if (self.words is None, self.texts is None) != (more.words is None, more.texts is None):
            raise ModelError(
                "new items need what the model's items have: words, or text embeddings",
                fix="give both the same kinds of facts",
            )
        words = None if self.words is None else [*self.words, *(more.words or ())]
        texts = None
        if self.texts is not None and more.texts is not None:
            texts = np.concatenate([self.texts, more.texts])
        return ItemFacts(words, texts)

    def put_into(self, table: ItemTable, words: Sequence[str]) -> None:
        """Give them to a network's table; words that it does not know are left out.

        Args:
            table: The table of as many items.
            words: Words that the network knows, by code from 0.
        """
        if self.words is not None:
            code = {word: number for number, word in enumerate(words)}
            bags = [[], *([code[w] for w in bag if w in code] for bag in self.words)]
            offsets = np.cumsum([0, *(len(bag) for bag in bags)])
            table.word_ids = torch.tensor([c for bag in bags for c in bag], dtype=torch.long)
            table.word_offsets = torch.from_numpy(offsets.astype(np.int64))
        if self.texts is not None:
            padded = np.concatenate([np.zeros_like(self.texts[:1]), self.texts])
            table.texts = torch.from_numpy(padded.astype(np.float32))
