"""Signs of leakage in training rows."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pandas as pd
import pytest

from behavior_spark.model.measures.ranking import roc_auc
from behavior_spark.model.propensity.leakage import feature_aucs, train_on_shuffled_labels


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    dice = np.random.default_rng(2)
    size = 1600
    label = dice.integers(0, 2, size)
    return pd.DataFrame(
        {
            "user_id": [f"u{n % 800}" for n in range(size)],
            "as_of": [dt.date(2024, 1, 1) if n < 800 else dt.date(2024, 3, 1) for n in range(size)],
            "noise": dice.normal(size=size),
            "signal": label + dice.normal(size=size),
            "steps": np.where(dice.random(size) < 0.3, np.nan, dice.integers(0, 3, size)),
            "turned": -label.astype(float),
            "label_buys": label,
        }
    )


FEATURES = ["noise", "signal", "steps", "turned"]


def test_the_auc_of_every_feature_is_that_of_its_ranks_alone(rows: pd.DataFrame) -> None:
    found = feature_aucs(rows, FEATURES, "label_buys")
    alone = [
        roc_auc(rows["label_buys"], rows[name].fillna(-99).astype("float32")) for name in FEATURES
    ]
    assert found == pytest.approx(alone)
    assert found[3] == 0.0


def test_shuffled_labels_are_predicted_by_chance_alone(rows: pd.DataFrame) -> None:
    found = train_on_shuffled_labels(
        rows, target="buys", features=FEATURES, horizon_days=30, deviations=3.3, seed=7
    )
    assert found.by_chance
    assert 0.4 < found.low < 0.5 < found.high < 0.6
