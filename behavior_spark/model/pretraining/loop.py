"""The loop that trains an encoder on a corpus, whatever it learns there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

import torch

from behavior_spark.config.pretraining import Pretraining
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.pretraining.corpus import Corpus, Row
from behavior_spark.model.training.checkpoint import Checkpoint
from behavior_spark.model.training.distributed import from_first, world_size
from behavior_spark.model.training.optimisation import Optimisation, Rates, layer_groups

CURVE_POINTS = 100

Part = TypeVar("Part")


def encoder_groups(encoder: Encoder, settings: Pretraining) -> list[dict[str, Any]]:
    """The encoder's parameters, all layers at one rate."""
    return layer_groups(
        encoder.model,
        rate=settings.learning_rate,
        layer_decay=1.0,
        weight_decay=settings.weight_decay,
    )


def optimisation_of(
    groups: list[dict[str, Any]], encoder: Encoder, settings: Pretraining, *, steps: int
) -> Optimisation:
    """The optimiser of these parameters, as the settings say."""
    return Optimisation(
        groups,
        Rates(steps, settings.warm_up),
        device=encoder.device,
        seed=settings.seed,
        precision=settings.precision,
    )


class PretrainingTask(Protocol, Generic[Part]):
    """What is learned: how rows become forward passes, their loss, and what is measured."""

    def prepare(self, corpus: Corpus) -> int:
        """Read what is needed of the corpus; the number of steps, estimated."""
        ...

    def optimisation(self, steps: int) -> Optimisation:
        """Parameters and rates."""
        ...

    @property
    def measured_at(self) -> int:
        """Steps after which the figures `before` are taken."""
        ...

    def batches(self, rows: list[Row], *, epoch: int, buffer: int) -> Iterator[Part]:
        """Forward passes over some rows, the same each time."""
        ...

    def size(self, part: Part) -> int:
        """What a pass counts by, among the passes of a step."""
        ...

    def loss(self, part: Part, *, done: int) -> torch.Tensor:
        """Mean loss of a pass after so many steps."""
        ...

    def measure(self) -> dict[str, float]:
        """Figures on held-out rows, in evaluation mode."""
        ...


@dataclass(frozen=True)
class Outcome:
    """What pretraining did.

    Attributes:
        steps: Steps made.
        before: Figures on held-out rows before it.
        after: The same after it.
        curve: Mean loss over each hundredth of the steps.
    """

    steps: int
    before: dict[str, float]
    after: dict[str, float]
    curve: list[float] = field(default_factory=list)


@dataclass
class _State:
    """How far a run is: what a checkpoint keeps beside the weights."""

    epoch: int = 0
    batch: int = 0
    before: dict[str, float] | None = None
    curve: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


def train_on_corpus(
    encoder: Encoder,
    task: PretrainingTask[Any],
    corpus: Corpus,
    settings: Pretraining,
    *,
    checkpoint: Checkpoint,
    tell: Callable[[str, int, int], None],
) -> Outcome:
    """Train ``encoder`` in place; a run that was killed goes on where it was.

    Raises:
        ModelError: The corpus is too small, or the checkpoint cannot be read.
    """
    steps = task.prepare(corpus)
    optimisation = task.optimisation(steps)
    state = _State()
    if found := checkpoint.load(optimisation.parameters, optimisation.optimiser):
        optimisation.done = found[0].pop("done")
        state = _State(**found[0])
    width = max(1, steps // CURVE_POINTS)

    def save() -> None:
        progress = vars(state) | {"done": optimisation.done}
        checkpoint.save(optimisation.parameters, optimisation.optimiser, progress)

    devices = [encoder.device] if encoder.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        for parts in _steps(task, corpus, settings, state):
            if state.before is None and optimisation.done >= task.measured_at:
                state.before = _measured(encoder, task)
            encoder.model.train()
            loss = partial(task.loss, done=optimisation.done)
            sizes = [task.size(part) for part in parts]
            state.losses.append(optimisation.step(parts, sizes, loss))
            if len(state.losses) == width:
                state.curve.append(sum(state.losses) / width)
                state.losses.clear()
            tell("pretrain", min(optimisation.done, steps), steps)
            if checkpoint.due():
                save()
        encoder.model.eval()
        before = state.before or _measured(encoder, task)
        after = _measured(encoder, task)
    return Outcome(optimisation.done, before, after, state.curve)


def _steps(
    task: PretrainingTask[Any], corpus: Corpus, settings: Pretraining, state: _State
) -> Iterator[list[Any]]:
    """The passes of each step, from where ``state`` is, which moves along.

    ``state.batch`` counts the steps of an epoch that were given out, this one included.
    """
    together = settings.accumulate * world_size()
    for epoch in range(state.epoch, settings.epochs):
        skip, state.epoch = state.batch, epoch
        parts: list[Any] = []
        number = 0
        for buffer, rows in enumerate(corpus.epoch(seed=settings.seed, epoch=epoch)):
            for part in task.batches(rows, epoch=epoch, buffer=buffer):
                parts.append(part)
                if len(parts) == together:
                    number += 1
                    if number > skip:
                        state.batch = number
                        yield parts
                    parts = []
        if parts and number + 1 > skip:
            state.batch = number + 1
            yield parts
        state.batch = 0


def _measured(encoder: Encoder, task: PretrainingTask[Any]) -> dict[str, float]:
    encoder.model.eval()
    return from_first(task.measure)
