"""Optimisation of a training run: learning rates, precision, gradients, random numbers.

AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101) with a rate that rises linearly and then
falls by a cosine or linearly, smaller in lower layers (Howard and Ruder 2018, arXiv 1801.06146).
The random numbers of a step depend only on the seed and the step's number, so that a run
continued from a checkpoint draws the same ones as a run without a break.
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
    """Schedule of the learning rate over a run, as a share of its peak.

    Attributes:
        total: Number of steps of the run.
        warm_up: Share of the steps in which the rate rises.
        schedule: How the rate falls to zero afterwards.
    """

    total: int
    warm_up: float
    schedule: Literal["cosine", "linear"] = "cosine"

    def at(self, step: int, *, after: int = 0) -> float:
        """Share of the peak at ``step``, counted from 0; 0 in the first ``after`` steps."""
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
    """Parameter groups of an encoder, with a smaller rate in each lower layer.

    The last layer and parameters after it learn at ``rate``, the layer below at ``rate *
    layer_decay``, and so on; token embeddings have the smallest rate. Weight decay applies to
    matrices only, not to biases and norms.
    """
    matches = {name: _LAYER.search(name) for name, _ in model.named_parameters()}
    layers = 1 + max((int(match.group(1)) for match in matches.values() if match), default=-1)
    groups: dict[tuple[int, bool], list[torch.nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        match = matches[name]
        outside = layers if "embed" in name else 0
        depth = layers - 1 - int(match.group(1)) if match else outside
        groups.setdefault((depth, parameter.ndim > 1), []).append(parameter)
    return [
        {
            "params": parameters,
            "peak": rate * layer_decay**depth,
            "weight_decay": weight_decay if decays else 0.0,
        }
        for (depth, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]


class Optimisation:
    """The optimiser of one run and its steps.

    Attributes:
        done: Number of steps done.
        parameters: Trained parameters, in the order of the groups.
        optimiser: AdamW over them.
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
        """Make one step on a batch in parts; each process computes its share of the parts.

        Parts are weighted by their size. So the step does not depend on how the batch is cut, or
        on the number of processes.

        Args:
            parts: Parts of the batch.
            sizes: Size of each part, such as its number of texts.
            loss_of: Computes a part's mean loss; None if the part has nothing to learn from.

        Returns:
            Mean loss over the parts that this process computed.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * self.rates.at(self.done, after=group.get("after", 0))
        self.optimiser.zero_grad(set_to_none=True)
        batch_size, total_loss, loss_size = sum(sizes), 0.0, 0
        for number, (part, size) in enumerate(zip(parts, sizes, strict=True)):
            if number % distributed.world_size() != distributed.rank():
                continue
            torch.manual_seed(self._part_seed(number))
            with self.autocast():
                loss = loss_of(part)
            if loss is not None:
                (loss * (size / batch_size)).backward()  # type: ignore[no-untyped-call]
                total_loss, loss_size = total_loss + float(loss.detach()) * size, loss_size + size
        distributed.sum_gradients(self.parameters)
        torch.nn.utils.clip_grad_norm_(self.parameters, MAX_GRADIENT_NORM)
        self.optimiser.step()
        self.done += 1
        return total_loss / max(loss_size, 1)

    def autocast(self) -> AbstractContextManager[object]:
        """bf16 matrix products if chosen; weights, sums and the optimiser stay in fp32."""
        if not self._bf16:
            return nullcontext()
        return torch.autocast(self._device.type, dtype=torch.bfloat16)

    def _part_seed(self, part: int) -> int:
        return int(np.random.SeedSequence([self._seed, self.done, part]).generate_state(1)[0])


def epoch_batches(
    lengths: npt.NDArray[np.int64], size: int, *, seed: int, epoch: int, sorted_batches: int = 8
) -> list[npt.NDArray[np.int64]]:
    """Batches of one epoch in random order, of texts with similar lengths to save padding.

    Texts are shuffled, sorted by length within every ``sorted_batches`` batches, cut into
    batches, and the batches shuffled again. The same seed and epoch give the same batches in
    every process.

    Args:
        lengths: int64 [n], length of each text.
        size: Texts in a batch.
        seed: Seed of the run.
        epoch: Number of the epoch.
        sorted_batches: Number of batches that are sorted together.

    Returns:
        Positions of texts, int64, for each batch.
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
    """Cut a batch into parts of at most ``size``."""
    return [batch[first : first + size] for first in range(0, len(batch), size)]
