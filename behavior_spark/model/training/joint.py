"""Train an encoder and the heads of several tasks together, and keep the best epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch

from behavior_spark.config.tuning import Tuning
from behavior_spark.model.arrays import Floats
from behavior_spark.model.encoder.encoder import Encoder
from behavior_spark.model.heads.head import Head
from behavior_spark.model.heads.labelled import TaskSplit
from behavior_spark.model.heads.logistic_regression import label_weights
from behavior_spark.model.measures.classification_report import classification_report
from behavior_spark.model.training.checkpoint import Checkpoint, Tensors
from behavior_spark.model.training.distributed import from_first, world_size
from behavior_spark.model.training.optimisation import (
    Optimisation,
    Rates,
    cut,
    epoch_batches,
    layer_groups,
)

Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Trained:
    """The result of :func:`train_together`.

    Attributes:
        best_epoch: Epoch with the best score; 0, the start, if no epoch was better.
        scores: Mean macro-F1 over tasks on held-out texts, at the start and after each epoch.
        layers: For each task the weight, float32 [labels, dimension], and the bias, float32
            [labels], of its head at the best epoch.
    """

    best_epoch: int
    scores: list[float]
    layers: dict[str, tuple[Floats, Floats]] = field(default_factory=dict)


def train_together(
    encoder: Encoder,
    splits: Sequence[TaskSplit],
    start: Mapping[str, Head],
    tuning: Tuning,
    *,
    seed: int,
    tell: Tell,
    checkpoint: Checkpoint | None = None,
) -> Trained:
    """Train ``encoder`` (fp32) in place on all tasks at once, and leave it at its best epoch.

    A text is encoded once, however many tasks label it. The loss is the sum of the tasks' mean
    losses. The heads start at ``start``. Training stops after ``tuning.patience`` epochs without
    a better score. Afterwards ``encoder.digest`` does not match the weights.

    With a checkpoint, a killed run continues and ends with the same weights as a run without a
    break. In several processes (:mod:`.distributed`) each computes its share of every batch, and
    all end with the same weights.
    """
    run = _Run(encoder, splits, start, tuning, seed, tell, checkpoint)
    devices = [encoder.device] if encoder.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        return run.all_epochs()


class _Run:
    """The state of one training run."""

    def __init__(
        self,
        encoder: Encoder,
        splits: Sequence[TaskSplit],
        start: Mapping[str, Head],
        tuning: Tuning,
        seed: int,
        tell: Tell,
        checkpoint: Checkpoint | None,
    ) -> None:
        self._encoder, self._splits, self._tuning = encoder, splits, tuning
        self._seed, self._tell, self._checkpoint = seed, tell, checkpoint
        device = encoder.device
        encoder.inference.pack_for_training()
        self._linears = [
            linear_layer(start[split.name].weight, start[split.name].bias, device)
            for split in splits
        ]
        self._layers = torch.nn.ModuleList(self._linears)
        self._all = torch.nn.ModuleList([encoder.model, self._layers])
        texts, self._rows = _learned_texts(splits)
        self._token_ids = encoder.tokenize(texts)
        self._lengths = np.array([len(ids) for ids in self._token_ids], dtype=np.int64)
        self._weighting = [
            None if weights is None else weights.to(device)
            for weights in (label_weights(split, tuning.class_weights) for split in splits)
        ]
        self._batch = tuning.batch_size * tuning.accumulate * world_size()
        groups = layer_groups(
            encoder.model,
            rate=tuning.learning_rate,
            layer_decay=tuning.layer_decay,
            weight_decay=tuning.weight_decay,
        )
        groups.append(
            {"params": list(self._layers.parameters()), "peak": tuning.head_learning_rate,
             "weight_decay": 0.0}
        )  # fmt: skip
        steps = tuning.epochs * -(-len(texts) // self._batch)
        self._optimisation = Optimisation(
            groups,
            Rates(steps, tuning.warm_up, tuning.schedule),
            device=device,
            seed=seed,
            precision=tuning.precision,
        )
        self._scores: list[float] = []
        self._best_epoch, self._best = 0, Tensors()

    def all_epochs(self) -> Trained:
        """Train from the start or the checkpoint to the last epoch, then restore the best."""
        epoch, first = self._resume()
        while epoch <= self._tuning.epochs and not self._out_of_patience(epoch):
            self._epoch(epoch, first)
            self._scores.append(from_first(self._score))
            if self._scores[-1] > max(self._scores[:-1]):
                self._best_epoch, self._best = epoch, self._weights()
            epoch, first = epoch + 1, 0
            self._save(epoch, first)
        self._all.load_state_dict(self._best)
        layers = {
            split.name: (layer.weight.detach().cpu().numpy(), layer.bias.detach().cpu().numpy())
            for split, layer in zip(self._splits, self._linears, strict=True)
        }
        return Trained(self._best_epoch, self._scores, layers)

    def _epoch(self, epoch: int, first: int) -> None:
        """Train on the batches of an epoch, from number ``first`` on."""
        batches = epoch_batches(self._lengths, self._batch, seed=self._seed, epoch=epoch)
        self._encoder.model.train()
        for number, batch in enumerate(batches[first:], start=first + 1):
            parts = cut(batch, self._tuning.batch_size)
            self._optimisation.step(parts, [len(part) for part in parts], self._loss)
            self._tell("train", self._optimisation.done, self._optimisation.rates.total)
            if self._checkpoint and self._checkpoint.due():
                self._save(epoch, number)
        self._encoder.model.eval()

    def _loss(self, part: npt.NDArray[np.int64]) -> torch.Tensor | None:
        """Sum over tasks of the mean loss on some texts; None if no task labels any of them."""
        vectors = self._encoder.forward([self._token_ids[text] for text in part])
        losses = []
        for task, split in enumerate(self._splits):
            pairs = [(i, row) for i, text in enumerate(part) for row in self._rows[task][text]]
            if not pairs:
                continue
            places, rows = map(list, zip(*pairs, strict=True))
            targets = torch.from_numpy(split.targets[rows]).to(self._encoder.device)
            logits = self._linears[task](vectors[places])
            smoothing = self._tuning.label_smoothing
            weighting = self._weighting[task]
            losses.append(split.rules.loss(logits, targets, weighting, smoothing=smoothing))
        return torch.stack(losses).sum() if losses else None

    def _score(self) -> float:
        """Mean over tasks of the macro-F1 on held-out texts."""
        pairs = zip(self._splits, self._layers, strict=True)
        return float(np.mean([_macro_f1(self._encoder, split, layer) for split, layer in pairs]))

    def _weights(self) -> Tensors:
        """A copy of all weights, on the CPU."""
        return {n: tensor.detach().cpu().clone() for n, tensor in self._all.state_dict().items()}

    def _out_of_patience(self, epoch: int) -> bool:
        return epoch - 1 - self._best_epoch >= self._tuning.patience

    def _save(self, epoch: int, batch: int) -> None:
        if self._checkpoint:
            progress = {"epoch": epoch, "batch": batch, "done": self._optimisation.done,
                        "scores": self._scores, "best_epoch": self._best_epoch}  # fmt: skip
            parameters, optimiser = self._optimisation.parameters, self._optimisation.optimiser
            self._checkpoint.save(parameters, optimiser, progress, best=self._best)

    def _resume(self) -> tuple[int, int]:
        """Restore a saved state if there is one; the epoch and the batch to continue with."""
        saved = None
        if self._checkpoint:
            optimisation = self._optimisation
            saved = self._checkpoint.load(optimisation.parameters, optimisation.optimiser)
        if saved is None:
            self._scores, self._best = [from_first(self._score)], self._weights()
            return 1, 0
        progress, self._best = saved
        self._scores, self._best_epoch = progress["scores"], progress["best_epoch"]
        self._optimisation.done = progress["done"]
        return progress["epoch"], progress["batch"]


def linear_layer(weight: Floats, bias: Floats, device: torch.device) -> torch.nn.Linear:
    """A linear layer with these weights [out, in] and bias [out]; draws no random number."""
    layer = torch.nn.Linear(weight.shape[1], weight.shape[0], device="meta").to_empty(device=device)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight.copy()))
        layer.bias.copy_(torch.from_numpy(bias.copy()))
    return layer


def _learned_texts(splits: Sequence[TaskSplit]) -> tuple[list[str], list[list[list[int]]]]:
    """The distinct texts to learn from, and the rows of each text in each task."""
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


def _macro_f1(encoder: Encoder, split: TaskSplit, layer: torch.nn.Module) -> float:
    """Macro-F1 on the held-out texts, with what they would calibrate."""
    held = np.flatnonzero(split.validation)
    vectors = encoder.embed([split.texts[row] for row in held]).embeddings
    with torch.inference_mode():
        logits = layer(torch.from_numpy(np.nan_to_num(vectors)).to(encoder.device)).cpu().numpy()
    targets = split.targets[held]
    predicted = split.rules.predict_at_best(logits, targets)
    return float(classification_report(split.labels, split.truth[held], predicted)["f1"])
