"""Next baskets on Online Retail: which items a user buys on the next day that he buys.

    python -m benchmarks.next_baskets --folder build/next_baskets           # days before October
    python -m benchmarks.next_baskets --folder build/next_baskets --test    # October 1, November 1

Users with a basket (all items of one day) within 30 days after as_of and one before it. Recall@20
is the share of that basket among 20 items of all, those had before included; an item that nobody
had before counts as missed. Weights of mixtures and of older events are those that were best on the
first command's days. A sequence model learns from what was bought before the first of the days,
once for all of them. Intervals are 95 %, by bootstrap over users; those of all days draw a user
with all his days. The second table is what audiences ask for: the share of the new items (not had
before) that a user buys within the 30 days, among 20 of them. Trained models are kept in the
folder, and used again. Prints Markdown.
"""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from behavior_spark.model.arrays import Doubles, Floats, Integers
from behavior_spark.model.measures.bootstrap import percentile_interval
from behavior_spark.model.measures.classification import Estimate
from behavior_spark.model.sequence.accuracy import item_coverage
from behavior_spark.model.sequence.baselines import (
    Popularity,
    Ranker,
    item_knn,
    markov_chain,
    own_past,
)
from behavior_spark.model.sequence.fitting import FitOptions, fit_sequence_model, refitted
from behavior_spark.model.sequence.histories import Histories
from behavior_spark.model.sequence.mixture import NetworkChances
from behavior_spark.model.sequence.model import SequenceModel
from behavior_spark.model.sequence.retrieval import top_k_of
from behavior_spark.model.sequence.training import TrainingOptions
from behavior_spark.model.sequence.vocabulary import read_histories
from benchmarks.next_items import tell, trained
from benchmarks.retail_log import before, histories_batch, read_purchases, words_of

K, HORIZON, MEMORY_DAYS, NEWEST = 20, 30, 730, 100
VALIDATION = (dt.date(2011, 7, 3), dt.date(2011, 8, 2), dt.date(2011, 9, 1))
TEST = (dt.date(2011, 10, 1), dt.date(2011, 11, 1))
CHOSEN = FitOptions(
    shape={"width": 32, "similarity": "cosine", "temperature": 0.07, "dropout": 0.3},
    training=TrainingOptions(
        batch=64, negatives=256, rate=3e-3, own_dropout=0.1, epochs=8, patience=3
    ),
    held_users=1000,
    refit=False,
)
MOST_BOUGHT, OWN = "own past items, most bought", "own past items, newest count most"
NETWORK, KNN = "sequence model", "item-kNN, cosine"
OWN_DECAY = 0.99
# Weights of the network, the own past and item-kNN, chosen on the validation days. Of all three
# together the network's best weight was 0.
MIXTURES = {
    "sequence model and own past": (0.1, 0.9, 0.0),
    "item-kNN and own past": (0.0, 0.4, 0.6),
}
BASE = OWN
RESAMPLES = 1000


@dataclass(frozen=True)
class Baskets:
    """Users of a day, what they had bought, and what they bought next.

    Attributes:
        users: User of each row.
        past: Events before as_of.
        answers: Items of the next basket, or new items within the horizon; 0 for an item that is
            not known.
    """

    users: Sequence[str]
    past: Histories
    answers: Histories

    def recall(self, lists: Integers) -> Doubles:
        """Share of each user's answers that is in his list, (users,)."""
        listed = np.zeros((len(lists), int(max(lists.max(), self.answers.items.max())) + 1), bool)
        np.put_along_axis(listed, lists, True, axis=1)
        listed[:, 0] = False
        hits = listed[self.answers.owners, self.answers.items]
        counts = np.bincount(self.answers.owners, weights=hits, minlength=len(lists))
        return np.asarray(counts / self.answers.lengths)


@dataclass(frozen=True)
class Day:
    """A day's baskets, and rankers that learned from what came before it.

    Attributes:
        as_of: The day.
        baskets: Its users.
        new: Those who bought items that they had not before, with these as answers.
        items: Number of known items.
        rankers: By name.
    """

    as_of: dt.date
    baskets: Baskets
    new: Baskets
    items: int
    rankers: Mapping[str, Ranker]


def day_of(purchases: pd.DataFrame, as_of: dt.date, model: SequenceModel) -> Day:
    """The users of a day; all rankers rank the items of the network's vocabulary and newer ones."""
    past = before(purchases, as_of, days=MEMORY_DAYS)
    _, batch = histories_batch(past, newest=10**9)
    newer, _ = read_histories([batch], least=1)
    known = set(model.vocabulary.items)
    later_items = tuple(item for item in newer.items if item not in known)
    grown = model.with_items(later_items, words_of(past, later_items)) if later_items else model
    vocabulary, items = grown.vocabulary, len(grown.vocabulary.items)
    learned = vocabulary.histories(batch)
    month = vocabulary.histories(histories_batch(before(past, as_of, days=30), newest=10**9)[1])
    rankers: dict[str, Ranker] = {
        "popularity, 30 days": Popularity.fit(month, items=items),
        "Markov chain, decayed": markov_chain(learned, items=items, decay=0.5),
        KNN: item_knn(learned, items=items, shrink=10.0, newest=50),
        MOST_BOUGHT: own_past(learned, items=items),
        OWN: own_past(learned, items=items, decay=OWN_DECAY),
        NETWORK: NetworkChances(grown),
    }
    later = bought_within(purchases, past, as_of)
    first = later.groupby("user_id")["day"].transform("min")
    had = pd.MultiIndex.from_frame(past[["user_id", "item"]])
    new = later[~pd.MultiIndex.from_frame(later[["user_id", "item"]]).isin(had)]
    return Day(
        as_of,
        baskets_of(later[later["day"] == first], past, grown),
        baskets_of(new.drop_duplicates(["user_id", "item"]), past, grown),
        items,
        rankers,
    )


def bought_within(purchases: pd.DataFrame, past: pd.DataFrame, as_of: dt.date) -> pd.DataFrame:
    """What users of the past bought within the horizon."""
    day = purchases["day"]
    later = purchases[(day >= as_of) & (day < as_of + dt.timedelta(days=HORIZON))]
    return later[later["user_id"].isin(past["user_id"].unique())]


def baskets_of(basket: pd.DataFrame, past: pd.DataFrame, model: SequenceModel) -> Baskets:
    """The users of these rows, what they had, and the items of the rows."""
    users, batch = histories_batch(past[past["user_id"].isin(basket["user_id"])], newest=10**9)
    bought, answers = histories_batch(basket, newest=10**9)
    assert users == bought
    encode = model.vocabulary.histories
    return Baskets(users, encode(batch), encode(answers))


def scores_of(day: Day) -> dict[str, Floats]:
    """Scores of each ranker, as shares of their sum, (users, items + 1)."""
    scores = {}
    for name, ranker in day.rankers.items():
        parts = [ranker.scores(part) for _, part in day.baskets.past.blocks(512)]
        table = np.concatenate(parts)
        table[:, 0] = 0.0
        scores[name] = table / np.maximum(table.sum(axis=1, keepdims=True), 1e-12)
    return scores


def mixed(scores: Mapping[str, Floats], weights: Sequence[float]) -> Floats:
    """Weighted mean of the chances of the network, the own past and item-kNN."""
    names = (NETWORK, OWN, KNN)
    return np.asarray(sum(np.float32(w) * scores[n] for n, w in zip(names, weights, strict=True)))


def choose_weights(days: Sequence[Day], scores: Sequence[Mapping[str, Floats]]) -> None:
    """Print the best weights of each mixture on these days."""
    steps = [n / 10 for n in range(11)]
    grid = [w for w in itertools.product(steps, repeat=3) if abs(sum(w) - 1) < 1e-9]
    tried = {}
    for weights in grid:
        recalls = [
            day.baskets.recall(top_k_of(mixed(of_day, weights), K)[0]).mean()
            for day, of_day in zip(days, scores, strict=True)
        ]
        tried[weights] = float(np.mean(recalls))
    left_out = {"sequence model and own past": 2, "item-kNN and own past": 0, "all three": None}
    for name, place in left_out.items():
        best = max((w for w in grid if place is None or not w[place]), key=tried.__getitem__)
        print(f"{name}: network, own past, item-kNN {best}: {tried[best]:.4f}")


def show(days: Sequence[Day], scores: Sequence[Mapping[str, Floats]]) -> None:
    """Print recall and coverage of each way, for each day and all together."""
    every = dict.fromkeys([*days[0].rankers, *MIXTURES])
    recalls: dict[str, list[Doubles]] = {name: [] for name in every}
    print("| day | ranker | recall@20 | over own past items, newest | items in a list |")
    print("| --- | --- | --- | --- | ---: |")
    for day, of_day in zip(days, scores, strict=True):
        for name in every:
            table = mixed(of_day, MIXTURES[name]) if name in MIXTURES else of_day[name]
            lists, _ = top_k_of(table, K)
            recalls[name].append(day.baskets.recall(lists))
            gain = None if name == BASE else recalls[name][-1] - every_base(day, of_day)
            over = "" if gain is None else words([gain], [day], sign=True)
            print(
                f"| {day.as_of}, {len(day.baskets.users):,} users | {name} "
                f"| {words([recalls[name][-1]], [day])} | {over} "
                f"| {item_coverage(lists, day.items):.0%} |",
                flush=True,
            )
    for name in every:
        gains = [a - b for a, b in zip(recalls[name], recalls[BASE], strict=True)]
        over = "" if name == BASE else words(gains, days, sign=True)
        print(f"| all days | {name} | {words(recalls[name], days)} | {over} | |")


def show_new(days: Sequence[Day]) -> None:
    """Print recall of new items, where seen ones are left out."""
    names = [name for name in days[0].rankers if name not in (OWN, MOST_BOUGHT)]
    recalls: dict[str, list[Doubles]] = {name: [] for name in names}
    shares: dict[str, list[float]] = {name: [] for name in names}
    for day in days:
        for name in names:
            ranker, past = day.rankers[name], day.new.past
            lists = np.concatenate(
                [top_k_of(ranker.scores(part), K, seen=part)[0] for _, part in past.blocks(512)]
            )
            recalls[name].append(day.new.recall(lists))
            shares[name].append(item_coverage(lists, day.items))
    who = [day.new.users for day in days]
    print(f"\nNew items, {sum(map(len, who)):,} users of {len(days)} days\n")
    print(f"| ranker | recall@20 | over {KNN} | items in a list |\n| --- | --- | --- | ---: |")
    for name in names:
        gains = [a - b for a, b in zip(recalls[name], recalls[KNN], strict=True)]
        over = "" if name == KNN else estimate_words(gains, who, sign=True)
        print(
            f"| {name} | {estimate_words(recalls[name], who)} | {over} "
            f"| {np.mean(shares[name]):.0%} |"
        )


def every_base(day: Day, scores: Mapping[str, Floats]) -> Doubles:
    """Recall of the own past items."""
    return day.baskets.recall(top_k_of(scores[BASE], K)[0])


def words(values: Sequence[Doubles], days: Sequence[Day], *, sign: bool = False) -> str:
    """Mean over days of the mean over users, with its interval."""
    return estimate_words(values, [day.baskets.users for day in days], sign=sign)


def estimate_words(
    values: Sequence[Doubles], users: Sequence[Sequence[str]], *, sign: bool = False
) -> str:
    """Mean over days with its interval."""
    found = estimate(values, users)
    form = "+.4f" if sign else ".4f"
    return f"{found.value:{form}} ({found.low:{form}} to {found.high:{form}})"


def estimate(values: Sequence[Doubles], users: Sequence[Sequence[str]]) -> Estimate:
    """Mean over days; users are drawn with their rows of all days."""
    names = sorted({user for of_day in users for user in of_day})
    place = {user: row for row, user in enumerate(names)}
    dice = np.random.default_rng(0)
    drawn = np.stack([
        np.bincount(dice.integers(0, len(names), len(names)), minlength=len(names))
        for _ in range(RESAMPLES)
    ])  # fmt: skip
    spread = np.zeros(RESAMPLES)
    for of_day, who in zip(values, users, strict=True):
        counts = drawn[:, [place[user] for user in who]]
        spread += counts @ of_day / np.maximum(counts.sum(axis=1), 1) / len(values)
    mean = float(np.mean([of_day.mean() for of_day in values]))
    low, high = percentile_interval(spread, 0.95)
    return Estimate(mean, low, high)


def model_before(purchases: pd.DataFrame, as_of: dt.date, folder: Path) -> SequenceModel:
    """A sequence model of what was bought before a day."""

    def train() -> SequenceModel:
        past = before(purchases, as_of, days=MEMORY_DAYS)
        _, batch = histories_batch(past, newest=NEWEST)
        vocabulary, histories = read_histories([batch], least=3)
        facts = words_of(past, vocabulary.items)
        model = fit_sequence_model(vocabulary, histories, CHOSEN, facts=facts, tell=tell)
        return refitted(model, histories, tell=tell) if CHOSEN.refit else model

    return trained(folder, f"before-{as_of}", train)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True, help="where trained models are kept")
    parser.add_argument("--test", action="store_true", help="October 1 and November 1")
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    torch.set_num_threads(given.threads)
    given.folder.mkdir(parents=True, exist_ok=True)
    purchases = read_purchases()
    wanted = TEST if given.test else VALIDATION
    model = model_before(purchases, wanted[0], given.folder)
    days = [day_of(purchases, as_of, model) for as_of in wanted]
    scores = [scores_of(day) for day in days]
    if not given.test:
        choose_weights(days, scores)
    show(days, scores)
    show_new(days)


if __name__ == "__main__":
    main()
