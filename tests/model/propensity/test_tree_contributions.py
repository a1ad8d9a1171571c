"""Contributions from tables are those that XGBoost computes, row by row."""

from __future__ import annotations

import json
import math
from itertools import combinations

import numpy as np
import pytest
import xgboost

from behavior_spark.model.propensity import tree_contributions
from behavior_spark.model.propensity.learner import find_learner
from behavior_spark.model.propensity.tree_contributions import TreeContributions


def rows_of(seed: int, rows: int, features: int) -> np.ndarray:
    """Counts, of which many are equal, and long tails, some unknown."""
    dice = np.random.default_rng(seed)
    values = dice.poisson(2, (rows, features)).astype(np.float32)
    values[:, ::2] = dice.exponential(5, values[:, ::2].shape)
    values[dice.random(values.shape) < 0.1] = np.nan
    return values


def boosted(depth: int, features: int, *, rounds: int = 20) -> xgboost.Booster:
    values = rows_of(depth, 3000, features)
    dice = np.random.default_rng(depth)
    sums = np.nan_to_num(values[:, :4]).sum(axis=1)
    labels = dice.random(len(values)) < 1 / (1 + np.exp(sums.mean() - sums))
    settings = {
        "objective": "binary:logistic", "max_depth": depth, "learning_rate": 0.3, "subsample": 0.7,
        "colsample_bytree": 0.5, "seed": 1,
    }  # fmt: skip
    return xgboost.train(settings, xgboost.DMatrix(values, labels), num_boost_round=rounds)


def tables_of(booster: xgboost.Booster) -> TreeContributions | None:
    model = json.loads(booster.save_raw("json"))
    return TreeContributions.of(model["learner"]["gradient_booster"]["model"]["trees"])


# Few features come up again and again on one path; many are seldom there twice.
@pytest.mark.parametrize(("depth", "features"), [(1, 5), (2, 3), (4, 3), (4, 40), (6, 4), (6, 30)])
def test_they_are_those_of_xgboost(depth: int, features: int) -> None:
    booster, values = boosted(depth, features), rows_of(99, 5000, features)
    tables = tables_of(booster)
    assert tables is not None
    found = tables.contributions(values)
    expected = booster.predict(xgboost.DMatrix(values), pred_contribs=True)[:, :-1]
    assert found.shape == expected.shape and np.abs(expected).max() > 0.1
    assert np.abs(found - expected).max() < 2e-5
    # Alone a row has the same.
    assert np.array_equal(tables.contributions(values[7:8])[0], found[7])


def test_with_the_bias_they_add_up_to_the_margin() -> None:
    booster, values = boosted(4, 10, rounds=200), rows_of(5, 2000, 10)
    data = xgboost.DMatrix(values)
    bias = booster.predict(data, pred_contribs=True)[:, -1]
    tables = tables_of(booster)
    assert tables is not None
    summed = tables.contributions(values).sum(axis=1) + bias
    assert np.abs(summed - booster.predict(data, output_margin=True)).max() < 1e-4


def test_a_case_is_the_mean_over_all_orders_of_features() -> None:
    """Shapley's definition, by every set of known features."""
    shares = np.array([0.2, 0.7, 0.5])

    def reached(known: tuple[int, ...], case: int) -> float:
        return math.prod((case >> f) & 1 if f in known else shares[f] for f in range(3))

    for own in range(3):
        others = [f for f in range(3) if f != own]
        for case in range(8):
            value = sum(
                (reached((*known, own), case) - reached(known, case))
                * math.factorial(size) * math.factorial(2 - size) / math.factorial(3)
                for size in range(3)
                for known in combinations(others, size)
            )  # fmt: skip
            assert tree_contributions._cases(shares[None])[0, own, case] == pytest.approx(value)


def test_trees_without_a_split_contribute_nothing() -> None:
    values = rows_of(1, 50, 3)
    booster = xgboost.train(
        {"min_child_weight": 1e9}, xgboost.DMatrix(values, np.ones(50)), num_boost_round=3
    )
    tables = tables_of(booster)
    assert tables is not None and not tables.blocks
    assert not tables.contributions(values).any()


def test_trees_that_are_too_deep_for_tables_are_left_to_xgboost(monkeypatch) -> None:
    values = rows_of(3, 500, 6)
    learner = find_learner("xgboost")
    labels = (np.nan_to_num(values[:, 0]) > 3).astype(float)
    fitted = learner.fit(values, labels, options=learner.make_options(rounds=10))
    by_tables = fitted.contributions(values)
    monkeypatch.setattr(tree_contributions, "MOST_CELLS", 10)
    again = learner.load(fitted.to_bytes() + b"")
    from behavior_spark.model.propensity.learners import xgboost as trees

    trees.contribution_tables.cache_clear()
    by_xgboost = again.contributions(values)
    trees.contribution_tables.cache_clear()
    assert np.abs(by_tables - by_xgboost).max() < 2e-5
    assert not np.array_equal(by_tables, by_xgboost)  # computed in another way
