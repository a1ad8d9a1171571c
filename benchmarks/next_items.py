"""Next items on Amazon Beauty: leave-one-out, all items ranked, seen ones left out.

    python -m benchmarks.next_items --folder /tmp/next_items
    python -m benchmarks.next_items --folder /tmp/next_items --test
    python -m benchmarks.next_items --folder /tmp/next_items --cold

The last item of each user is the test answer, the one before it the validation answer. Everything
is chosen on validation answers, which the first command shows; ``--test`` then trains the chosen
model on all but the test answers, as many epochs as were best, and shows those. ``--cold`` takes a
tenth of the items out of training, and ranks them by their words (brand and categories) alone.
Trained models are kept in the folder, and used again. Prints Markdown.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from behavior_spark.model.arrays import Bools, Integers
from behavior_spark.model.sequence.accuracy import (
    item_coverage,
    mean_difference,
    mean_over_users,
    ndcg_at,
    recall_at,
)
from behavior_spark.model.sequence.baselines import (
    Popularity,
    Ranker,
    item_knn,
    judged,
    last_item_neighbours,
    markov_chain,
)
from behavior_spark.model.sequence.catalogue import ItemFacts
from behavior_spark.model.sequence.fitting import FitOptions, fit_sequence_model, refitted
from behavior_spark.model.sequence.histories import Histories
from behavior_spark.model.sequence.mixture import Mixture, NetworkChances
from behavior_spark.model.sequence.model import SequenceModel
from behavior_spark.model.sequence.training import Epoch, TrainingOptions
from behavior_spark.model.sequence.vocabulary import Vocabulary

K = 10
CHOSEN = FitOptions(
    shape={"similarity": "cosine", "temperature": 0.07, "dropout": 0.35},
    training=TrainingOptions(
        batch=256, negatives=1024, rate=3e-3, own_dropout=0.1, epochs=14, patience=14
    ),
    held_users=6000,
    refit=False,
)
MARKOV_DECAY = 0.5
KNN_SHRINK, KNN_DECAY = 5.0, 0.6
# Weight of the Markov chain in its mixture with the network.
MARKOV_WEIGHT = 0.2


@dataclass(frozen=True)
class Beauty:
    """The log: histories by user, names and words of items."""

    histories: Histories
    vocabulary: Vocabulary
    facts: ItemFacts


def load_beauty(folder: Path) -> Beauty:
    """Read sequences and the words of brand and categories."""
    with gzip.open(folder / "Beauty.txt.gz", "rt") as file:
        rows = [[int(item) for item in line.split()[1:]] for line in file]
    histories = Histories.of_lists(rows)
    with gzip.open(folder / "datamaps.json.gz", "rt") as file:
        word_of = json.load(file)["id2attribute"]
    with gzip.open(folder / "item2attributes.json.gz", "rt") as file:
        words_of = json.load(file)
    codes = range(1, int(histories.items.max()) + 1)
    words = [[word_of[str(number)] for number in words_of.get(str(code), [])] for code in codes]
    return Beauty(histories, Vocabulary(tuple(str(code) for code in codes)), ItemFacts(words))


def count_rankers(histories: Histories, items: int) -> dict[str, Ranker]:
    """Rankers that only count."""
    return {
        "popularity": Popularity.fit(histories, items=items),
        "last item's neighbours": last_item_neighbours(histories, items=items),
        "item-kNN, cosine": item_knn(histories, items=items, shrink=KNN_SHRINK, decay=KNN_DECAY),
        "Markov chain, last item": markov_chain(histories, items=items),
        "Markov chain, decayed": markov_chain(histories, items=items, decay=MARKOV_DECAY),
    }


def trained(folder: Path, name: str, train: Callable[[], SequenceModel]) -> SequenceModel:
    """A model of the folder, else trained and saved there."""
    place = folder / name
    if not place.exists():
        start = time.monotonic()
        train().save(place)
        say(f"{name}: {time.monotonic() - start:.0f} s")
    return SequenceModel.load(place)


def show(
    title: str,
    rankers: Mapping[str, Ranker],
    past: Histories,
    answers: Integers,
    *,
    items: int,
    base: str = "Markov chain, decayed",
) -> None:
    """Print a table of Recall@10, NDCG@10 and coverage."""
    print(f"\n{title}: {len(past):,} users\n")
    print("| ranker | Recall@10 | NDCG@10 | coverage | NDCG@10 over " + base + " |")
    print("| --- | --- | --- | ---: | --- |")
    results = {
        name: judged(ranker, past, answers, K, items=items) for name, ranker in rankers.items()
    }
    for name, (places, lists) in results.items():
        ndcg = ndcg_at(places, K)
        gain = mean_difference(ndcg, ndcg_at(results[base][0], K))
        print(
            f"| {name} | {four(mean_over_users(recall_at(places, K)))} "
            f"| {four(mean_over_users(ndcg))} | {item_coverage(lists, items):.0%} "
            f"| {four(gain) if name != base else ''} |",
            flush=True,
        )


def four(estimate: object) -> str:
    """A figure of four decimals with its interval."""
    value, low, high = (getattr(estimate, part) for part in ("value", "low", "high"))
    return f"{value:.4f} ({low:.4f} to {high:.4f})"


def with_network(
    counts: dict[str, Ranker], model: SequenceModel, without_words: SequenceModel | None
) -> dict[str, Ranker]:
    """Rankers by name, the network's after those that count."""
    network, markov = NetworkChances(model), counts["Markov chain, decayed"]
    plain = {} if without_words is None else {"network, ids alone": NetworkChances(without_words)}
    return {
        **counts,
        **plain,
        "network, ids and words": network,
        "network and Markov chain": Mixture((network, markov), (1 - MARKOV_WEIGHT, MARKOV_WEIGHT)),
    }


def validate(beauty: Beauty, folder: Path, *, ids_alone: bool) -> None:
    """Validation answers, by rankers that learned from what came before them."""
    seen = beauty.histories.without_newest(1)
    model = validated_model(beauty, folder)
    plain = None
    if ids_alone:
        plain = trained(folder, "ids-alone", lambda: fit_beauty(beauty, facts=ItemFacts()))
    counts = count_rankers(seen.without_newest(1), len(beauty.vocabulary.items))
    rankers = with_network(counts, model, plain)
    answers = seen.newest(1).items.astype(np.int64)
    items = len(beauty.vocabulary.items)
    show("Validation", rankers, seen.without_newest(1), answers, items=items)


def test(beauty: Beauty, folder: Path) -> None:
    """Test answers, by rankers that learned from all before them."""
    seen = beauty.histories.without_newest(1)
    validated = validated_model(beauty, folder)
    model = trained(folder, "refitted", lambda: refitted(validated, seen, tell=tell))
    answers = beauty.histories.newest(1).items.astype(np.int64)
    counts = count_rankers(seen, len(beauty.vocabulary.items))
    rankers = with_network(counts, model, None)
    rankers["network that did not learn from validation answers"] = NetworkChances(validated)
    show("Test", rankers, seen, answers, items=len(beauty.vocabulary.items))


def validated_model(beauty: Beauty, folder: Path) -> SequenceModel:
    """A network that learned from all but the validation and test answers."""
    return trained(folder, "validated", lambda: fit_beauty(beauty, facts=beauty.facts))


def fit_beauty(beauty: Beauty, *, facts: ItemFacts) -> SequenceModel:
    """Fit on all but the test answers; the validation answers decide when to stop."""
    seen = beauty.histories.without_newest(1)
    return fit_sequence_model(beauty.vocabulary, seen, CHOSEN, facts=facts, tell=tell)


def cold(beauty: Beauty, folder: Path, share: float = 0.1) -> None:
    """Test answers that no training saw, ranked among all items by their words."""
    items = len(beauty.vocabulary.items)
    random = np.random.default_rng(0)
    is_cold: Bools = np.zeros(items + 1, dtype=np.bool_)
    is_cold[1 + random.permutation(items)[: round(share * items)]] = True
    # Warm items first: codes of the cold ones follow.
    order = np.concatenate([[0], 1 + np.argsort(is_cold[1:], kind="stable")])
    code = np.empty_like(order)
    code[order] = np.arange(items + 1)
    warm = items - int(is_cold.sum())
    renamed = replace(beauty.histories, items=code[beauty.histories.items].astype(np.int32))
    names = [beauty.vocabulary.items[number - 1] for number in order[1:]]
    words = [(beauty.facts.words or [])[number - 1] for number in order[1:]]
    seen = renamed.without_newest(1)
    visible = replace(seen, items=np.where(seen.items > warm, 0, seen.items))
    model = trained(
        folder,
        "cold",
        lambda: fit_sequence_model(
            Vocabulary(tuple(names[:warm])),
            visible,
            replace(CHOSEN, training=replace(CHOSEN.training, own_dropout=0.3)),
            facts=ItemFacts(words[:warm]),
            tell=tell,
        ),
    )
    grown = model.with_items(tuple(names[warm:]), ItemFacts(words[warm:]))
    answers = renamed.newest(1).items.astype(np.int64)
    rows = np.flatnonzero((answers > warm) & (visible.known().lengths > 0))
    past = visible.known().take(rows)
    rankers: dict[str, Ranker] = {
        "by words, among all items": NetworkChances(grown),
        "by words, among cold items": OnlyCold(NetworkChances(grown), warm),
        "words of the last item, among cold items": OnlyCold(SharedWords(words), warm),
        "chance, among cold items": OnlyCold(Chance(items), warm),
    }
    print(f"\nCold items: {items - warm:,}; {len(rows):,} users whose test answer is one\n")
    print("| ranker | Recall@10 | NDCG@10 |\n| --- | --- | --- |")
    for title, ranker in rankers.items():
        places, _ = judged(ranker, past, answers[rows], K, items=items)
        print(
            f"| {title} | {four(mean_over_users(recall_at(places, K)))} "
            f"| {four(mean_over_users(ndcg_at(places, K)))} |",
            flush=True,
        )


@dataclass(frozen=True)
class OnlyCold:
    """A ranker among items after a code alone."""

    ranker: Ranker
    warm: int

    def scores(self, histories: Histories) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """Its scores; -inf for the others."""
        scores = self.ranker.scores(histories)
        scores[:, : self.warm + 1] = -np.inf
        return scores


class SharedWords:
    """Cosine of the words of an item and of the last one."""

    def __init__(self, words: Sequence[Sequence[str]]) -> None:
        code = {word: i for i, word in enumerate(sorted({w for bag in words for w in bag}))}
        self.table = np.zeros((len(words) + 1, len(code)), dtype=np.float32)
        for row, bag in enumerate(words, start=1):
            self.table[row, [code[word] for word in bag]] = 1.0
        rarity = np.log(len(words) / np.maximum(self.table.sum(axis=0), 1))
        self.table *= rarity
        self.table /= np.maximum(np.linalg.norm(self.table, axis=1, keepdims=True), 1e-9)

    def scores(self, histories: Histories) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """Of each user's last item with all."""
        return np.asarray(self.table[histories.newest(1).items] @ self.table.T)


@dataclass(frozen=True)
class Chance:
    """Any order, the same each time."""

    items: int

    def scores(self, histories: Histories) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        """Random numbers."""
        random = np.random.default_rng(len(histories))
        return random.random((len(histories), self.items + 1), dtype=np.float32)


def tell(epoch: Epoch) -> None:
    """Show an epoch."""
    measured = f"loss {epoch.loss:.4f}, NDCG@10 {epoch.ndcg:.4f}"
    say(f"epoch {epoch.number}: {measured}, {epoch.seconds:.0f} s")


def say(words: str) -> None:
    """Beside the figures."""
    print(words, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="where trained models are kept")
    parser.add_argument("--test", action="store_true", help="show the test answers")
    parser.add_argument("--cold", action="store_true", help="show cold items")
    parser.add_argument("--ids-alone", action="store_true", help="with a network without words")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    data = Path(os.environ.get("BEHAVIOR_DATA", "../shared/data")) / "amazon_beauty"
    beauty = load_beauty(data)
    given.folder.mkdir(parents=True, exist_ok=True)
    if given.cold:
        cold(beauty, given.folder)
    elif given.test:
        test(beauty, given.folder)
    else:
        validate(beauty, given.folder, ids_alone=given.ids_alone)


if __name__ == "__main__":
    main()
