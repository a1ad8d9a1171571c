"""From histories to a trained model: stop on held-out answers, then learn from all events."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import torch

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Integers
from behavior_spark.model.sequence.accuracy import ndcg_at, recall_at
from behavior_spark.model.sequence.baselines import Popularity, Ranker, judged, markov_chain
from behavior_spark.model.sequence.catalogue import ItemFacts
from behavior_spark.model.sequence.histories import Histories
from behavior_spark.model.sequence.model import SequenceModel
from behavior_spark.model.sequence.network import Network, Shape
from behavior_spark.model.sequence.training import Epoch, Held, TrainingOptions, train
from behavior_spark.model.sequence.vocabulary import Vocabulary


@dataclass(frozen=True)
class FitOptions:
    """What to fit.

    Attributes:
        shape: Attributes of ``Shape`` that differ from its defaults.
        training: How each network is trained.
        networks: Networks of different seeds whose scores are added up.
        held_users: At most so many users whose last event decides when to stop.
        refit: Whether to train again on all events, as many epochs as were best.
    """

    shape: dict[str, Any] = field(default_factory=dict)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    networks: int = 1
    held_users: int = 10_000
    refit: bool = True


def fit_sequence_model(
    vocabulary: Vocabulary,
    histories: Histories,
    options: FitOptions,
    *,
    facts: ItemFacts | None = None,
    metadata: Mapping[str, Any] | None = None,
    trained_through: str | None = None,
    tell: Callable[[Epoch], None] | None = None,
) -> SequenceModel:
    """Train networks, and put them together.

    The last event of every user is kept from training first, and that of a sample of users is the
    answer that decides when to stop.

    Args:
        vocabulary: Codes of items and traits.
        histories: Events of known items, in order of time.
        options: What to fit.
        facts: Words and texts of items.
        metadata: Plain data to keep with the model.
        trained_through: First day after the events.
        tell: Called after each epoch.

    Raises:
        ModelError: No user has three events, or fewer items than two are known.
    """
    known, facts = histories.known(), facts or ItemFacts()
    words = facts.known_words()
    shape = Shape(
        items=len(vocabulary.items),
        words=len(words),
        text_width=0 if facts.texts is None else facts.texts.shape[1],
        traits=vocabulary.traits,
        **options.shape,
    )
    held = held_out(known, options.held_users, options.training.seed)
    networks, records = [], []
    for number in range(options.networks):
        training = replace(options.training, seed=options.training.seed + number)
        network = new_network(shape, facts, words, training.seed)
        epochs = train(network, known.without_newest(1), training, held=held, tell=tell)
        best = max(epochs, key=lambda epoch: epoch.ndcg)
        networks.append(network)
        records.append({"epochs": best.number, "ndcg_10": best.ndcg, "recall_10": best.recall})
    facts_of_training = {
        **(metadata or {}),
        "training": asdict(options.training),
        "held_users": len(held.answers),
        "users": int((known.lengths > 0).sum()),
        "events": len(known.items),
        "networks": records,
        "baselines": _baselines(known.without_newest(1), held, shape.items),
    }
    model = SequenceModel.of(
        vocabulary,
        words,
        facts,
        tuple(networks),
        metadata=facts_of_training,
        trained_through=trained_through,
    )
    return refitted(model, known, tell=tell) if options.refit else model


def refitted(
    model: SequenceModel,
    histories: Histories,
    *,
    tell: Callable[[Epoch], None] | None = None,
) -> SequenceModel:
    """The same model from new weights, trained on all events as many epochs as were best.

    Args:
        model: What :func:`fit_sequence_model` gave with ``refit`` off.
        histories: All events.
        tell: Called after each epoch.
    """
    base = TrainingOptions(**model.metadata["training"])
    networks = []
    for number, (before, record) in enumerate(
        zip(model.networks, model.metadata["networks"], strict=True)
    ):
        training = replace(base, seed=base.seed + number)
        network = new_network(before.shape, model.facts, model.words, training.seed)
        train(network, histories.known(), training, stop_after=record["epochs"], tell=tell)
        networks.append(network)
    return SequenceModel.of(
        model.vocabulary,
        model.words,
        model.facts,
        tuple(networks),
        metadata={**model.metadata, "refitted": True},
        trained_through=model.trained_through,
    )


def _baselines(learned: Histories, held: Held, items: int) -> dict[str, dict[str, float]]:
    """NDCG@10 and Recall@10 of counts on the same held-out answers."""
    rankers: dict[str, Ranker] = {
        "popularity": Popularity.fit(learned, items=items),
        "markov_chain": markov_chain(learned, items=items, decay=0.5),
    }
    figures = {}
    for name, ranker in rankers.items():
        places, _ = judged(ranker, held.histories, held.answers, 10, items=items)
        figures[name] = {
            "ndcg_10": float(ndcg_at(places, 10).mean()),
            "recall_10": float(recall_at(places, 10).mean()),
        }
    return figures


def held_out(histories: Histories, users: int, seed: int) -> Held:
    """The last event of a sample of users with three events or more, and what came before it.

    Raises:
        ModelError: There is no such user.
    """
    able: Integers = np.flatnonzero(histories.lengths >= 3)
    if not len(able):
        raise ModelError(
            "no user has three events, so nothing shows when training should stop",
            found=f"{len(histories)} users",
            fix="give more days of events, or more kinds of events",
        )
    chosen = np.sort(np.random.default_rng(seed).permutation(able)[:users])
    sample = histories.take(chosen)
    return Held(sample.without_newest(1), sample.newest(1).items.astype(np.int64))


def new_network(shape: Shape, facts: ItemFacts, words: tuple[str, ...], seed: int) -> Network:
    """A network with the weights of this seed, and the items' facts in its table."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(shape)
    facts.put_into(network.table, words)
    return network
