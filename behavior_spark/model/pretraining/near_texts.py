"""Draw the vectors of texts together that belong together, and push the others apart.

``simcse``: a text belongs to itself under another dropout (Gao et al. 2021, arXiv 2104.08821).
``behaviour``: two texts of one session belong together, such as titles bought together, or a
search and what was clicked; the others of the batch do not (Henderson et al. 2017, arXiv
1705.00652).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import normalize

from behavior_spark.config.pretraining import Pretraining
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.pretraining.corpus import Corpus, Row
from behavior_spark.model.pretraining.loop import PretrainingTask, encoder_groups, optimisation_of
from behavior_spark.model.training.contrastive import in_batch_negatives
from behavior_spark.model.training.distributed import world_size
from behavior_spark.model.training.optimisation import Optimisation

MEASURED_ROWS = 1_024
CANDIDATES = 256


@dataclass(frozen=True, eq=False)
class Pairs:
    """Texts of one forward pass; ``left[i]`` belongs to ``right[i]``."""

    left: list[str]
    right: list[str]


class NearTexts(PretrainingTask[Pairs]):
    """Contrastive training of one encoder, for :func:`.loop.train_on_corpus`."""

    def __init__(self, encoder: Encoder, settings: Pretraining) -> None:
        self._encoder, self._settings = encoder, settings
        self._held: list[Row] = []
        encoder.inference.pack_for_training()

    def prepare(self, corpus: Corpus) -> int:
        """The number of steps; reads the held-out rows."""
        corpus.mean_of(lambda rows: np.ones(len(rows), dtype=np.int64))  # refuses too few
        self._held = corpus.sample(MEASURED_ROWS, held_out=True)
        rows = corpus.row_count() * (1 - self._settings.held_out_share)
        a_step = self._settings.batch_texts * self._settings.accumulate * world_size()
        return self._settings.epochs * max(1, math.ceil(rows / a_step))

    def optimisation(self, steps: int) -> Optimisation:
        """All layers at one rate."""
        groups = encoder_groups(self._encoder, self._settings)
        return optimisation_of(groups, self._encoder, self._settings, steps=steps)

    @property
    def measured_at(self) -> int:
        """Before any step."""
        return 0

    def batches(self, rows: list[Row], *, epoch: int, buffer: int) -> Iterator[Pairs]:  # noqa: ARG002
        """Forward passes over some rows, in their order; one row alone teaches nothing."""
        size = self._settings.batch_texts
        for first in range(0, len(rows), size):
            part = rows[first : first + size]
            if len(part) > 1:
                yield Pairs([row[0] for row in part], [row[-1] for row in part])

    def size(self, part: Pairs) -> int:
        """Pairs."""
        return len(part.left)

    def loss(self, part: Pairs, *, done: int) -> torch.Tensor:  # noqa: ARG002
        """Cross-entropy of finding each text's own among the batch's."""
        tokens = self._encoder.tokenize([*part.left, *part.right])
        vectors, count = self._encoder.forward(tokens), len(part.left)
        left, right = vectors[:count], vectors[count:]
        equal = _equal(part).to(left.device)
        return in_batch_negatives(left, right, temperature=self._settings.temperature, equal=equal)

    def measure(self) -> dict[str, float]:
        """On held-out rows: ``found``, how often a text's own is the nearest of 256, for pairs.

        And ``uniformity`` of the vectors (Wang and Isola 2020, arXiv 2005.10242): lower is more
        evenly spread.
        """
        left = self._vectors([row[0] for row in self._held])
        away = torch.pdist(left).square().mul(-2).exp().mean().log() if len(left) > 1 else None
        figures = {} if away is None else {"uniformity": float(away)}
        if self._settings.method == "behaviour":
            right = self._vectors([row[-1] for row in self._held])
            figures["found"] = _found(self._held, left, right)
        return figures

    def _vectors(self, texts: Sequence[str]) -> torch.Tensor:
        vectors = np.nan_to_num(self._encoder.embed(list(texts)).embeddings)
        return normalize(torch.from_numpy(vectors), dim=1)


def _equal(part: Pairs) -> torch.Tensor:
    """bool [n, n]: rows that share a text are no negatives of each other."""
    number = {text: i for i, text in enumerate(dict.fromkeys([*part.left, *part.right]))}
    left = torch.tensor([number[text] for text in part.left])
    right = torch.tensor([number[text] for text in part.right])
    same = (left[:, None] == left) | (right[:, None] == right)
    return same | (left[:, None] == right) | (right[:, None] == left)


def _found(rows: Sequence[Row], left: torch.Tensor, right: torch.Tensor) -> float:
    """Share of rows whose own right text is the nearest of the block's; equal texts are own."""
    hits = 0
    for first in range(0, len(rows), CANDIDATES):
        own = slice(first, first + CANDIDATES)
        nearest = (left[own] @ right[own].T).argmax(dim=1).tolist()
        block = rows[own]
        hits += sum(block[n][-1] == row[-1] for row, n in zip(block, nearest, strict=True))
    return hits / max(1, len(rows))
