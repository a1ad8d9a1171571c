"""Contrastive losses on pairs of texts, and fine-tuning an encoder by contrast on few labels.

Few labels: Tunstall et al. 2022, "Efficient Few-Shot Learning Without Prompts" (SetFit, arXiv
2209.11055): embeddings of texts with the same label are moved together, those of others apart;
then a logistic head is fitted. SetFit makes a list of pairs. Here all pairs of a batch count at
once, by the supervised contrastive loss (Khosla et al. 2020, arXiv 2004.11362), which computes
each text once instead of some forty times. The final weights are interpolated between those
before and after fine-tuning (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models",
arXiv 2109.01903), so that the embeddings of a class do not collapse to a point, and embeddings of
other texts change less.
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

# The loss is over all pairs of texts in this many batches; more pairs separate classes better.
BATCHES_AT_ONCE = 4


def supervised_contrast(
    vectors: torch.Tensor, labels: torch.Tensor, *, temperature: float
) -> torch.Tensor:
    """Supervised contrastive loss: Khosla et al. 2020 (arXiv 2004.11362), equation 2.

    For each text, the mean over the other texts with its label of -log of their softmax share
    among all other texts; then the mean over texts.

    Args:
        vectors: [n, dimension], of any length.
        labels: int64 [n]. A text without another of its label counts only as a negative.
        temperature: Divides the cosines; the smaller, the more the nearest texts count.
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
    """Cross-entropy of choosing each row's partner among all rows of the batch, both ways.

    Henderson et al. 2017 (arXiv 1705.00652); with two dropouts of one text it is SimCSE (Gao et
    al. 2021, arXiv 2104.08821).

    Args:
        left: [n, dimension], of any length; row i is the partner of row i of ``right``.
        right: [n, dimension].
        temperature: Divides the cosines; the smaller, the more the nearest texts count.
        equal: bool [n, n]; pairs outside the diagonal that must not count as negatives.
    """
    scores = normalize(left.float(), dim=1) @ normalize(right.float(), dim=1).T / temperature
    if equal is not None:
        partners = torch.eye(len(scores), dtype=torch.bool, device=scores.device)
        scores = scores.masked_fill(equal & ~partners, -1e4)
    positions = torch.arange(len(scores), device=scores.device)
    return (cross_entropy(scores, positions) + cross_entropy(scores.T, positions)) / 2


@dataclass(frozen=True, eq=False)
class _TrainingTexts:
    """Texts of one task to learn from.

    Attributes:
        token_ids: Tokens of each of n texts.
        labels: int64 [n], label numbers.
    """

    token_ids: list[list[int]]
    labels: Integers

    def batches(self, size: int, seed: Sequence[int]) -> list[Integers]:
        """Batches of at most ``size`` positions in random order, for one epoch.

        Each text is paired with another of its label; an odd one out is paired with a text that
        is then there twice.
        """
        rng = np.random.default_rng(list(seed))
        pairs: list[Integers] = []
        for label in np.unique(self.labels):
            rows = rng.permutation(np.flatnonzero(self.labels == label))
            if len(rows) % 2:
                rows = np.append(rows, rows[0])
            pairs += list(rows.reshape(-1, 2))
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
    """Fine-tune ``encoder`` (fp32) in place by contrast of the labels of single-label tasks.

    Held-out texts are not used. Afterwards ``encoder.digest`` does not match the weights.

    Args:
        encoder: Encoder, loaded with ``trainable=True``.
        splits: Single-label tasks.
        tuning: Rates, batch size, epochs, temperature.
        seed: Seed of the batches and of dropout.
        tell: Called with ``contrast``, the steps done and their number.
        checkpoint: Where to save and to continue from.
    """
    encoder.inference.pack_for_training()
    steps = _steps([_training_texts(encoder, split) for split in splits], tuning, seed)
    before = [parameter.detach().clone() for parameter in encoder.model.parameters()]
    optimisation = _optimisation(encoder, tuning, len(steps), seed)

    def loss(part: tuple[_TrainingTexts, Integers]) -> torch.Tensor:
        task, batch = part
        vectors = encoder.forward([task.token_ids[i] for i in batch])
        labels = torch.from_numpy(task.labels[batch]).to(encoder.device)
        return supervised_contrast(vectors, labels, temperature=tuning.contrast_temperature)

    if checkpoint and (saved := checkpoint.load(optimisation.parameters, optimisation.optimiser)):
        optimisation.done = saved[0]["done"]
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
        for start, tuned in zip(before, encoder.model.parameters(), strict=True):
            tuned.copy_(start.lerp(tuned, tuning.contrast_share))


def _steps(
    tasks: Sequence[_TrainingTexts], tuning: Tuning, seed: int
) -> list[list[tuple[_TrainingTexts, Integers]]]:
    """The parts of each step of all epochs: a task, and positions of its texts."""
    size = tuning.batch_size * BATCHES_AT_ONCE
    parts = [
        (task, batch)
        for epoch in range(tuning.contrast_epochs)
        for number, task in enumerate(tasks)
        for batch in task.batches(size, (seed, epoch, number))
    ]
    parts_a_step = tuning.accumulate * world_size()
    return [parts[start : start + parts_a_step] for start in range(0, len(parts), parts_a_step)]


def _optimisation(encoder: Encoder, tuning: Tuning, steps: int, seed: int) -> Optimisation:
    groups = layer_groups(
        encoder.model,
        rate=tuning.learning_rate,
        layer_decay=tuning.layer_decay,
        weight_decay=tuning.weight_decay,
    )
    return Optimisation(
        groups,
        Rates(steps, tuning.warm_up, tuning.schedule),
        device=encoder.device,
        seed=seed,
        precision=tuning.precision,
    )


def _training_texts(encoder: Encoder, split: TaskSplit) -> _TrainingTexts:
    rows = np.flatnonzero(~split.validation)
    texts = [split.texts[row] for row in rows]
    return _TrainingTexts(encoder.tokenize(texts), split.targets[rows].astype(np.int64))
