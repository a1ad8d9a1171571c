"""The forward pass of a frozen model: packed without padding if it can be, else padded."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from behavior_spark.model.encoder import packed
from behavior_spark.model.encoder.bert import Bert
from behavior_spark.model.encoder.linear import can_pack, pack_linears
from behavior_spark.model.encoder.loading import quiet_transformers
from behavior_spark.model.encoder.model_folder import OFFSET_POSITIONS
from behavior_spark.model.encoder.options import EncoderOptions
from behavior_spark.model.encoder.pooling import pool_packed, pool_padded
from behavior_spark.model.encoder.replays import Replays, Shape

# Tokens in one forward pass. Small batches stay in a CPU's cache (MiniLM on comments: 147
# texts/s a core at 1,024 tokens, 131 at 4,096); a GPU needs large batches.
CPU_TOKEN_BUDGET = 1024
GPU_TOKEN_BUDGET = 65536

_logger = logging.getLogger(__name__)


class Inference:
    """Pooled vectors of token ids, by the fastest method that gives the same result as the model.

    The constructor tries packing and, on a CPU, oneDNN layers on a few texts of different
    lengths. A method is not used if it fails or gives another result than the unchanged model.
    It also tries padding: of some architectures (FNet, Nystromformer, ConvBERT, MobileBERT) padding
    changes vectors, and their batches contain texts of one length alone.
    With ``fast``, ``model`` is changed in place and cannot be trained or saved afterwards.
    ``steps`` are applied after pooling.

    Attributes:
        packs: Whether texts are packed without padding.
        pads: Whether texts of different lengths may be padded and run together.
        onednn: Whether linear layers are oneDNN's.
        token_budget: Tokens in one forward pass if the caller gives no number.
        replays: Recorded forward passes, on CUDA if texts are packed; else None.
    """

    def __init__(
        self,
        model: Any,
        options: EncoderOptions,
        *,
        pad_id: int,
        steps: torch.nn.Module | None = None,
        fast: bool = True,
    ) -> None:
        self.model, self._options, self._pad_id = model, options, pad_id
        self._pooling = "mean" if options.pooling == "auto" else options.pooling
        self._steps = steps
        self._device: torch.device = next(model.parameters()).device
        self._dtype: torch.dtype = next(model.parameters()).dtype
        offset = getattr(model.config, "model_type", "") in OFFSET_POSITIONS
        self._padding = int(model.config.pad_token_id or 0) if offset else None
        on_cpu = self._device.type == "cpu"
        self.token_budget = CPU_TOKEN_BUDGET if on_cpu else GPU_TOKEN_BUDGET
        self.packs = self.onednn = False
        self.pads = True
        self.replays: Replays | None = None
        with torch.inference_mode():
            self._try_padding()
            if fast:
                self._try_fast_methods(on_cpu)

    def cut(self, lengths: npt.NDArray[np.int64], budget: int) -> list[tuple[int, int]]:
        """Cut pieces, which are sorted longest first, into batches.

        Args:
            lengths: int64 [pieces], descending.
            budget: Most tokens of a batch, padding included.

        Returns:
            First and last + 1 piece of each batch; a batch has at least one piece.
        """
        batches, start, edges = [], 0, np.concatenate([[0], np.cumsum(lengths)])
        while start < len(lengths):
            if self.packs:
                stop = int(np.searchsorted(edges, edges[start] + budget, side="right")) - 1
            else:
                stop = start + budget // int(lengths[start])
            stop = min(max(stop, start + 1), len(lengths))
            batches.append((start, stop))
            start = stop
        return batches

    def tokens_run(self, lengths: npt.NDArray[np.int64]) -> int:
        """Tokens that the model computes for one batch of these lengths, padding included."""
        if self.replays is not None:
            return Shape.of(lengths).tokens
        together = not self.packs and self.pads
        return int(lengths.max() * len(lengths) if together else lengths.sum())

    def pooled(self, ids: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> torch.Tensor:
        """Pooled vectors after all steps, float32 [pieces, dimension], not normalised at the end.

        Args:
            ids: int64 [tokens], the pieces one after the other.
            lengths: int64 [pieces], tokens of each piece.
        """
        if self.packs:
            vectors = self._packed(ids, lengths)
        elif self.pads:
            vectors = self._padded(ids, lengths)
        else:
            vectors = self._without_padding(ids, lengths)
        return vectors if self._steps is None else self._steps(vectors)

    def batch(self, token_ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Like :meth:`pooled`, for texts in any order; keeps gradients if they are enabled."""
        lengths = np.array([len(ids) for ids in token_ids], dtype=np.int64)
        order = np.argsort(-lengths, kind="stable")
        flat = np.concatenate([np.asarray(token_ids[i], dtype=np.int64) for i in order])
        vectors = self.pooled(flat, lengths[order])
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return vectors[packed.on_device(back, self._device)]

    def hidden(self, ids: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> torch.Tensor:
        """Last hidden states [tokens, dimension]; keeps gradients if they are enabled.

        Read them before the next call, which may overwrite them on CUDA. Arguments as in
        :meth:`pooled`.
        """
        if self.packs:
            return self._packed_states(ids, lengths)[0]
        states, read = self._padded_states(ids, lengths)
        return states[read.bool()]

    def pack_for_training(self) -> None:
        """Use packing from now on if a trial agrees with padding; gradients still work.

        Attention stays within each text. Packing halves the time of a step on a CPU, and saves
        more if lengths are mixed. On CUDA in half precision, attention weights then have no
        dropout.
        """
        with torch.inference_mode():
            ids, lengths = self._trial()
            self._try_packing(ids, lengths, self.pooled(ids, lengths))

    def _padded(self, ids: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> torch.Tensor:
        states, on_device = self._padded_states(ids, lengths)
        return pool_padded(states.float(), on_device, self._pooling)

    def _without_padding(
        self, ids: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
    ) -> torch.Tensor:
        """Like :meth:`_padded`, one forward pass for each run of pieces of one length."""
        changes = np.flatnonzero(np.diff(lengths)) + 1
        parts = np.split(lengths, changes)
        ends = np.cumsum([part.sum() for part in parts])
        pairs = zip(np.split(ids, ends[:-1]), parts, strict=True)
        return torch.cat([self._padded(of_part, part) for of_part, part in pairs])

    def _padded_states(
        self, ids: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Hidden states [pieces, longest, dimension], and their mask: 1 for a token, 0 padding."""
        read = np.arange(lengths.max()) < lengths[:, None]
        rows = np.full(read.shape, self._pad_id, dtype=np.int64)
        rows[read] = ids
        on_device = packed.on_device(read.astype(np.int64), self._device)
        states = self.model(
            input_ids=packed.on_device(rows, self._device), attention_mask=on_device
        )
        hidden: torch.Tensor = states.last_hidden_state
        return hidden, on_device

    def _packed(self, ids: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]) -> torch.Tensor:
        hidden, layout = self._packed_states(ids, lengths)
        return pool_packed(hidden.float(), layout, len(lengths), self._pooling)

    def _packed_states(
        self, ids: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
    ) -> tuple[torch.Tensor, packed.Layout]:
        positions = self._positions(ids, lengths)
        if self.replays is not None and not torch.is_grad_enabled():
            states, layout = self.replays.states(ids, positions, lengths)
            return states[: len(ids)], layout
        layout = packed.Layout.of(lengths, self._device)
        # On a CPU use few shapes: see packed.STEP.
        spare = -len(ids) % packed.STEP if self._device.type == "cpu" else 0
        on_device, places = (
            packed.on_device(np.pad(row, (0, spare)), self._device) for row in (ids, positions)
        )
        states = packed.packed_hidden(self.model, on_device, places, layout)
        return states[: len(ids)], layout

    def _positions(
        self, ids: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int64]:
        """Position ids of packed pieces, int64 [tokens], equal to those the model would assign."""
        starts = np.repeat(np.cumsum(lengths) - lengths, lengths)
        if self._padding is None:
            return np.arange(len(ids)) - starts
        # RoBERTa does not count padding tokens, even if the text contains one.
        read = ids != self._padding
        before = np.concatenate([[0], np.cumsum(read)])
        return np.where(read, before[1:] - before[starts], 0) + self._padding

    def _try_fast_methods(self, on_cpu: bool) -> None:
        if self._device.type not in ("cpu", "cuda"):
            return
        ids, lengths = self._trial()
        try:
            expected = self.pooled(ids, lengths)
        except Exception as error:  # real texts will fail too, with an error code
            _logger.warning("the trial batch failed (%s)", type(error).__name__)
            return
        # FlashAttention has no float32; in float32 on a GPU padding is faster than packing.
        if on_cpu or self._dtype in (torch.bfloat16, torch.float16):
            self._try_packing(ids, lengths, expected)
        if self.packs and not on_cpu:
            forward = partial(packed.packed_hidden, self.model)
            self.replays = Replays(forward, self._device)
        if on_cpu and can_pack(self._dtype):
            undo = pack_linears(self.model)
            self.onednn = self._agrees(ids, lengths, expected)
            if not self.onednn:
                undo()

    def _try_padding(self) -> None:
        """Set ``pads``: whether texts have the vectors in a padded batch that they have alone."""
        # Dropout changes vectors too; and of a plain BERT it is known.
        if self.model.training or isinstance(self.model, Bert):
            return
        ids, lengths = self._trial()
        self.pads = False
        try:
            alone = self.pooled(ids, lengths)
        except Exception as error:  # real texts will fail too, with an error code
            _logger.info("the trial without padding failed (%s)", type(error).__name__)
            return
        finally:
            self.pads = True
        self.pads = self._agrees(ids, lengths, alone, least=0.999999)
        if not self.pads:
            _logger.info("padding changes vectors: batches contain texts of one length")

    def _try_packing(
        self, ids: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64], expected: torch.Tensor
    ) -> None:
        undo: Callable[[], None] | None = None
        try:
            with quiet_transformers():
                undo = packed.enable(self.model)
            self.packs = True
            self.packs = self._agrees(ids, lengths, expected)
        except Exception as error:  # ImportError, ValueError: not with this model or version
            _logger.info("attention cannot be packed (%s)", type(error).__name__)
            self.packs = False
        if undo is not None and not self.packs:
            with contextlib.suppress(Exception), quiet_transformers():
                undo()

    def _agrees(
        self,
        ids: npt.NDArray[np.int64],
        lengths: npt.NDArray[np.int64],
        expected: torch.Tensor,
        *,
        least: float = 0.99999,
    ) -> bool:
        try:
            vectors = self.pooled(ids, lengths)
        except Exception as error:
            _logger.info("a faster method cannot run here (%s)", type(error).__name__)
            return False
        if self._dtype != torch.float32:
            least = 0.999
        cosines = torch.nn.functional.cosine_similarity(vectors, expected, dim=1)
        return bool((cosines >= least).all())

    def _trial(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Token ids of made-up texts: one as long as can be (to 160), two equal ones, one short."""
        longest = min(self._options.length, 160)
        lengths = np.array([longest, max(3, longest // 4), max(3, longest // 4), 3])
        ids = np.arange(lengths.sum(), dtype=np.int64) * 7919 % int(self.model.config.vocab_size)
        ids[ids == self._pad_id] += 1
        return np.where(ids < self.model.config.vocab_size, ids, 0), lengths
