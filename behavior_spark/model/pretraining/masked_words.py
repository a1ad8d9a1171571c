"""Pretraining by masked-language modelling: learn to predict masked words.

Devlin et al. 2019 (arXiv 1810.04805), with new masks each time a text is read (Liu et al.
2019, arXiv 1907.11692); Gururangan et al. 2020, "Don't Stop Pretraining" (arXiv 2004.10964).
Texts are packed one after the other up to a number of tokens. Attention stays within each text,
so that packing does not change results. Architectures that cannot be packed are padded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from behavior_spark.config.pretraining import Pretraining
from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Integers
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.encoder.model_folder import resolve_model_folder
from behavior_spark.model.pretraining.corpus import Corpus
from behavior_spark.model.pretraining.loop import PretrainingTask, encoder_groups, optimisation_of
from behavior_spark.model.pretraining.word_head import WordHead, word_head
from behavior_spark.model.training.distributed import world_size
from behavior_spark.model.training.optimisation import Optimisation

NEW_HEAD_RATE = 1e-3
MEASURED_TEXTS = 2_000
SORTED_BATCHES = 8
NOT_ASKED = -100  # target of a token that is not to be predicted


@dataclass(frozen=True, eq=False)
class Packed:
    """Texts of one forward pass, longest first.

    Attributes:
        ids: int64 [tokens].
        lengths: int64 [texts].
        seed: Seed of its masks.
    """

    ids: Integers
    lengths: Integers
    seed: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Masker:
    """Chooses the tokens to predict and replaces them in the input.

    Attributes:
        mask: Id of the mask token.
        special: Ids that are never to be predicted, including those of mask and padding.
        vocabulary: Number of ids in the vocabulary.
        share: Share of the tokens to predict.
    """

    mask: int
    special: Integers
    vocabulary: int
    share: float

    def hide(self, ids: Integers, rng: np.random.Generator) -> tuple[Integers, Integers]:
        """Input ids, and target ids (-100 where nothing is to be predicted), int64 [tokens] each.

        Of the tokens to predict 80 % are masked, 10 % are replaced by a random token and 10 %
        are unchanged (Devlin et al. 2019). At least one token is chosen if any may be.
        """
        allowed = ~np.isin(ids, self.special)
        chosen = allowed & (rng.random(len(ids)) < self.share)
        if not chosen.any() and allowed.any():
            chosen[rng.choice(np.flatnonzero(allowed))] = True
        draw = rng.random(len(ids))
        inputs = np.where(chosen & (draw < 0.8), self.mask, ids)
        random_ids = rng.integers(0, self.vocabulary, len(ids))
        random_ids = np.where(np.isin(random_ids, self.special), ids, random_ids)
        inputs = np.where(chosen & (draw >= 0.9), random_ids, inputs)
        return inputs, np.where(chosen, ids, NOT_ASKED)


class MaskedWords(PretrainingTask[Packed]):
    """Masked-language modelling with one encoder, for :func:`.loop.train_on_corpus`."""

    def __init__(self, encoder: Encoder, source: str, settings: Pretraining) -> None:
        self._encoder, self._settings = encoder, settings
        encoder.inference.pack_for_training()
        model: Any = encoder.model
        self.head: WordHead = word_head(resolve_model_folder(source), model)
        if encoder.mask_id is None:
            raise ModelError(
                "the encoder's tokenizer has no token for a masked word",
                fix="pretrain.method=simcse or behaviour",
            )
        special = np.array(sorted(encoder.special_ids), dtype=np.int64)
        vocabulary = int(model.get_input_embeddings().weight.shape[0])
        self._masker = Masker(encoder.mask_id, special, vocabulary, settings.mask_share)
        self._alone = 0
        self._held: list[Packed] = []

    def prepare(self, corpus: Corpus) -> int:
        """Read the held-out texts; returns the number of steps, estimated from a sample."""
        mean = corpus.mean_of(lambda rows: np.array([len(i) for i in self._tokens(rows)]))
        tokens = corpus.row_count() * (1 - self._settings.held_out_share) * mean
        a_step = self._settings.batch_tokens * self._settings.accumulate * world_size()
        steps = self._settings.epochs * max(1, math.ceil(tokens / a_step))
        if self.head.is_new:
            self._alone = round(self._settings.head_steps * steps)
        held = corpus.sample(MEASURED_TEXTS, held_out=True)
        self._held = list(self._batches(held, seed=(0,)))
        return steps

    def optimisation(self, steps: int) -> Optimisation:
        """Optimiser of encoder and head; a new head is first trained alone, for some steps."""
        settings = self._settings
        groups = encoder_groups(self._encoder, settings)
        groups = [group | {"after": self._alone} for group in groups]
        rate = NEW_HEAD_RATE if self.head.is_new else settings.learning_rate
        groups.append({"params": list(self.head.parameters()), "peak": rate, "weight_decay": 0.0})
        return optimisation_of(groups, self._encoder, settings, steps=steps)

    @property
    def measured_at(self) -> int:
        """Steps before ``before`` is measured: those in which a new head is trained alone."""
        return self._alone

    def batches(self, rows: list[tuple[str, ...]], *, epoch: int, buffer: int) -> Iterator[Packed]:
        """Packed texts of some rows."""
        return self._batches(rows, seed=(self._settings.seed, epoch, buffer))

    def size(self, part: Packed) -> int:
        """Number of tokens."""
        return len(part.ids)

    def loss(self, part: Packed, *, done: int) -> torch.Tensor:
        """Mean cross-entropy of the tokens to predict.

        While a new head is trained alone, the encoder gets no gradient.
        """
        inputs, targets = self._masker.hide(part.ids, np.random.default_rng(part.seed))
        with torch.set_grad_enabled(torch.is_grad_enabled() and done >= self._alone):
            hidden = self._encoder.inference.hidden(inputs, part.lengths)
            words = self._encoder.model.get_input_embeddings().weight  # type: ignore[operator]
        places = np.flatnonzero(targets != NOT_ASKED)
        if done < self._alone:
            words = words.detach()
        target_ids = torch.from_numpy(targets[places]).to(hidden.device)
        scores = self.head(hidden[torch.from_numpy(places).to(hidden.device)], words)
        return cross_entropy(scores.float(), target_ids)

    def measure(self) -> dict[str, float]:
        """Perplexity of held-out texts: exp(mean cross-entropy), always with the same masks."""
        total, count = 0.0, 0
        with torch.inference_mode():
            for part in self._held:
                total += float(self.loss(part, done=self._alone)) * len(part.ids)
                count += len(part.ids)
        return {"perplexity": math.exp(min(50.0, total / max(count, 1)))}

    def _tokens(self, rows: Sequence[tuple[str, ...]]) -> list[list[int]]:
        return self._encoder.tokenize([row[0] for row in rows])

    def _batches(
        self, rows: Sequence[tuple[str, ...]], *, seed: tuple[int, ...]
    ) -> Iterator[Packed]:
        """Batches of texts with similar lengths, in random order."""
        tokens, budget = self._tokens(rows), self._settings.batch_tokens
        lengths = np.array([len(ids) for ids in tokens], dtype=np.int64)
        window = np.cumsum(lengths) // (SORTED_BATCHES * budget)
        order = np.lexsort((-lengths, window))
        cut = np.cumsum(lengths[order]) // budget
        numbers = np.unique(cut)
        for number in np.random.default_rng(list(seed)).permutation(numbers):
            batch = order[cut == number]
            batch = batch[np.argsort(-lengths[batch], kind="stable")]
            ids = np.concatenate([np.asarray(tokens[i], dtype=np.int64) for i in batch])
            yield Packed(ids, lengths[batch], (*seed, int(number)))
