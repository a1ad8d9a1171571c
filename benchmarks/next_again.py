"""Next baskets by what audiences recommend where they allow items that a member has had.

    python -m benchmarks.next_again           # July 3, August 2, September 1
    python -m benchmarks.next_again --test    # October 1, November 1

Users, baskets and recall@20 are those of ``benchmarks.next_baskets``. Lists follow the definitions
of ``uses.audiences`` (``recommending`` and ``again``), counted here by scipy from a year of
purchases, as a night reads by default; ``tests/uses`` hold Spark's lists to plain references of the
same. *Goes together, itself included* is what such audiences got before: an item that the user has
had counts as wholly similar to itself. The weight of the own past was chosen by
``benchmarks.next_baskets`` on the first command's days. Prints Markdown; brackets are 95 %
bootstrap intervals over users.
"""

from __future__ import annotations

import argparse
import datetime as dt
from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy import sparse

from behavior_spark.model.arrays import Doubles, Integers
from behavior_spark.uses.audiences.again import OWN_DECAY, OWN_WEIGHT
from behavior_spark.uses.audiences.recommending import NEIGHBOURS, SHRINKAGE
from benchmarks.next_baskets import (
    MEMORY_DAYS,
    TEST,
    VALIDATION,
    K,
    bought_within,
    estimate_words,
)
from benchmarks.retail_log import before, read_purchases

LEARN_DAYS, LATEST = 365, 50
BEFORE, OWN = "goes together, itself included", "own past, newest count most"
BOTH = f"own past and what goes together, {OWN_WEIGHT:g} to {1 - OWN_WEIGHT:g}"
# Far below any score: orders what has none by the number of its users.
_POPULAR = 1e-9


def next_baskets(purchases: pd.DataFrame, as_of: dt.date) -> Mapping[str, set[str]]:
    """Items of each user's next basket within the horizon, of users who had bought before."""
    later = bought_within(purchases, before(purchases, as_of, days=MEMORY_DAYS), as_of)
    first = later[later["day"] == later.groupby("user_id")["day"].transform("min")]
    return {str(user): set(items) for user, items in first.groupby("user_id")["item"]}


def latest_items(users: Integers, items: Integers, shape: tuple[int, int]) -> sparse.csr_array:
    """1 where an item is among a user's latest distinct ones, (users, items).

    Args:
        users: Of each event, in order of user and time.
        items: Of each event.
        shape: Users and items.
    """
    events = pd.DataFrame({"user": users, "item": items})
    distinct = events.drop_duplicates(keep="last")
    kept = distinct.groupby("user").tail(LATEST)
    ones = np.ones(len(kept))
    return sparse.csr_array((ones, (kept["user"], kept["item"])), shape=shape)


def own_past(users: Integers, items: Integers, shape: tuple[int, int]) -> sparse.csr_array:
    """Share of each item in a user's decayed events, (users, items); events in order."""
    age = pd.Series(users).groupby(users).cumcount(ascending=False).to_numpy()
    table = sparse.csr_array((OWN_DECAY**age, (users, items)), shape=shape)
    return as_shares(table)


def as_shares(table: sparse.csr_array) -> sparse.csr_array:
    """Rows divided by their sum."""
    sums = np.maximum(np.asarray(table.sum(axis=1)).ravel(), 1e-300)
    return sparse.csr_array(sparse.diags_array(1 / sums) @ table)


def similarity(latest: sparse.csr_array) -> sparse.csr_array:
    """Shrunk cosine of the users of two items, of the nearest ones alone, (items, items)."""
    both = (latest.T @ latest).tocoo()
    users = np.asarray(latest.sum(axis=0)).ravel()
    kept = (both.row != both.col) & (both.data > 1)
    row, col, n = both.row[kept], both.col[kept], both.data[kept]
    values = n / np.sqrt(users[row] * users[col]) * n / (n + SHRINKAGE)
    order = np.lexsort((col, -values, row))
    place = np.arange(len(order)) - np.searchsorted(row[order], row[order])
    nearest = order[place < NEIGHBOURS]
    return sparse.csr_array((values[nearest], (row[nearest], col[nearest])), shape=both.shape)


def recalls(purchases: pd.DataFrame, as_of: dt.date) -> tuple[list[str], dict[str, Doubles]]:
    """Users of a day, and the share of each one's basket that is in his list, by way."""
    truth = next_baskets(purchases, as_of)
    past = before(purchases, as_of, days=LEARN_DAYS)
    names, users = np.unique(past["user_id"].to_numpy(str), return_inverse=True)
    labels, items = np.unique(past["item"].to_numpy(str), return_inverse=True)
    shape = (len(names), len(labels))
    latest, own = latest_items(users, items, shape), own_past(users, items, shape)
    near = sparse.csr_array(latest @ similarity(latest))
    ways = {
        BEFORE: latest + near,
        OWN: own,
        BOTH: OWN_WEIGHT * own + (1 - OWN_WEIGHT) * as_shares(near),
    }
    popular = _POPULAR * np.asarray(latest.sum(axis=0)).ravel() / len(names)
    row_of = {name: row for row, name in enumerate(names)}
    found = {}
    for way, scores in ways.items():
        shares = []
        for user, basket in truth.items():
            row = popular.copy()
            if user in row_of:
                row += scores[[row_of[user]]].toarray().ravel()
            best = labels[np.argsort(-row, kind="stable")[:K]]
            shares.append(len(basket & set(best.tolist())) / len(basket))
        found[way] = np.array(shares)
    return list(truth), found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--test", action="store_true", help="October 1 and November 1")
    days = TEST if parser.parse_args().test else VALIDATION
    purchases = read_purchases()
    users: list[list[str]] = []
    by_way: dict[str, list[Doubles]] = {way: [] for way in (BEFORE, OWN, BOTH)}
    for as_of in days:
        who, found = recalls(purchases, as_of)
        users.append(who)
        for way, values in found.items():
            by_way[way].append(values)
    print(f"{sum(map(len, users)):,} baskets of {len(users)} days\n")
    print(f"| list | recall@{K} | over {BEFORE} |\n| --- | --- | --- |")
    for way, recall in by_way.items():
        gains = [new - old for new, old in zip(recall, by_way[BEFORE], strict=True)]
        over = "" if way == BEFORE else estimate_words(gains, users, sign=True)
        print(f"| {way} | {estimate_words(recall, users)} | {over} |")


if __name__ == "__main__":
    main()
