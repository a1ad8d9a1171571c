"""Train a network on next items, with early stopping on a validation answer of each user."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Integers
from behavior_spark.model.sequence.accuracy import ndcg_at, recall_at
from behavior_spark.model.sequence.histories import Histories
from behavior_spark.model.sequence.network import Network
from behavior_spark.model.sequence.retrieval import ranks
from behavior_spark.model.sequence.softmax import Sampler, full_softmax_loss, softmax_loss
from behavior_spark.model.sequence.states import last_states, output_table

WARM_UP_STEPS = 50
LOWEST_RATE = 0.05  # share of the peak
MAX_GRADIENT_NORM = 5.0
_SORTED_BATCHES = 8


@dataclass(frozen=True)
class TrainingOptions:
    """How to train.

    Attributes:
        batch: Users in a batch.
        negatives: Items in the sample that a batch shares; 0, or as many as there are items: all.
        popularity: Share of the sample that follows how often items occur; the rest is uniform.
        smoothing: Label smoothing.
        rate: Learning rate of AdamW at its peak; it rises over the first 50 steps, and falls
            linearly to a twentieth over ``epochs``.
        weight_decay: Of all matrices.
        own_dropout: Share of items that a batch knows by their words and text alone, so that
            these learn to speak for items without a vector of their own (Volkovs et al. 2017,
            DropoutNet). Only where items have words or texts.
        epochs: Most epochs.
        patience: Stop after so many epochs without a better NDCG@10.
        seed: Of weights, batches, dropout and negatives.
    """

    batch: int = 128
    negatives: int = 1024
    popularity: float = 0.0
    smoothing: float = 0.0
    rate: float = 1e-3
    weight_decay: float = 0.01
    own_dropout: float = 0.0
    epochs: int = 100
    patience: int = 10
    seed: int = 0


@dataclass(frozen=True)
class Epoch:
    """What an epoch came to.

    Attributes:
        number: From 1.
        loss: Mean loss of its answers.
        ndcg: NDCG@10 of the validation answers; NaN without any.
        recall: Recall@10 of them.
        seconds: Time since training started.
    """

    number: int
    loss: float
    ndcg: float
    recall: float
    seconds: float


@dataclass(frozen=True)
class Held:
    """One answer of each user, to stop by.

    Attributes:
        histories: What came before.
        answers: Code of the item that came next, int64 (users,).
    """

    histories: Histories
    answers: Integers


def train(
    network: Network,
    histories: Histories,
    options: TrainingOptions,
    *,
    held: Held | None = None,
    stop_after: int | None = None,
    tell: Callable[[Epoch], None] | None = None,
) -> list[Epoch]:
    """Train in place; the weights of the best epoch are kept (of the last without ``held``).

    The same seed, data and number of threads give the same weights. The global random state of
    torch is left as it was.

    Args:
        network: What to train.
        histories: Events to learn from.
        options: How.
        held: Answers to measure each epoch by.
        stop_after: Stop after this epoch; the learning rate falls as if it went on.
        tell: Called after each epoch.

    Raises:
        ModelError: No user has two events, or the loss is not a number.
    """
    windows = histories.known().windows(network.shape.length)
    if not len(windows):
        raise ModelError(
            "nothing to learn next items from",
            found="no user with two events of known items",
            fix="give more days of events, or more kinds of events",
        )
    counts = np.bincount(windows.items, minlength=network.shape.items + 1)
    sampler = Sampler.of_counts(counts, popularity=options.popularity)
    optimiser = _optimiser(network, options)
    epochs: list[Epoch] = []
    best, best_weights, start = -1.0, None, time.monotonic()
    with torch.random.fork_rng(devices=[]):
        step, steps = 0, options.epochs * -(-len(windows) // options.batch)
        for number in range(1, (stop_after or options.epochs) + 1):
            random = np.random.default_rng([options.seed, number])
            torch.manual_seed(int(random.integers(2**31)))
            network.train()
            total = 0.0
            for rows in epoch_batches(windows.lengths, options.batch, random):
                for group in optimiser.param_groups:
                    group["lr"] = options.rate * _share_of_peak(step, steps)
                loss = _loss(network, windows.take(rows), sampler, options, random)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
                optimiser.step()
                total, step = total + float(loss.detach()) * len(rows), step + 1
            epoch = _measured(network, held, number, total / len(windows), start)
            epochs.append(epoch)
            if tell is not None:
                tell(epoch)
            if held is None:
                continue
            if epoch.ndcg > best:
                best, best_weights = epoch.ndcg, copy.deepcopy(network.state_dict())
            elif number - _best(epochs).number >= options.patience:
                break
    if best_weights is not None:
        network.load_state_dict(best_weights)
    network.eval()
    return epochs


def epoch_batches(lengths: Integers, size: int, random: np.random.Generator) -> Iterator[Integers]:
    """Rows of each batch in random order; rows of a batch are of similar length."""
    order = random.permutation(len(lengths))
    batches = []
    for first in range(0, len(order), size * _SORTED_BATCHES):
        part = order[first : first + size * _SORTED_BATCHES]
        part = part[np.argsort(lengths[part], kind="stable")]
        batches += [part[i : i + size] for i in range(0, len(part), size)]
    for number in random.permutation(len(batches)):
        yield batches[number]


def _loss(
    network: Network,
    part: Histories,
    sampler: Sampler,
    options: TrainingOptions,
    random: np.random.Generator,
) -> torch.Tensor:
    codes = part.padded()
    whole = options.negatives == 0 or options.negatives >= network.shape.items
    negatives = (
        np.arange(1, network.shape.items + 1) if whole else sampler.draw(options.negatives, random)
    )
    distinct, places = np.unique(
        np.concatenate([codes.reshape(-1), negatives]), return_inverse=True
    )
    kept = None
    if options.own_dropout and (network.table.words is not None or network.table.text is not None):
        kept = torch.from_numpy(random.random(len(distinct)) >= options.own_dropout)
    vectors = network.table(torch.from_numpy(distinct), own_kept=kept)
    at = torch.from_numpy(places[: codes.size].reshape(codes.shape))
    items = torch.from_numpy(codes)
    entering = functional.embedding(at[:, :-1], vectors) * (items[:, :-1] > 0)[..., None]
    traits = {
        name: torch.from_numpy(part.padded(part.traits[name])[:, :-1])
        for name in network.shape.traits
    }
    asked = items[:, 1:] > 0
    states = network.states(entering, traits)[asked]
    answers = items[:, 1:][asked]
    outputs = network.outputs(vectors)
    sample = outputs[torch.from_numpy(places[codes.size :])]
    if whole:
        return full_softmax_loss(states, sample, answers, smoothing=options.smoothing)
    expected = torch.from_numpy(sampler.probabilities[negatives] * options.negatives).float()
    return softmax_loss(
        states,
        outputs[at[:, 1:][asked]],
        answers,
        sample,
        torch.from_numpy(negatives),
        expected,
        smoothing=options.smoothing,
    )


def _share_of_peak(step: int, steps: int) -> float:
    """Of the learning rate: rising, then falling linearly."""
    if step < WARM_UP_STEPS:
        return (step + 1) / WARM_UP_STEPS
    return max(LOWEST_RATE, 1 - step / steps)


def _optimiser(network: Network, options: TrainingOptions) -> torch.optim.AdamW:
    matrices = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": options.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.rate, betas=(0.9, 0.98))


def _measured(network: Network, held: Held | None, number: int, loss: float, start: float) -> Epoch:
    if not np.isfinite(loss):
        raise ModelError(
            f"the loss is not a number in epoch {number}",
            found=f"{loss}",
            fix="lower the learning rate",
        )
    ndcg = recall = float("nan")
    if held is not None:
        places = ranks(
            last_states(network, held.histories),
            output_table(network),
            held.answers,
            seen=held.histories.known(),
        )
        ndcg, recall = float(ndcg_at(places, 10).mean()), float(recall_at(places, 10).mean())
    return Epoch(number, loss, ndcg, recall, time.monotonic() - start)


def _best(epochs: list[Epoch]) -> Epoch:
    return max(epochs, key=lambda epoch: epoch.ndcg)
