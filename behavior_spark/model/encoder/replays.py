"""CUDA graphs of a packed forward pass, so that the GPU does not wait for Python.

The layers of a small model run for less time than Python takes to launch them (MiniLM on an H200:
1 ms of Python for 1 ms of work a layer, and more while other threads tokenize). A graph launches
all of them at once. A graph is valid for one shape, so batches are filled up to one of a few
shapes with tokens and texts whose results are not used.
https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from behavior_spark.model.encoder import packed

# The tokens of a batch are filled up to a multiple of TOKENS; fewer, to a power of two of at
# least FEWEST.
TOKENS = 8192
FEWEST = 256
# FlashAttention works in blocks of this many tokens of a text.
BLOCK = 128
# A shape is recorded when it occurs for the third time: recording takes as long as two batches.
WORTH_RECORDING = 3

_logger = logging.getLogger(__name__)

Forward = Callable[[torch.Tensor, torch.Tensor, packed.Layout], torch.Tensor]


class Shape(NamedTuple):
    """Shape of a graph: the most tokens, texts, and tokens of the longest text."""

    tokens: int
    texts: int
    longest: int

    @classmethod
    def of(cls, lengths: npt.NDArray[np.int64]) -> Shape:
        """The smallest shape for texts of these lengths, int64 [texts]."""
        tokens = int(lengths.sum())
        room = -(-tokens // TOKENS) * TOKENS if tokens > TOKENS else _power_of_two(tokens, FEWEST)
        return cls(room, _power_of_two(len(lengths), 16), -(-int(lengths.max()) // BLOCK) * BLOCK)

    def fill(
        self, ids: npt.NDArray[np.int64], positions: npt.NDArray[np.int64],
        lengths: npt.NDArray[np.int64],
    ) -> list[npt.NDArray[Any]]:  # fmt: skip
        """Ids and positions, int64 [tokens], and edges, int32 [texts + 1], of this shape.

        Additional texts are empty.
        """
        edges = np.full(self.texts + 1, len(ids), dtype=np.int32)
        edges[0], edges[1 : len(lengths) + 1] = 0, np.cumsum(lengths)
        spare = (0, self.tokens - len(ids))
        return [np.pad(ids, spare), np.pad(positions, spare), edges]


@dataclass(frozen=True, eq=False)
class _Recorded:
    graph: Any
    inputs: list[torch.Tensor]
    states: torch.Tensor


class Replays:
    """Hidden states of packed texts on CUDA; shapes that occur often are recorded as graphs.

    Args:
        forward: From ids and positions [tokens] and their layout to states [tokens, dimension].
        device: Device of the model.
    """

    def __init__(self, forward: Forward, device: torch.device) -> None:
        self._forward, self._device = forward, device
        self._seen: dict[Shape, int] = {}
        self._recorded: dict[Shape, _Recorded] = {}
        self._pool: Any = None
        self._records = True

    def states(
        self,
        ids: npt.NDArray[np.int64],
        positions: npt.NDArray[np.int64],
        lengths: npt.NDArray[np.int64],
    ) -> tuple[torch.Tensor, packed.Layout]:
        """Hidden states [at least tokens, dimension], and the layout of the texts.

        The next call may overwrite the states. The layout has empty texts at its end.
        """
        shape = Shape.of(lengths)
        arrays = shape.fill(ids, positions, lengths)
        self._seen[shape] = self._seen.get(shape, 0) + 1
        if shape not in self._recorded and self._seen[shape] >= WORTH_RECORDING and self._records:
            self._record(shape)
        if recorded := self._recorded.get(shape):
            for tensor, array in zip(recorded.inputs, arrays, strict=True):
                packed.copy_to(tensor, array)
            recorded.graph.replay()
            return recorded.states, packed.Layout([], recorded.inputs[2], shape.longest, len(ids))
        inputs = [packed.on_device(array, self._device) for array in arrays]
        layout = packed.Layout([], inputs[2], shape.longest, len(ids))
        return self._forward(inputs[0], inputs[1], layout), layout

    def forget(self) -> None:
        """Free all graphs and their memory, and record none from now on."""
        self._records = False
        self._recorded.clear()
        self._pool = None

    def _record(self, shape: Shape) -> None:
        ids, positions = (
            torch.zeros(shape.tokens, dtype=torch.int64, device=self._device) for _ in range(2)
        )
        edges = torch.zeros(shape.texts + 1, dtype=torch.int32, device=self._device)
        layout = packed.Layout([], edges, shape.longest, shape.tokens)
        forward = partial(self._forward, ids, positions, layout)
        try:
            graph, states = self._captured(forward)
        except Exception as error:  # such as a model that synchronises with the device
            _logger.info("a forward pass cannot be recorded (%s)", type(error).__name__)
            self.forget()
            return
        self._recorded[shape] = _Recorded(graph, [ids, positions, edges], states)

    def _captured(self, forward: Callable[[], torch.Tensor]) -> tuple[Any, torch.Tensor]:
        graph = torch.cuda.CUDAGraph()
        # All graphs share one memory pool: they run one after another, and a call's states are
        # not used after the next call.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            states = forward()
        self._pool = self._pool or graph.pool()
        return graph, states


def _power_of_two(count: int, least: int) -> int:
    return max(least, 1 << (count - 1).bit_length())
