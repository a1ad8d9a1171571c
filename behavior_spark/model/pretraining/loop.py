"""The training loop of pretraining, common to all methods."""

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
    """Parameter groups of the encoder, with one learning rate for all layers."""
    return layer_groups(
        encoder.model,
        rate=settings.learning_rate,
        layer_decay=1.0,
        weight_decay=settings.weight_decay,
    )


def optimisation_of(
    groups: list[dict[str, Any]], encoder: Encoder, settings: Pretraining, *, steps: int
) -> Optimisation:
    """The optimiser of these parameter groups, with the rates and precision of the settings."""
    return Optimisation(
        groups,
        Rates(steps, settings.warm_up),
        device=encoder.device,
        seed=settings.seed,
        precision=settings.precision,
    )


class PretrainingTask(Protocol, Generic[Part]):
    """A method of pretraining: its batches, its loss and its measures.

    A part is the input of one forward pass.
    """

    def prepare(self, corpus: Corpus) -> int:
        """Read the held-out rows; returns the estimated number of steps."""
        ...

    def optimisation(self, steps: int) -> Optimisation:
        """The optimiser of all parameters that are trained."""
        ...

    @property
    def measured_at(self) -> int:
        """Number of steps after which the figures ``before`` are measured."""
        ...

    def batches(self, rows: list[Row], *, epoch: int, buffer: int) -> Iterator[Part]:
        """Parts of some rows; equal arguments give equal parts."""
        ...

    def size(self, part: Part) -> int:
        """Weight of a part among the parts of a step, such as its tokens."""
        ...

    def loss(self, part: Part, *, done: int) -> torch.Tensor:
        """Mean loss of a part, after ``done`` steps."""
        ...

    def measure(self) -> dict[str, float]:
        """Figures on held-out rows; the encoder is in evaluation mode."""
        ...


@dataclass(frozen=True)
class Outcome:
    """The result of pretraining.

    Attributes:
        steps: Number of steps.
        before: Figures on held-out rows before training.
        after: Figures on held-out rows after training.
        curve: Mean loss of each hundredth of the steps.
    """

    steps: int
    before: dict[str, float]
    after: dict[str, float]
    curve: list[float] = field(default_factory=list)


@dataclass
class _State:
    """Progress of a run, saved in its checkpoint.

    Attributes:
        epoch: The present epoch, from 0.
        batch: Steps of this epoch that have been handed out.
        before: Figures measured before training; None until measured.
        curve: Mean losses so far.
        losses: Losses since the last point of the curve.
    """

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
    """Train ``encoder`` in place; a killed run continues from its checkpoint.

    Args:
        encoder: Encoder, loaded with ``trainable=True``.
        task: Method of pretraining.
        corpus: Texts.
        settings: Epochs, rates and batch sizes.
        checkpoint: Where to save and to continue from.
        tell: Called with ``pretrain``, the steps done and their estimated number.

    Raises:
        ModelError: The corpus is too small, or the checkpoint cannot be read.
    """
    steps = task.prepare(corpus)
    optimisation = task.optimisation(steps)
    state = _State()
    if saved := checkpoint.load(optimisation.parameters, optimisation.optimiser):
        progress = saved[0]
        optimisation.done = progress.pop("done")
        state = _State(**progress)
    steps_a_point = max(1, steps // CURVE_POINTS)

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
            if len(state.losses) == steps_a_point:
                state.curve.append(sum(state.losses) / steps_a_point)
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
    """The parts of each step, starting after ``state``, which is updated before each yield.

    ``state.batch`` is the number of steps of the epoch handed out so far, this one included.
    """
    parts_a_step = settings.accumulate * world_size()
    for epoch in range(state.epoch, settings.epochs):
        skip, state.epoch = state.batch, epoch
        parts: list[Any] = []
        number = 0
        for buffer, rows in enumerate(corpus.epoch(seed=settings.seed, epoch=epoch)):
            for part in task.batches(rows, epoch=epoch, buffer=buffer):
                parts.append(part)
                if len(parts) == parts_a_step:
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
