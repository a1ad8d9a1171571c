"""The k best items of each user: exact, in blocks, ties by the item's code.

The k-th best score of a block says which items may be among the best, all that equal it included;
those few are sorted by score, then code. So the best are the same however users and items are cut
into blocks. A score of -inf leaves an item out.
"""

from __future__ import annotations

import numpy as np
import torch

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Floats, Integers
from behavior_spark.model.sequence.histories import Histories

BUDGET_BYTES = 128 * 1024**2
ITEM_BLOCK = 16384
_CELL_BYTES = 10  # float32 score, what selection copies of it, bool


def top_k(
    states: Floats,
    outputs: Floats,
    k: int,
    *,
    seen: Histories | None = None,
    budget_bytes: int = BUDGET_BYTES,
) -> tuple[Integers, Floats]:
    """The items with the largest products.

    Args:
        states: float32 (users, width).
        outputs: float32 (items + 1, width); row 0 is no item and never comes back.
        k: Number of items a user.
        seen: Items to leave out, for the same users.
        budget_bytes: Memory for scores at once.

    Returns:
        Codes of items, int64 (users, k), and scores, float32 (users, k), best first. Where a user
        has fewer than k items left, the rest is code 0 with score -inf.

    Raises:
        ModelError: A product is not a number.
    """
    items = len(outputs) - 1
    item_block = max(1, min(items, ITEM_BLOCK))
    user_block = max(1, budget_bytes // (_CELL_BYTES * item_block))
    codes = np.zeros((len(states), k), dtype=np.int64)
    scores = np.full((len(states), k), -np.inf, dtype=np.float32)
    table = torch.from_numpy(outputs)
    for first in range(0, len(states), user_block):
        rows = slice(first, min(first + user_block, len(states)))
        vectors = torch.from_numpy(states[rows])
        left_out = seen.take(rows) if seen is not None else None
        for start in range(1, items + 1, item_block):
            products = (vectors @ table[start : start + item_block].T).numpy()
            found, values = _best(products, start, k, left_out)
            codes[rows], scores[rows] = _merged(
                np.concatenate([codes[rows], found], axis=1),
                np.concatenate([scores[rows], values], axis=1),
                k,
            )
    return codes, scores


def top_k_of(scores: Floats, k: int, *, seen: Histories | None = None) -> tuple[Integers, Floats]:
    """The same for scores that are there already, float32 (users, items + 1)."""
    return _best(scores[:, 1:].copy(), 1, k, seen)


def ranks(
    states: Floats,
    outputs: Floats,
    answers: Integers,
    *,
    seen: Histories,
    budget_bytes: int = BUDGET_BYTES,
) -> Integers:
    """Place of each user's answer among all items not seen, int64 (users,), from 0.

    Ties are placed as in :func:`top_k`. An answer that is left out as seen is placed last.
    """
    places = np.empty(len(states), dtype=np.int64)
    table = torch.from_numpy(outputs)
    for rows, left_out in seen.blocks(users_at_once(len(outputs), budget_bytes)):
        products = torch.from_numpy(states[rows]) @ table.T
        places[rows] = places_of(products.numpy(), answers[rows], left_out)
    return places


def users_at_once(items: int, budget_bytes: int = BUDGET_BYTES) -> int:
    """Users whose scores of all items fit into the memory."""
    return max(1, min(512, budget_bytes // (_CELL_BYTES * items)))


def places_of(scores: Floats, answers: Integers, seen: Histories) -> Integers:
    """Place of each answer in its row of scores, float32 (users, items + 1); from 0."""
    table = scores.copy()
    table[seen.owners, seen.items] = -np.inf
    table[:, 0] = -np.inf
    rows = np.arange(len(table))
    wanted = table[rows, answers]
    places = np.count_nonzero(table > wanted[:, None], axis=1)
    # Equal scores are rare, so codes are compared in those rows alone.
    tied = np.flatnonzero(np.count_nonzero(table == wanted[:, None], axis=1) > 1)
    for row in tied:
        places[row] += np.count_nonzero(table[row, 1 : answers[row]] == wanted[row])
    places[wanted == -np.inf] = table.shape[1]
    return np.asarray(places)


def _best(scores: Floats, first: int, k: int, seen: Histories | None) -> tuple[Integers, Floats]:
    """Codes and scores of the k best of items ``first`` on; ``scores`` is changed."""
    if np.isnan(scores).any():
        raise ModelError(
            "a score of an item is not a number",
            fix="train the model again with a lower learning rate",
        )
    if seen is not None:
        inside = (seen.items >= first) & (seen.items < first + scores.shape[1])
        scores[seen.owners[inside], seen.items[inside] - first] = -np.inf
    codes = np.zeros((len(scores), k), dtype=np.int64)
    values = np.full((len(scores), k), -np.inf, dtype=np.float32)
    if not scores.size:
        return codes, values
    limits = torch.from_numpy(scores).topk(min(k, scores.shape[1]), dim=1).values[:, -1:].numpy()
    rows, columns = np.nonzero((scores >= limits) & (scores > -np.inf))
    found = scores[rows, columns]
    order = np.lexsort((columns, -found, rows))
    starts = np.searchsorted(rows, np.arange(len(scores)))
    place = np.arange(len(order)) - starts[rows]  # rows are in order before and after sorting
    kept = place < k
    codes[rows[kept], place[kept]] = columns[order][kept] + first
    values[rows[kept], place[kept]] = found[order][kept]
    return codes, values


def _merged(codes: Integers, scores: Floats, k: int) -> tuple[Integers, Floats]:
    """The k best of each row, by score, then code; code 0 last."""
    order = np.lexsort((codes, -scores), axis=1)[:, :k]
    return np.take_along_axis(codes, order, 1), np.take_along_axis(scores, order, 1)
