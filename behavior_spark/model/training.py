"""Train an encoder and the heads of several tasks together, and keep the best epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from behavior_spark.model.encoder import Encoder
from behavior_spark.model.fitting import best_thresholds, classification_report, task_loss
from behavior_spark.model.heads import Head, sigmoid
from behavior_spark.model.labelled import TaskSplit

HEAD_LEARNING_RATE = 1e-3
WEIGHT_DECAY = 0.01
WARM_UP_SHARE = 0.1
MAX_GRADIENT_NORM = 1.0
SORTED_BATCHES = 8


@dataclass(frozen=True)
class Tuning:
    """Settings of :func:`train_together`: passes, peak rate, texts per step, seed of the order."""

    epochs: int
    learning_rate: float
    batch_size: int
    seed: int


def train_together(
    encoder: Encoder,
    splits: Sequence[TaskSplit],
    start: Mapping[str, Head],
    tuning: Tuning,
    tell: Callable[[str, int, int], None],
) -> tuple[int, list[float]]:
    """Train ``encoder`` (fp32) in place on all tasks at once, and leave it at its best epoch.

    A text goes through the encoder once a step, whatever number of tasks label it; the loss is
    the sum of the tasks' mean losses. AdamW with linear warm-up and decay, gradients clipped.
    The heads start at ``start`` and are thrown away afterwards. ``encoder.digest`` is no longer
    that of its weights.

    Returns:
        The best epoch (0 is the start, where no epoch was better), and the mean over tasks of
        the macro-F1 on held-out texts after each epoch, the start first.
    """
    layers = [_linear(start[split.name], encoder.device) for split in splits]
    texts, rows = _learned_texts(splits)
    total = tuning.epochs * -(-len(texts) // tuning.batch_size)
    token_ids = encoder.tokenize(texts)
    optimiser = _optimiser(encoder, layers, tuning)
    run = _Run(encoder, splits, layers, token_ids, rows, optimiser, total, tell)
    rng = np.random.default_rng(tuning.seed)
    scores, best_epoch, best_weights = [run.score()], 0, run.weights()
    devices = [encoder.device] if encoder.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(tuning.seed)
        for epoch in range(1, tuning.epochs + 1):
            encoder.model.train()
            for batch in _shuffled_batches(token_ids, tuning.batch_size, rng):
                run.step(batch)
            encoder.model.eval()
            scores.append(run.score())
            if scores[-1] > max(scores[:-1]):
                best_epoch, best_weights = epoch, run.weights()
    encoder.model.load_state_dict(best_weights)
    return best_epoch, scores


class _Run:
    """The moving parts of one training run."""

    def __init__(
        self,
        encoder: Encoder,
        splits: Sequence[TaskSplit],
        layers: list[torch.nn.Linear],
        token_ids: list[list[int]],
        rows: list[list[list[int]]],
        optimiser: torch.optim.AdamW,
        total: int,
        tell: Callable[[str, int, int], None],
    ) -> None:
        self._encoder, self._splits, self._layers, self._tell = encoder, splits, layers, tell
        self._token_ids, self._rows = token_ids, rows
        self._optimiser, self._done, self._total = optimiser, 0, total
        self._schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, self._rate)
        self._parameters = [p for group in optimiser.param_groups for p in group["params"]]

    def step(self, batch: npt.NDArray[np.int64]) -> None:
        """One batch of texts, forward once and back for every task that labels some of them."""
        vectors = self._encoder.forward([self._token_ids[text] for text in batch])
        losses = []
        for task, split in enumerate(self._splits):
            pairs = [(i, row) for i, text in enumerate(batch) for row in self._rows[task][text]]
            if not pairs:
                continue
            places, rows = map(list, zip(*pairs, strict=True))
            targets = torch.from_numpy(split.targets[rows]).to(self._encoder.device)
            losses.append(task_loss(self._layers[task](vectors[places]), targets))
        self._optimiser.zero_grad()
        torch.stack(losses).sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self._parameters, MAX_GRADIENT_NORM)
        self._optimiser.step()
        self._schedule.step()
        self._done += 1
        self._tell("train", self._done, self._total)

    def score(self) -> float:
        """Mean over tasks of the macro-F1 on held-out texts."""
        pairs = zip(self._splits, self._layers, strict=True)
        return float(np.mean([_macro_f1(self._encoder, split, layer) for split, layer in pairs]))

    def weights(self) -> dict[str, torch.Tensor]:
        """A copy of the encoder's weights, on the CPU."""
        state = self._encoder.model.state_dict()
        return {name: tensor.detach().cpu().clone() for name, tensor in state.items()}

    def _rate(self, step: int) -> float:
        warm_up = max(1, round(WARM_UP_SHARE * self._total))
        if step < warm_up:
            return (step + 1) / (warm_up + 1)
        return max(0.0, (self._total - step) / max(1, self._total - warm_up))


def _linear(head: Head, device: torch.device) -> torch.nn.Linear:
    layer = torch.nn.Linear(head.dimension, len(head.labels), device="meta").to_empty(device=device)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(head.weight.copy()))
        layer.bias.copy_(torch.from_numpy(head.bias.copy()))
    return layer


def _optimiser(
    encoder: Encoder, layers: list[torch.nn.Linear], tuning: Tuning
) -> torch.optim.AdamW:
    """AdamW that decays no bias and no norm."""
    backbone = list(encoder.model.parameters())
    groups: list[dict[str, Any]] = [
        {"params": [p for p in backbone if p.ndim > 1]},
        {"params": [p for p in backbone if p.ndim <= 1], "weight_decay": 0.0},
        {"params": [p for layer in layers for p in layer.parameters()], "lr": HEAD_LEARNING_RATE},
    ]
    return torch.optim.AdamW(groups, lr=tuning.learning_rate, weight_decay=WEIGHT_DECAY)


def _shuffled_batches(
    token_ids: Sequence[Sequence[int]], batch_size: int, rng: np.random.Generator
) -> list[npt.NDArray[np.int64]]:
    """Batches of one epoch in random order: texts of like length together, so little is padding.

    Texts are shuffled, sorted by length within runs of eight batches, cut, and the batches
    shuffled again.
    """
    lengths = np.array([len(ids) for ids in token_ids])
    order = rng.permutation(len(lengths))
    run = batch_size * SORTED_BATCHES
    batches = []
    for first in range(0, len(order), run):
        part = order[first : first + run]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches += [part[i : i + batch_size] for i in range(0, len(part), batch_size)]
    return [batches[i] for i in rng.permutation(len(batches))]


def _learned_texts(splits: Sequence[TaskSplit]) -> tuple[list[str], list[list[list[int]]]]:
    """The different texts to learn from, and for each task and text its rows."""
    number: dict[str, int] = {}
    for split in splits:
        for row in np.flatnonzero(~split.validation):
            number.setdefault(split.texts[row], len(number))
    rows: list[list[list[int]]] = []
    for split in splits:
        of_text: list[list[int]] = [[] for _ in number]
        for row in np.flatnonzero(~split.validation):
            of_text[number[split.texts[row]]].append(int(row))
        rows.append(of_text)
    return list(number), rows


def _macro_f1(encoder: Encoder, split: TaskSplit, layer: torch.nn.Linear) -> float:
    """Macro-F1 on the held-out texts; a multi-label task with its best thresholds."""
    held = np.flatnonzero(split.validation)
    vectors = encoder.embed([split.texts[row] for row in held]).embeddings
    with torch.inference_mode():
        logits = layer(torch.from_numpy(np.nan_to_num(vectors)).to(encoder.device)).cpu().numpy()
    targets = split.targets[held]
    if split.multi_label:
        truth, probabilities = targets.astype(bool), sigmoid(logits)
        said = probabilities >= best_thresholds(probabilities, truth)
    else:
        columns = np.arange(len(split.labels))
        truth, said = targets[:, None] == columns, logits.argmax(axis=1)[:, None] == columns
    return float(classification_report(split.labels, truth, said)["f1"])
