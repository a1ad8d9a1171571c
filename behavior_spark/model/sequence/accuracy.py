"""Measures of lists of next items: Recall@k, NDCG@k, coverage, with intervals over users."""

from __future__ import annotations

import numpy as np

from behavior_spark.model.arrays import Doubles, Integers
from behavior_spark.model.measures.classification import Estimate, estimate_mean


def recall_at(places: Integers, k: int) -> Doubles:
    """1 where a user's answer is among the first k, else 0; float64 (users,).

    >>> recall_at(np.array([0, 9, 10]), 10)
    array([1., 1., 0.])
    """
    return (places < k).astype(np.float64)


def ndcg_at(places: Integers, k: int) -> Doubles:
    """1 / log2(place + 2) where a user's one answer is among the first k, else 0.

    Jarvelin & Kekalainen 2002; with one answer the best possible is 1.

    >>> ndcg_at(np.array([0, 2, 10]), 10)
    array([1. , 0.5, 0. ])
    """
    return np.where(places < k, 1 / np.log2(places + 2.0), 0.0)


def item_coverage(codes: Integers, items: int) -> float:
    """Share of all items that are in the list of at least one user.

    >>> item_coverage(np.array([[1, 2], [2, 0]]), items=4)
    0.5
    """
    return len(np.setdiff1d(codes, [0])) / items if items else float("nan")


def mean_over_users(values: Doubles, *, resamples: int = 1000, seed: int = 0) -> Estimate:
    """Mean with a 95 % percentile interval over resampled users."""
    return estimate_mean(values, resamples=resamples, seed=seed)


def mean_difference(
    left: Doubles, right: Doubles, *, resamples: int = 1000, seed: int = 0
) -> Estimate:
    """Mean of left minus right over the same users, with a paired 95 % interval."""
    return estimate_mean(left - right, resamples=resamples, seed=seed)
