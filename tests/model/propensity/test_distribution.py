"""What a model keeps of how its training rows were spread."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from behavior_spark.model.propensity.distribution import (
    SCORES,
    STEPS_A_SCORE,
    describe_distribution,
    value_steps,
)
from behavior_spark.model.propensity.model import PropensityModel
from tests.model.propensity.test_propensity import shop, trained


@given(st.lists(st.floats(-1e30, 1e30, allow_subnormal=False), min_size=2, max_size=50))
def test_steps_keep_the_order_of_values(values: list[float]) -> None:
    ordered = np.sort(np.array(values))
    assert (np.diff(value_steps(ordered)) >= 0).all()


def test_a_model_says_how_its_features_and_unseen_scores_were_spread(tmp_path) -> None:
    frame = shop()
    model = PropensityModel.load(trained(frame).save(tmp_path / "m"))
    kept = model.metadata["learned_from"]
    for name in model.features:
        counts = kept["features"][name]
        known = frame[name].notna()
        assert sum(counts["users"]) == known.sum() and counts["unknown"] == (~known).sum()
        expected = pd.Series(value_steps(frame.loc[known, name].to_numpy(np.float32)))
        assert dict(zip(counts["steps"], counts["users"], strict=True)) == (
            expected.value_counts().to_dict()
        )
    scores = kept[SCORES]["score"]
    # Not of rows that the model has learned from: those of the last two days alone.
    assert sum(scores["users"]) == frame["as_of"].isin(sorted(frame["as_of"].unique())[-2:]).sum()
    rate = frame.loc[frame["as_of"] > frame["as_of"].min(), "label"].mean()
    assert abs(scores["total"] / sum(scores["users"]) - rate) < 0.05
    assert max(map(abs, scores["steps"])) < 20 * STEPS_A_SCORE
    json.dumps(kept, allow_nan=False)


def test_rows_count_by_their_weight_and_unknown_values_by_themselves() -> None:
    values = np.array([[1.0], [1.0], [np.nan]], dtype=np.float32)
    nothing = np.full(3, np.nan)
    kept = describe_distribution(
        ["n"], values, margins=nothing, predictions=nothing, weights=np.array([1.0, 3.0, 2.0])
    )
    assert kept == {
        "features": {"n": {"steps": [40], "users": [4.0], "unknown": 2.0, "total": 4.0}},
        "scores": {},
    }  # fmt: skip
