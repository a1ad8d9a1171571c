"""The k best items of each user: exact, in blocks, ties by the item's code.

A score and an item's code make one integer that sorts as both: first the score, then the lower
code. So the best are the same however users and items are cut into blocks, and there are no ties.
"""

from __future__ import annotations

import numpy as np
import torch

from behavior_spark.errors import ModelError
from behavior_spark.model.arrays import Floats, Integers
from behavior_spark.model.sequence.histories import Histories

BUDGET_BYTES = 128 * 1024**2
ITEM_BLOCK = 16384
_CELL_BYTES = 20  # float32 score, int64 key, and what selection needs
_LOWEST = torch.iinfo(torch.int64).min
_CODES = 2**32


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
        rows = slice(first, first + user_block)
        vectors = torch.from_numpy(states[rows])
        left_out = seen.take(slice(first, min(first + user_block, len(states)))) if seen else None
        best = torch.empty((len(vectors), 0), dtype=torch.int64)
        for start in range(1, items + 1, item_block):
            products = vectors @ table[start : start + item_block].T
            keys = _keys(products, start, left_out)
            best = torch.cat([best, keys], dim=1)
            best = best.topk(min(k, best.shape[1]), dim=1).values
        codes[rows, : best.shape[1]], scores[rows, : best.shape[1]] = _read(best)
    return codes, scores


def top_k_of(scores: Floats, k: int, *, seen: Histories | None = None) -> tuple[Integers, Floats]:
    """The same for scores that are there already, float32 (users, items + 1)."""
    keys = _keys(torch.from_numpy(scores[:, 1:]), 1, seen)
    best = keys.topk(min(k, keys.shape[1]), dim=1).values
    codes = np.zeros((len(scores), k), dtype=np.int64)
    values = np.full((len(scores), k), -np.inf, dtype=np.float32)
    codes[:, : best.shape[1]], values[:, : best.shape[1]] = _read(best)
    return codes, values


def ranks(
    states: Floats, outputs: Floats, answers: Integers, *, seen: Histories, users: int = 512
) -> Integers:
    """Place of each user's answer among all items not seen, int64 (users,), from 0.

    Ties are placed as in :func:`top_k`. An answer that is left out as seen is placed last.
    """
    places = np.empty(len(states), dtype=np.int64)
    table = torch.from_numpy(outputs)
    for rows, left_out in seen.blocks(users):
        products = torch.from_numpy(states[rows]) @ table.T
        places[rows] = places_of(products.numpy(), answers[rows], left_out)
    return places


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


def _keys(scores: torch.Tensor, first: int, seen: Histories | None) -> torch.Tensor:
    """Integers that sort as scores do, and for equal scores the lower code first."""
    if not torch.isfinite(scores).all() and torch.isnan(scores).any():
        raise ModelError(
            "a score of an item is not a number",
            fix="train the model again with a lower learning rate",
        )
    # The bits of a float32 sort as integers; those of negative ones in reverse.
    bits = (scores.float() + 0.0).contiguous().view(torch.int32).to(torch.int64)
    ordered = torch.where(bits < 0, -(bits & 0x7FFFFFFF), bits)
    codes = torch.arange(first, first + scores.shape[1])
    keys = ordered * _CODES + (_CODES - 1 - codes)
    if seen is not None:
        inside = (seen.items >= first) & (seen.items < first + scores.shape[1])
        columns = seen.items[inside].astype(np.int64) - first
        keys[torch.from_numpy(seen.owners[inside]), torch.from_numpy(columns)] = _LOWEST
    return keys


def _read(keys: torch.Tensor) -> tuple[Integers, Floats]:
    """Codes and scores of keys; code 0 and -inf for what was left out."""
    ordered = torch.div(keys, _CODES, rounding_mode="floor")
    codes = _CODES - 1 - (keys - ordered * _CODES)
    bits = torch.where(ordered < 0, (-ordered) | 0x80000000, ordered)
    bits = torch.where(bits >= 2**31, bits - 2**32, bits)
    scores = bits.to(torch.int32).view(torch.float32)
    absent = keys == _LOWEST
    return (
        codes.masked_fill(absent, 0).numpy(),
        scores.masked_fill(absent, -torch.inf).numpy(),
    )
