"""Token ids to vectors, batch by batch; a batch that fails is tried in halves, down to one text."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from behavior_spark.model.arrays import Floats
from behavior_spark.model.encoder import packed
from behavior_spark.model.encoder.tokens import Tokens

if TYPE_CHECKING:
    from behavior_spark.model.encoder.encoder import Encoder

_logger = logging.getLogger(__name__)
_NOT_FINITE = "vectors with numbers that are not finite, from weights that are not or overflow"


@dataclass(frozen=True, eq=False)
class EmbeddingBatch:
    """The result of :meth:`Encoder.embed`, in the order of the texts.

    Attributes:
        embeddings: float32 [n, dimension]; a row with an error is all NaN.
        token_counts: int32 [n], tokens that the model read, special tokens included; 0 for a text
            that was not tokenised.
        truncated: bool [n], whether only a part of the text was read.
        errors: For each text None, or ``null_text``, ``empty_text``, ``out_of_memory`` or
            ``model_error``.
        tokens_run: Number of tokens computed, padding included.
        words_read: Number of tokens that are parts of texts, without special tokens.
        unknown: Number of those that are the vocabulary's unknown token.
    """

    embeddings: Floats
    token_counts: npt.NDArray[np.int32]
    truncated: npt.NDArray[np.bool_]
    errors: list[str | None]
    tokens_run: int = 0
    words_read: int = 0
    unknown: int = 0


def begin_embedding(
    encoder: Encoder, tokens: Tokens, token_budget: int
) -> Callable[[], EmbeddingBatch]:
    """Start embedding tokens on the encoder's device; see :meth:`Encoder.begin`."""
    lengths = tokens.lengths
    pooled = torch.full((len(lengths), encoder.dimension), torch.nan, device=encoder.device)
    failed: dict[int, str] = {}
    tokens_run = 0
    with torch.inference_mode():
        for start, stop in encoder.inference.cut(lengths, token_budget):
            tokens_run += encoder.inference.tokens_run(lengths[start:stop])
            _run(encoder, tokens, start, stop, pooled, failed)
        on_host, copied = _copied_back(_by_row(encoder, tokens, pooled))

    def finish() -> EmbeddingBatch:
        if copied is not None:
            copied.synchronize()
        vectors, errors = on_host.numpy(), list(tokens.errors)
        for piece, code in failed.items():
            errors[int(tokens.rows[piece])] = code
        for row in np.flatnonzero(np.isnan(vectors[:, 0])).tolist():
            if errors[row] is None:
                errors[row], encoder.last_failure = "model_error", _NOT_FINITE
        if failures := sum(error in ("out_of_memory", "model_error") for error in errors):
            _logger.warning("%d of %d texts could not be embedded", failures, len(errors))
        return EmbeddingBatch(
            vectors,
            tokens.token_counts,
            tokens.truncated,
            errors,
            tokens_run,
            *encoder.count_words(tokens),
        )

    return finish


def _run(
    encoder: Encoder,
    tokens: Tokens,
    start: int,
    stop: int,
    pooled: torch.Tensor,
    errors: dict[int, str],
) -> None:
    """Fill ``pooled`` for one batch; if it fails, try its halves, down to single pieces."""
    code = None
    try:
        pooled[start:stop] = encoder.pooled(tokens, start, stop)
    except Exception as error:  # halves are tried below, where its frames no longer hold memory
        code = "out_of_memory" if _is_out_of_memory(error) else "model_error"
        # The model reads only numbers, so its error message cannot contain a text.
        first_line = str(error).partition("\n")[0][:200]
        encoder.last_failure = f"{type(error).__name__}: {first_line}"
        _logger.warning("a batch of %d failed (%s)", stop - start, type(error).__name__)
    if code is None:
        return
    if code == "out_of_memory" and encoder.device.type == "cuda":
        if encoder.inference.replays is not None:
            encoder.inference.replays.forget()
        torch.cuda.empty_cache()
        # Later batches would fail in the same way, and each failure costs time.
        encoder.inference.token_budget = max(1024, encoder.inference.token_budget // 2)
    if stop - start == 1:
        errors[start] = code
        return
    middle = (start + stop) // 2
    _run(encoder, tokens, start, middle, pooled, errors)
    _run(encoder, tokens, middle, stop, pooled, errors)


def _by_row(encoder: Encoder, tokens: Tokens, pooled: torch.Tensor) -> torch.Tensor:
    """Vectors of texts from those of their pieces, float32 [texts, dimension].

    A text's vector is the mean of its pieces, weighted by their tokens, and normalised if the
    options say so. It is all NaN for a text without pieces or with a number that is not
    finite.
    """
    counts = np.bincount(tokens.rows, minlength=len(tokens.errors))
    order = np.argsort(tokens.rows, kind="stable")
    share = tokens.lengths[order] / tokens.token_counts[tokens.rows[order]]
    weights, places, parts = (
        packed.on_device(array, encoder.device)
        for array in (share.astype(np.float32), order, counts)
    )
    vectors = torch.segment_reduce(
        pooled[places] * weights[:, None], "sum", lengths=parts, axis=0, unsafe=True
    )
    if encoder.options.normalize:
        vectors = torch.nn.functional.normalize(vectors, dim=1)
    usable = torch.isfinite(vectors).all(dim=1) & (parts > 0)
    return torch.where(usable[:, None], vectors, torch.nan)


def _copied_back(pooled: torch.Tensor) -> tuple[torch.Tensor, torch.cuda.Event | None]:
    """A copy on the host, and the event that marks its completion (None if it is complete)."""
    if pooled.device.type != "cuda":
        return pooled.cpu(), None
    with torch.cuda.device(pooled.device):
        on_host = torch.empty(pooled.shape, pin_memory=True)
        on_host.copy_(pooled, non_blocking=True)
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied.record()
    return on_host, copied


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError)
        and any(words in str(error).lower() for words in ("out of memory", "can't allocate memory"))
    )
