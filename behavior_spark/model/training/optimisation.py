"""The optimiser's side of a training run: rates, precision, gradients, and random numbers.

AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) with a rate that rises linearly and falls by
a cosine or a line, smaller in lower layers (Howard and Ruder 2018, arXiv 1801.06146). Random
numbers are drawn anew for each step from the seed and the step's number, so that a run which
goes on from a checkpoint draws what an unbroken one draws.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from behavior_spark.model.encoder.devices import is_native
from behavior_spark.model.training import distributed

MAX_GRADIENT_NORM = 1.0
_LAYER = re.compile(r"(?:^|\.)(?:layers?|blocks?|h)\.(\d+)\.")

Part = TypeVar("Part")


@dataclass(frozen=True)
class Rates:
    """How the rate moves over a run, as a share of its peak.

    Attributes:
        total: Steps of the run.
        warm_up: Share of them in which the rate rises.
        schedule: How it falls afterwards, to zero.
    """

    total: int
    warm_up: float
    schedule: Literal["cosine", "linear"] = "cosine"

    def at(self, step: int, *, after: int = 0) -> float:
        """The share at a step, counted from 0; none in the first ``after`` steps."""
        total, step = self.total - after, step - after
        if step < 0:
            return 0.0
        rising = max(1, round(self.warm_up * total))
        if step < rising:
            return (step + 1) / (rising + 1)
        left = max(0.0, (total - step) / max(1, total - rising))
        return left if self.schedule == "linear" else 0.5 * (1 - math.cos(math.pi * left))


def layer_groups(
    model: torch.nn.Module, *, rate: float, layer_decay: float, weight_decay: float
) -> list[dict[str, Any]]:
    """Parameter groups of an encoder: a smaller rate in each lower layer, no decay of vectors.

    The last layer and what comes after it learn at ``rate``, the one below at ``rate *
    layer_decay``, and the embeddings lowest of all. Biases and norms are not decayed.
    """
    found = {name: _LAYER.search(name) for name, _ in model.named_parameters()}
    layers = 1 + max((int(match.group(1)) for match in found.values() if match), default=-1)
    groups: dict[tuple[int, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        match = found[name]
        above = layers if "embed" in name else 0
        depth = layers - 1 - int(match.group(1)) if match else above
        groups.setdefault((depth, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "peak": rate * layer_decay**depth,
            "weight_decay": weight_decay if decays else 0.0,
        }
        for (depth, decays), parameters in sorted(groups.items(), key=lambda each: each[0])
    ]


class Optimisation:
    """Steps of one run.

    Attributes:
        done: Steps made.
        parameters: All that learn, in the order of the groups.
        optimiser: AdamW.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        rates: Rates,
        *,
        device: torch.device,
        seed: int,
        precision: Literal["auto", "fp32", "bf16"] = "fp32",
    ) -> None:
        self.optimiser = torch.optim.AdamW(groups, lr=0.0)
        self.parameters = [p for group in self.optimiser.param_groups for p in group["params"]]
        self.rates, self.done = rates, 0
        self._device, self._seed = device, seed
        self._bf16 = precision == "bf16" or (precision == "auto" and is_native("bf16", device))

    def step(
        self,
        parts: Sequence[Part],
        sizes: Sequence[int],
        loss_of: Callable[[Part], torch.Tensor | None],
    ) -> float:
        """One step over a batch in parts; this process computes its share of them.

        A part counts by its size, so that two processes, or two parts in one process, give what
        the whole batch gives at once.

        Args:
            parts: The batch, cut.
            sizes: Of each part, such as its texts.
            loss_of: A part's mean loss, None where it has nothing to learn from.

        Returns:
            The batch's mean loss over the parts of this process.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * self.rates.at(self.done, after=group.get("after", 0))
        self.optimiser.zero_grad(set_to_none=True)
        whole, own, seen = sum(sizes), 0.0, 0
        for number, (part, size) in enumerate(zip(parts, sizes, strict=True)):
            if number % distributed.world_size() != distributed.rank():
                continue
            torch.manual_seed(self._numbered(number))
            with self.autocast():
                loss = loss_of(part)
            if loss is not None:
                (loss * (size / whole)).backward()  # type: ignore[no-untyped-call]
                own, seen = own + float(loss.detach()) * size, seen + size
        distributed.sum_gradients(self.parameters)
        torch.nn.utils.clip_grad_norm_(self.parameters, MAX_GRADIENT_NORM)
        self.optimiser.step()
        self.done += 1
        return own / max(seen, 1)

    def autocast(self) -> AbstractContextManager[object]:
        """bf16 products where chosen; weights, sums and the optimiser stay fp32."""
        if not self._bf16:
            return nullcontext()
        return torch.autocast(self._device.type, dtype=torch.bfloat16)

    def _numbered(self, part: int) -> int:
        return int(np.random.SeedSequence([self._seed, self.done, part]).generate_state(1)[0])


def epoch_batches(
    lengths: npt.NDArray[np.int64], size: int, *, seed: int, epoch: int, sorted_batches: int = 8
) -> list[npt.NDArray[np.int64]]:
    """Batches of one epoch in random order: texts of like length together, so little is padding.

    Texts are shuffled, sorted by length within runs of a few batches, cut, and the batches
    shuffled again. The same seed and epoch give the same batches in any process.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    batches = []
    for first in range(0, len(order), size * sorted_batches):
        part = order[first : first + size * sorted_batches]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches += [part[i : i + size] for i in range(0, len(part), size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def cut(batch: npt.NDArray[np.int64], size: int) -> list[npt.NDArray[np.int64]]:
    """A batch in parts of at most ``size``."""
    return [batch[first : first + size] for first in range(0, len(batch), size)]
