"""Texts to vectors: one frozen transformer, pooled as sentence-transformers does.

Mean pooling with L2 normalisation follows Reimers and Gurevych 2019, "Sentence-BERT"
(arXiv 1908.10084). Only safetensors weights from a local folder are loaded: no pickle,
no remote code, no hub.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from behavior_spark.errors import ModelError
from behavior_spark.model.encoder.devices import is_native, use_threads
from behavior_spark.model.encoder.embedding import EmbeddingBatch, begin_embedding
from behavior_spark.model.encoder.inference import Inference
from behavior_spark.model.encoder.loading import load_parts
from behavior_spark.model.encoder.model_folder import (
    backbone_digest,
    effective_options,
    resolve_model_folder,
)
from behavior_spark.model.encoder.options import EncoderOptions
from behavior_spark.model.encoder.sentence_modules import SentenceModules, read_sentence_modules
from behavior_spark.model.encoder.steps import load_steps
from behavior_spark.model.encoder.tokens import Tokenizer, Tokens

__all__ = [
    "Encoder",
    "EncoderOptions",
    "backbone_digest",
    "resolve_model_folder",
    "unknown_share",
    "use_threads",
]

# Embedded once by each load, to see that the encoder can.
PROBE = "a short text"


class Encoder:
    """A loaded encoder with its tokenizer.

    Attributes:
        digest: 16 hex characters, see :func:`backbone_digest`.
        dimension: Length of one embedding.
        options: Options in effect (``max_length`` capped at the model's positions).
        device: Device of the weights.
        model: The torch module, in evaluation mode unless training changes it.
        inference: Runs the forward pass.
        load_seconds: Seconds that loading took.
        special_ids: Ids of special tokens, which are no part of a text.
        mask_id: Id of the mask token; None without one.
        tokenizer: The transformers tokenizer, unchanged.
        last_failure: Reason of the latest failure to embed a text; None without a failure.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        tokenizer: Any,
        *,
        digest: str,
        options: EncoderOptions,
        trainable: bool = False,
        folder: Path | None = None,
    ) -> None:
        modules = SentenceModules() if folder is None else read_sentence_modules(folder)
        self.model, self.tokenizer = model, tokenizer
        self.digest, self.options = digest, options
        config: Any = model.config
        self.device = next(model.parameters()).device
        width = int(config.hidden_size) * len(options.pooling.split("+"))
        steps, self.dimension = load_steps(folder or Path(), modules.steps, width)
        self.load_seconds = 0.0
        self.last_failure: str | None = None
        self._tokenizer = Tokenizer(tokenizer, options, lower_case=modules.lower_case)
        pad_id = int(tokenizer.pad_token_id or 0)
        self.special_ids = frozenset(int(token_id) for token_id in tokenizer.all_special_ids)
        self.mask_id: int | None = tokenizer.mask_token_id
        self._unknown_id = -1 if tokenizer.unk_token_id is None else int(tokenizer.unk_token_id)
        self._no_words = np.array(sorted(self.special_ids - {self._unknown_id}), dtype=np.int64)
        self.inference = Inference(
            model,
            options,
            pad_id=pad_id,
            steps=None if steps is None else steps.to(self.device),
            fast=not trainable,
        )

    @classmethod
    def load(
        cls,
        source: str,
        options: EncoderOptions,
        *,
        device: str | None = None,
        trainable: bool = False,
    ) -> Encoder:
        """Load an encoder.

        Args:
            source: Folder, ``package:`` name or ``hub:`` name of the encoder.
            options: How texts become vectors.
            device: Torch device; by default cuda if there is one, else cpu.
            trainable: Keep the model's own layers. Otherwise layers are replaced by faster ones
                that can only be used for inference.

        Raises:
            ModelError: The folder, its weights or its tokenizer cannot be used, or a trial text
                cannot be embedded.
        """
        start = time.monotonic()
        folder = resolve_model_folder(source)
        options = effective_options(folder, options)
        digest = backbone_digest(source, options)
        target = device or ("cuda" if torch.cuda.is_available() else "cpu")
        frozen_on_cpu = not trainable and target == "cpu"
        model, tokenizer = load_parts(folder, options, frozen_on_cpu=frozen_on_cpu)
        try:
            model.to(target)
        except (RuntimeError, AssertionError) as error:
            raise ModelError(
                f"the encoder cannot be moved to device {target!r}",
                found=type(error).__name__,
                fix="name a device that this machine has, such as 'cpu'",
            ) from error
        encoder = cls(
            model.eval(),
            tokenizer,
            digest=digest,
            options=options,
            trainable=trainable,
            folder=folder,
        )
        encoder._check_it_embeds(source)
        encoder.load_seconds = time.monotonic() - start
        return encoder

    def _check_it_embeds(self, source: str) -> None:
        batch = self.embed([PROBE])
        if batch.errors[0] in ("model_error", "out_of_memory"):
            raise ModelError(
                f"the encoder {source} cannot embed a text",
                found=self.last_failure,
                fix="check its weights, or use another encoder",
            )

    @property
    def runs_natively(self) -> bool:
        """Whether the processor computes in the encoder's precision itself."""
        return is_native(self.options.precision, self.device)

    @property
    def tokenizer_threads(self) -> int:
        """Number of threads for :meth:`prepare`: 1 if the model runs on the CPU, else up to 8."""
        return 1 if self.device.type == "cpu" else min(8, torch.get_num_threads())

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of each text, special tokens included, cut to ``max_length``, unpadded."""
        return [pieces[0] for pieces, _ in self._tokenizer.pieces(texts)]

    def forward(self, token_ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Pooled vectors, float32 [texts, dimension], of one batch; with gradients if enabled."""
        vectors = self.inference.batch(token_ids)
        if self.options.normalize:
            vectors = torch.nn.functional.normalize(vectors, dim=1)
        return vectors

    def prepare(self, texts: Sequence[str | None] | pa.Array) -> Tokens:
        """Tokenise, cut and sort texts. May run in another thread than :meth:`embed_tokens`."""
        return self._tokenizer.tokens(texts)

    def embed(
        self, texts: Sequence[str | None] | pa.Array, *, token_budget: int | None = None
    ) -> EmbeddingBatch:
        """Embed each text; a text that cannot be embedded gets an error code.

        In fp32, the order of texts and the other texts of a batch change a result by less than
        1e-5.

        Args:
            texts: n texts; None is ``null_text``, only white space is ``empty_text``.
            token_budget: Number of tokens in one forward pass; the default depends on the device.

        Raises:
            ModelError: ``token_budget`` is less than 1.
        """
        return self.embed_tokens(self.prepare(texts), token_budget=token_budget)

    def embed_tokens(self, tokens: Tokens, *, token_budget: int | None = None) -> EmbeddingBatch:
        """Like :meth:`embed`, for texts tokenised by :meth:`prepare`."""
        return self.begin(tokens, token_budget=token_budget)()

    def begin(
        self, tokens: Tokens, *, token_budget: int | None = None
    ) -> Callable[[], EmbeddingBatch]:
        """Start :meth:`embed_tokens` on the device, without waiting for the result.

        Begin the next texts before you call the returned function, so that a GPU is never idle.

        Returns:
            A function that waits for the device and returns the embeddings.

        Raises:
            ModelError: ``token_budget`` is less than 1.
        """
        budget = self.inference.token_budget if token_budget is None else token_budget
        if budget < 1:
            raise ModelError("token_budget must be at least 1", found=str(budget))
        return begin_embedding(self, tokens, budget)

    def count_words(self, tokens: Tokens) -> tuple[int, int]:
        """Number of tokens that are parts of texts, and how many of them are unknown tokens."""
        special = int(np.isin(tokens.ids, self._no_words).sum())
        return len(tokens.ids) - special, int((tokens.ids == self._unknown_id).sum())

    def pooled(self, tokens: Tokens, start: int, stop: int) -> torch.Tensor:
        """Vectors of the pieces ``start`` to ``stop``, float32 [pieces, dimension].

        They are not normalised.
        """
        first_token, last_token = tokens.starts[start], tokens.starts[stop]
        return self.inference.pooled(tokens.ids[first_token:last_token], tokens.lengths[start:stop])

def unknown_share(encoder: Encoder, texts: Sequence[str]) -> float:
    """Share of unknown tokens among the texts' tokens; 0 without a token.

    It is high for texts in a script that the encoder was not trained on, or if the folder's
    vocabulary is incomplete.
    """
    tokens = encoder.prepare(texts)
    words, unknown = encoder.count_words(tokens)
    return unknown / words if words else 0.0
