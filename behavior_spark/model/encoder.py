"""Texts to vectors: one frozen transformer, pooled as sentence-transformers does.

Mean pooling with L2 normalisation follows Reimers and Gurevych 2019, "Sentence-BERT"
(arXiv 1908.10084). Only safetensors weights from a local folder are loaded: no pickle,
no remote code, no hub.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from behavior_spark.errors import ModelError
from behavior_spark.model.model_folder import (
    CHARACTERS_PER_TOKEN,
    EncoderOptions,
    backbone_digest,
    effective_options,
    resolve_model_folder,
)

__all__ = [
    "EmbeddingBatch",
    "Encoder",
    "EncoderOptions",
    "backbone_digest",
    "cached_encoder",
    "resolve_model_folder",
]

Floats = npt.NDArray[np.float32]

# Tokens (padding included) in one forward pass. On 2 CPU cores MiniLM did 921 short texts/s at
# 1,024 tokens against 556 at 8,192, and 132 against 67 on comments: small batches stay in cache.
CPU_TOKEN_BUDGET = 1024
GPU_TOKEN_BUDGET = 65536

_logger = logging.getLogger(__name__)
_encoders: dict[tuple[str, EncoderOptions, str], Encoder] = {}
_encoders_lock = threading.Lock()


@dataclass(frozen=True, eq=False)
class EmbeddingBatch:
    """What :meth:`Encoder.embed` found, in the order of the texts given.

    Attributes:
        embeddings: float32 [n, dimension]; a row with an error is all NaN.
        token_counts: int32 [n], tokens the model saw (special tokens and truncation
            included); 0 where the text was not tokenised.
        errors: per row None, or ``null_text``, ``empty_text``, ``out_of_memory``
            or ``model_error``.
    """

    embeddings: Floats
    token_counts: npt.NDArray[np.int32]
    errors: list[str | None]


class Encoder:
    """A loaded backbone with its tokenizer.

    Attributes:
        digest: 16 hex characters, see :func:`backbone_digest`.
        dimension: Length of one embedding.
        options: Options in effect (``max_length`` capped at the model's positions).
        device: Where the weights are.
        model: The torch module, in evaluation mode unless a trainer changes it.
    """

    def __init__(
        self, model: torch.nn.Module, tokenizer: Any, *, digest: str, options: EncoderOptions
    ) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.digest, self.options = digest, options
        config: Any = model.config
        self.dimension = int(config.hidden_size)
        self.device = next(model.parameters()).device
        self._pad_id = int(tokenizer.pad_token_id or 0)

    @classmethod
    def load(cls, source: str, options: EncoderOptions, *, device: str | None = None) -> Encoder:
        """Load the backbone at ``source`` on ``device`` (default: cuda if there is one, else cpu).

        Raises:
            ModelError: The folder, its weights or its tokenizer cannot be used.
        """
        folder = resolve_model_folder(source)
        options = effective_options(folder, options)
        digest = backbone_digest(source, options)
        model, tokenizer = _load_parts(folder, options)
        target = device or ("cuda" if torch.cuda.is_available() else "cpu")
        try:
            model.to(target)
        except (RuntimeError, AssertionError) as error:
            raise ModelError(
                f"the encoder cannot be moved to device {target!r}",
                found=type(error).__name__,
                fix="name a device that this machine has, such as 'cpu'",
            ) from error
        return cls(model.eval(), tokenizer, digest=digest, options=options)

    def tokenize(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids per text, special tokens included, truncated at ``max_length``, unpadded."""
        limit = self.options.max_length * CHARACTERS_PER_TOKEN
        clean = [
            text.lstrip()[:limit].encode("utf-8", errors="replace").decode("utf-8")
            for text in texts
        ]
        encoded = self.tokenizer(
            clean, padding=False, truncation=True, max_length=self.options.max_length
        )
        return [list(ids) for ids in encoded["input_ids"]]

    def forward(self, token_ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Pooled float32 vectors [rows, dimension] of one padded batch; keeps gradients if on."""
        ids, mask = _pad(token_ids, self._pad_id)
        ids, mask = ids.to(self.device), mask.to(self.device)
        hidden = self.model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        return _pool(hidden, mask, self.options)

    def embed(
        self, texts: Sequence[str | None], *, token_budget: int | None = None
    ) -> EmbeddingBatch:
        """Embed each text; a row that cannot be embedded gets an error code, the others go on.

        In fp32 the result does not depend on order or batch mates beyond 1e-5.

        Args:
            texts: n texts; None is ``null_text``, only white space is ``empty_text``.
            token_budget: Rows times longest row in one forward pass; default by device.

        Raises:
            ModelError: ``token_budget`` is less than 1.
        """
        if token_budget is None:
            token_budget = CPU_TOKEN_BUDGET if self.device.type == "cpu" else GPU_TOKEN_BUDGET
        if token_budget < 1:
            raise ModelError("token_budget must be at least 1", found=str(token_budget))
        result = EmbeddingBatch(
            np.full((len(texts), self.dimension), np.nan, dtype=np.float32),
            np.zeros(len(texts), dtype=np.int32),
            [_text_error(text) for text in texts],
        )
        rows = {row: text for row, text in enumerate(texts) if text and not result.errors[row]}
        token_ids = self._tokenize_rows(rows, result.errors)
        for row, ids in token_ids.items():
            result.token_counts[row] = len(ids)
        with torch.inference_mode():
            for batch in _cut_batches(token_ids, token_budget):
                self._embed_rows(batch, token_ids, result)
        if failed := sum(error in ("out_of_memory", "model_error") for error in result.errors):
            _logger.warning("%d of %d texts could not be embedded", failed, len(texts))
        return result

    def _tokenize_rows(
        self, rows: dict[int, str], errors: list[str | None]
    ) -> dict[int, list[int]]:
        """Token ids by row: all in one call, or one by one where that call fails."""
        if not rows:
            return {}
        try:
            return dict(zip(rows, self.tokenize(list(rows.values())), strict=True))
        except Exception as error:
            _logger.warning("tokenising a batch failed (%s)", type(error).__name__)
        found: dict[int, list[int]] = {}
        for row, text in rows.items():
            try:
                found[row] = self.tokenize([text])[0]
            except Exception:
                errors[row] = "model_error"
        return found

    def _embed_rows(
        self, batch: list[int], token_ids: dict[int, list[int]], result: EmbeddingBatch
    ) -> None:
        """Fill ``result`` for one batch; on failure halve it, down to the row at fault."""
        code = None
        try:
            vectors = self.forward([token_ids[row] for row in batch]).cpu().numpy()
        except Exception as error:  # the halves are tried below, when its frames hold no memory
            code = "out_of_memory" if _is_out_of_memory(error) else "model_error"
            _logger.warning("a batch of %d failed (%s)", len(batch), type(error).__name__)
        if code is None:
            result.embeddings[batch] = vectors
            for index in np.flatnonzero(~np.isfinite(vectors).all(axis=1)):
                result.embeddings[batch[index]] = np.nan
                result.errors[batch[index]] = "model_error"
            return
        if code == "out_of_memory" and self.device.type == "cuda":
            torch.cuda.empty_cache()
        if len(batch) == 1:
            result.errors[batch[0]] = code
            return
        middle = len(batch) // 2
        self._embed_rows(batch[:middle], token_ids, result)
        self._embed_rows(batch[middle:], token_ids, result)


def describe_device() -> str:
    """The device an encoder would use here, in words."""
    if torch.cuda.is_available():
        return f"cuda: {torch.cuda.get_device_name(0)}"
    return f"cpu, {torch.get_num_threads()} threads"


def use_threads(count: int) -> None:
    """Let torch use so many threads in this process: a task's share of the machine."""
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)


def cached_encoder(source: str, options: EncoderOptions, device: str | None = None) -> Encoder:
    """The process's one encoder for these arguments, loaded when first asked for.

    Raises:
        ModelError: As :meth:`Encoder.load`.
    """
    key = (source, options, device or "")
    with _encoders_lock:
        if key not in _encoders:
            _encoders[key] = Encoder.load(source, options, device=device)
        return _encoders[key]


def _load_parts(folder: Path, options: EncoderOptions) -> tuple[torch.nn.Module, Any]:
    dtype = torch.bfloat16 if options.precision == "bf16" else torch.float32
    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet_transformers(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # an unused pooler missing from the weights is made at random
            model, report = AutoModel.from_pretrained(
                folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **local
            )
            tokenizer = AutoTokenizer.from_pretrained(folder, use_fast=True, **local)
    except Exception as error:
        raise ModelError(
            f"transformers cannot load the model in {folder}",
            found=type(error).__name__,
            fix="give a Hugging Face folder saved with safetensors and a fast tokenizer",
        ) from error
    missing = sorted(key for key in report["missing_keys"] if not key.startswith("pooler."))
    missing += sorted(str(key) for key in report["mismatched_keys"])
    if missing or not tokenizer.is_fast:
        raise ModelError(
            f"the model in {folder} is not complete",
            found=f"{len(missing)} tensors missing or misshapen, such as {missing[0]}"
            if missing
            else "a slow tokenizer",
            fix="save the whole model and its fast tokenizer (tokenizer.json) again",
        )
    return model, tokenizer


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep progress bars and load reports out of the job's log, and put the settings back."""
    level, bars = (
        transformers_logging.get_verbosity(),
        transformers_logging.is_progress_bar_enabled(),
    )
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()


def _text_error(text: str | None) -> str | None:
    if text is None:
        return "null_text"
    return None if text.strip() else "empty_text"


def _cut_batches(token_ids: dict[int, list[int]], budget: int) -> Iterator[list[int]]:
    """Rows longest first (memory trouble shows at once), cut where rows x longest > budget."""
    order = sorted(token_ids, key=lambda row: len(token_ids[row]), reverse=True)
    start = 0
    while start < len(order):
        size = max(1, budget // max(1, len(token_ids[order[start]])))
        yield order[start : start + size]
        start += size


def _pad(token_ids: Sequence[Sequence[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    longest = max(len(ids) for ids in token_ids)
    padded = np.full((len(token_ids), longest), pad_id, dtype=np.int64)
    mask = np.zeros_like(padded)
    for row, ids in enumerate(token_ids):
        padded[row, : len(ids)] = ids
        mask[row, : len(ids)] = 1
    return torch.from_numpy(padded), torch.from_numpy(mask)


def _pool(hidden: torch.Tensor, mask: torch.Tensor, options: EncoderOptions) -> torch.Tensor:
    if options.pooling == "cls":
        vectors = hidden[:, 0]
    else:
        weights = mask.unsqueeze(-1).float()
        vectors = (hidden * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1e-9)
    return torch.nn.functional.normalize(vectors, dim=1) if options.normalize else vectors


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError)
        and any(words in str(error).lower() for words in ("out of memory", "can't allocate memory"))
    )
