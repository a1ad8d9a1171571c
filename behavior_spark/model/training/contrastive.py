"""Learning by contrast: losses on pairs of texts, and an encoder taught by a few labels.

Few labels: Tunstall et al. 2022, "Efficient Few-Shot Learning Without Prompts" (SetFit, arXiv
2209.11055): texts of one label are drawn together and others pushed apart, then a logistic head
is fitted. SetFit makes a list of pairs; here all pairs of a batch count at once, by the
supervised contrastive loss (Khosla et al. 2020, arXiv 2004.11362), which reads each text once
where a list of pairs reads it some forty times. In the end the weights are moved a part of the way
only, from where they were to where they were taught (Wortsman et al. 2022, "Robust fine-tuning of
zero-shot models", arXiv 2109.01903): what a few texts pull together is not all drawn to one point,
and texts unlike them keep the places they had.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy, normalize

from behavior_spark.config.tuning import Tuning
from behavior_spark.model.arrays import Integers
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.heads.labelled import TaskSplit
from behavior_spark.model.training.checkpoint import Checkpoint
from behavior_spark.model.training.distributed import world_size
from behavior_spark.model.training.optimisation import Optimisation, Rates, cut, layer_groups

# Texts whose pairs count against each other: the more, the better each is told apart.
BATCHES_AT_ONCE = 4


def supervised_contrast(
    vectors: torch.Tensor, labels: torch.Tensor, *, temperature: float
) -> torch.Tensor:
    """Mean over texts of -log of the share that texts of the same label have of all others.

    Args:
        vectors: [n, dimension], of any length.
        labels: int64 [n]; a text alone with its label is an other for the rest only.
        temperature: Small: near texts count more.
    """
    unit = normalize(vectors.float(), dim=1)
    itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    scores = (unit @ unit.T / temperature).masked_fill(itself, -1e4)
    log_share = scores - scores.logsumexp(dim=1, keepdim=True)
    same = (labels[:, None] == labels) & ~itself
    count = same.sum(dim=1)
    loss = -(log_share * same).sum(dim=1) / count.clamp(min=1)
    return loss[count > 0].mean() if bool((count > 0).any()) else loss.sum() * 0.0


def in_batch_negatives(
    left: torch.Tensor,
    right: torch.Tensor,
    *,
    temperature: float,
    equal: torch.Tensor | None = None,
) -> torch.Tensor:
    """Each of ``left`` finds its own ``right`` among all of the batch, and the other way round.

    Henderson et al. 2017 (arXiv 1705.00652); with two dropouts of one text it is SimCSE (Gao et
    al. 2021, arXiv 2104.08821).

    Args:
        left: [n, dimension], of any length; row i belongs to row i of ``right``.
        right: [n, dimension].
        temperature: Small: near texts count more.
        equal: bool [n, n], pairs off the diagonal that are no negatives either.
    """
    scores = normalize(left.float(), dim=1) @ normalize(right.float(), dim=1).T / temperature
    if equal is not None:
        own = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
        scores = scores.masked_fill(equal & ~own, -1e4)
    wanted = torch.arange(len(scores), device=scores.device)
    return (cross_entropy(scores, wanted) + cross_entropy(scores.T, wanted)) / 2


@dataclass(frozen=True, eq=False)
class _Taught:
    """Texts of one task, with their tokens, label numbers, and texts by label."""

    token_ids: list[list[int]]
    labels: Integers

    def batches(self, size: int, seed: Sequence[int]) -> list[Integers]:
        """Every text once, beside another of its label, in batches of ``size`` in random order."""
        rng = np.random.default_rng(list(seed))
        pairs: list[Integers] = []
        for label in np.unique(self.labels):
            own = rng.permutation(np.flatnonzero(self.labels == label))
            if len(own) % 2:
                own = np.append(own, own[0])
            pairs += list(own.reshape(-1, 2))
        order = np.concatenate([pairs[i] for i in rng.permutation(len(pairs))])
        return cut(order.astype(np.int64), size)


def contrast_classes(
    encoder: Encoder,
    splits: Sequence[TaskSplit],
    tuning: Tuning,
    *,
    seed: int,
    tell: Callable[[str, int, int], None],
    checkpoint: Checkpoint | None = None,
) -> None:
    """Teach ``encoder`` (fp32) in place to hold apart the labels of single-label tasks.

    Only texts to learn from are read. ``encoder.digest`` is no longer that of its weights.
    """
    encoder.inference.pack_for_training()
    tasks = [_taught(encoder, split) for split in splits]
    size = tuning.batch_size * BATCHES_AT_ONCE
    plan = [
        (task, batch)
        for epoch in range(tuning.contrast_epochs)
        for number, task in enumerate(tasks)
        for batch in task.batches(size, (seed, epoch, number))
    ]
    whole = tuning.accumulate * world_size()
    groups = layer_groups(
        encoder.model,
        rate=tuning.learning_rate,
        layer_decay=tuning.layer_decay,
        weight_decay=tuning.weight_decay,
    )
    steps = [plan[first : first + whole] for first in range(0, len(plan), whole)]
    before = [parameter.detach().clone() for parameter in encoder.model.parameters()]
    optimisation = Optimisation(
        groups,
        Rates(len(steps), tuning.warm_up, tuning.schedule),
        device=encoder.device,
        seed=seed,
        precision=tuning.precision,
    )

    def loss(part: tuple[_Taught, Integers]) -> torch.Tensor:
        task, batch = part
        vectors = encoder.forward([task.token_ids[i] for i in batch])
        labels = torch.from_numpy(task.labels[batch]).to(encoder.device)
        return supervised_contrast(vectors, labels, temperature=tuning.contrast_temperature)

    if checkpoint and (found := checkpoint.load(optimisation.parameters, optimisation.optimiser)):
        optimisation.done = found[0]["done"]
    devices = [encoder.device] if encoder.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        encoder.model.train()
        for step in steps[optimisation.done :]:
            optimisation.step(step, [len(batch) for _, batch in step], loss)
            tell("contrast", optimisation.done, len(steps))
            if checkpoint and checkpoint.due():
                progress = {"done": optimisation.done}
                checkpoint.save(optimisation.parameters, optimisation.optimiser, progress)
        encoder.model.eval()
    with torch.no_grad():
        for start, taught in zip(before, encoder.model.parameters(), strict=True):
            taught.copy_(start.lerp(taught, tuning.contrast_share))


def _taught(encoder: Encoder, split: TaskSplit) -> _Taught:
    learned = np.flatnonzero(~split.validation)
    texts = [split.texts[row] for row in learned]
    return _Taught(encoder.tokenize(texts), split.targets[learned].astype(np.int64))
