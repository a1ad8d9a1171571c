"""What a sequence model must beat: popularity, the last item's neighbours, Markov chain, item-kNN.

All are counts in sparse matrices. Where a user's events say nothing of an item, its popularity
decides, far below all others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from scipy import sparse

from behavior_spark.model.arrays import Doubles, Floats, Integers
from behavior_spark.model.sequence.histories import Histories
from behavior_spark.model.sequence.retrieval import places_of, top_k_of, users_at_once

_FAR_BELOW = 1e-6


class Ranker(Protocol):
    """Gives items scores by what a user did."""

    def scores(self, histories: Histories) -> Floats:
        """Score of each item, float32 (users, items + 1); column 0 is no item."""


@dataclass(frozen=True, eq=False)
class Popularity:
    """How often an item occurs, as a share.

    Attributes:
        shares: float64 (items + 1,).
    """

    shares: Doubles

    @classmethod
    def fit(cls, histories: Histories, *, items: int) -> Popularity:
        """Count the events of each item."""
        counts = np.bincount(histories.items, minlength=items + 1).astype(np.float64)
        counts[0] = 0.0
        return cls(counts / max(counts.sum(), 1.0))

    def scores(self, histories: Histories) -> Floats:
        """The same for all users."""
        return np.tile(self.shares.astype(np.float32), (len(histories), 1))


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Sum over a user's events of a similarity of items, less for older events.

    Attributes:
        similarity: Rows are items of events, columns items to rank; sparse (items + 1, items + 1).
        popularity: Shares of items, float64 (items + 1,).
        newest: How many events count, from the newest on.
        decay: Weight of an event over that of the next one.
    """

    similarity: sparse.csr_array
    popularity: Doubles
    newest: int
    decay: float

    def scores(self, histories: Histories) -> Floats:
        """Weighted sums of rows of the similarity, and popularity far below."""
        part = histories.newest(self.newest)
        age = np.repeat(part.offsets[1:], part.lengths) - 1 - np.arange(len(part.items))
        weights = np.power(self.decay, age)
        events = sparse.csr_array(
            (weights, part.items, part.offsets), shape=(len(part), self.similarity.shape[0])
        )
        table = (events @ self.similarity).toarray() + _FAR_BELOW * self.popularity
        return np.asarray(table, dtype=np.float32)


def last_item_neighbours(histories: Histories, *, items: int) -> Neighbours:
    """Share of the last item's users who had the other one too (co-occurrence)."""
    together, users = _together(histories, items)
    shares = sparse.diags_array(1 / np.maximum(users, 1)) @ together
    popularity = Popularity.fit(histories, items=items).shares
    return Neighbours(shares.tocsr(), popularity, newest=1, decay=1.0)


def item_knn(
    histories: Histories,
    *,
    items: int,
    neighbours: int = 100,
    shrink: float = 0.0,
    newest: int = 50,
    decay: float = 1.0,
) -> Neighbours:
    """Cosine of items' sets of users (Sarwar et al. 2001), of the nearest neighbours alone.

    Args:
        histories: Events to count.
        items: Number of items.
        neighbours: Largest similarities kept of each item.
        shrink: Added to the denominator, against chance among rare items.
        newest: How many events of a user count.
        decay: Weight of an event over that of the next one.
    """
    together, users = _together(histories, items)
    pairs = together.tocoo()
    scale = np.sqrt(users[pairs.row] * users[pairs.col]) + shrink
    cosine = sparse.csr_array((pairs.data / scale, (pairs.row, pairs.col)), shape=together.shape)
    kept = _nearest(cosine, neighbours)
    popularity = Popularity.fit(histories, items=items).shares
    return Neighbours(kept, popularity, newest=newest, decay=decay)


def markov_chain(histories: Histories, *, items: int, decay: float = 0.0) -> Neighbours:
    """Share of the last item's followers (first order).

    Args:
        histories: Events to count.
        items: Number of items.
        decay: Weight of an earlier event's followers over that of the next one; 0: the last
            event alone.
    """
    known = histories.known()
    inside = known.owners[1:] == known.owners[:-1]
    before, after = known.items[:-1][inside], known.items[1:][inside]
    steps = sparse.csr_array((np.ones(len(before)), (before, after)), shape=(items + 1, items + 1))
    shares = sparse.diags_array(1 / np.maximum(np.asarray(steps.sum(axis=1)), 1)) @ steps
    popularity = Popularity.fit(histories, items=items).shares
    newest = 50 if decay else 1
    return Neighbours(shares.tocsr(), popularity, newest=newest, decay=decay or 1.0)


def own_past(histories: Histories, *, items: int, decay: float = 1.0) -> Neighbours:
    """How often a user has had an item himself: repeat consumption, most bought first.

    The baseline that next-basket models seldom beat (Hu, He, Gao, Zhang 2020, TIFU-KNN,
    arXiv 2006.00556). Its items are old ones, so it is of no use where seen items are left out.

    Args:
        histories: Events to count popularity from, which orders what a user had equally often.
        items: Number of items.
        decay: Weight of an event over that of the next one.
    """
    popularity = Popularity.fit(histories, items=items).shares
    itself = sparse.eye_array(items + 1, format="csr")
    return Neighbours(itself, popularity, newest=2**31 - 1, decay=decay)


def judged(
    ranker: Ranker, histories: Histories, answers: Integers, k: int, *, items: int
) -> tuple[Integers, Integers]:
    """Lists of items not seen, and the place of each user's answer in the full one.

    Args:
        ranker: What ranks.
        histories: What came before.
        answers: Code of the item that came next, int64 (users,).
        k: Length of the lists.
        items: Number of items; users are scored in blocks that fit into the memory.

    Returns:
        Places from 0, int64 (users,), and codes of the k best items, int64 (users, k).
    """
    places = np.empty(len(histories), dtype=np.int64)
    codes = np.zeros((len(histories), k), dtype=np.int64)
    for rows, part in histories.blocks(users_at_once(items + 1)):
        scores = ranker.scores(part)
        codes[rows], _ = top_k_of(scores, k, seen=part)
        places[rows] = places_of(scores, answers[rows], part)
    return places, codes


def _together(histories: Histories, items: int) -> tuple[sparse.csr_array, Doubles]:
    """In how many users two items occur together, and in how many each does."""
    known = histories.known()
    had = sparse.csr_array(
        (np.ones(len(known.items)), known.items, known.offsets), shape=(len(known), items + 1)
    )
    had.sum_duplicates()
    had.data[:] = 1.0
    together = (had.T @ had).tocsr()
    users = together.diagonal()
    together.setdiag(0)
    together.eliminate_zeros()
    return together, users


def _nearest(similarity: sparse.csr_array, count: int) -> sparse.csr_array:
    """The ``count`` largest numbers of each row; ties by column."""
    similarity.sort_indices()
    rows = np.repeat(np.arange(similarity.shape[0]), np.diff(similarity.indptr))
    order = np.lexsort((similarity.indices, -similarity.data, rows))
    place = np.arange(len(order)) - similarity.indptr[rows[order]]
    kept = order[place < count]
    return sparse.csr_array(
        (similarity.data[kept], (rows[kept], similarity.indices[kept])), shape=similarity.shape
    )
