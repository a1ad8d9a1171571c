"""Training from features on disk: the same rows, and as good a model as in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from behavior_spark.errors import ModelError
from behavior_spark.model.propensity import matrix_on_disk, training
from behavior_spark.model.propensity.feature_matrix import varying_columns
from behavior_spark.model.propensity.learner import BASE_RATE
from behavior_spark.model.propensity.matrix_on_disk import MatrixOnDisk
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.training import train_propensity_model

NAMES = [f"f{n}" for n in range(8)]
ROWS = 12_000


def on_disk(folder: Path, values: np.ndarray) -> MatrixOnDisk:
    path = folder / "values"
    values.astype(np.float32).tofile(path)
    return MatrixOnDisk.read(path, columns=values.shape[1])


@pytest.fixture(scope="module")
def rows() -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of four days in no order; one feature is the same for all, one often unknown."""
    dice = np.random.default_rng(5)
    values = dice.exponential(3, (ROWS, len(NAMES)))
    values[:, 6] = 1.0
    values[dice.random(ROWS) < 0.4, 2] = np.nan
    chance = 1 / (1 + np.exp(2.5 - 0.5 * values[:, 0] + 0.3 * values[:, 1]))
    day = np.arange(ROWS) % 4
    frame = pd.DataFrame(
        {"user_id": [f"u{n // 4}" for n in range(ROWS)], "weight": 1.0 + day,
         "label": (dice.random(ROWS) < chance).astype(float),
         "as_of": pd.to_datetime("2024-01-01") + pd.to_timedelta(30 * day, unit="D"),
         "recency": values[:, 0]}
    )  # fmt: skip
    order = dice.permutation(ROWS)
    return frame.iloc[order].reset_index(drop=True), values[order]


def trained(frame: pd.DataFrame, **changes: Any) -> PropensityModel:
    return train_propensity_model(
        frame, target="buy", features=NAMES, label="label", as_of="as_of", horizon_days=30,
        weight="weight", baseline_columns={"recency": "recency"}, resamples=50, **changes,
    )  # fmt: skip


def test_a_model_learned_from_disk_in_many_blocks_is_as_good_as_one_learned_in_memory(
    rows: tuple[pd.DataFrame, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame, values = rows
    in_memory = trained(frame.join(pd.DataFrame(values, columns=NAMES)))
    blocks = MatrixOnDisk.blocks
    monkeypatch.setattr(MatrixOnDisk, "blocks", lambda self, size=1000: blocks(self, size))
    monkeypatch.setattr(training, "_SKETCHED_ROWS", 6000)
    from_disk = trained(frame, matrix=on_disk(tmp_path, values))
    assert from_disk.features == in_memory.features and "f6" not in from_disk.features
    assert from_disk.metadata["rows"] == ROWS and from_disk.ranks
    measures = [m.metrics["holdout"]["roc_auc"]["value"] for m in (in_memory, from_disk)]
    assert measures[0] > 0.65 and abs(measures[0] - measures[1]) < 0.001
    new = pd.DataFrame(np.random.default_rng(6).exponential(3, (2000, 8)), columns=NAMES)
    margins = [model.margins(new) for model in (in_memory, from_disk)]
    assert np.corrcoef(*margins)[0, 1] > 0.999
    assert from_disk.baselines == in_memory.baselines
    assert not list(tmp_path.glob("*trees*"))  # XGBoost's own files are gone


def test_in_one_block_the_model_is_the_same(
    rows: tuple[pd.DataFrame, np.ndarray], tmp_path: Path
) -> None:
    frame, values = rows
    in_memory = trained(frame.join(pd.DataFrame(values, columns=NAMES)))
    assert trained(frame, matrix=on_disk(tmp_path, values)).digest == in_memory.digest


def test_a_learner_that_cannot_read_from_disk_says_what_to_do(
    rows: tuple[pd.DataFrame, np.ndarray], tmp_path: Path
) -> None:
    frame, values = rows
    with pytest.raises(ModelError, match=r"raise training\.rows_in_memory, or use xgboost"):
        trained(frame, matrix=on_disk(tmp_path, values), learner=BASE_RATE)


@given(data=st.data())
def test_rows_and_columns_of_a_matrix_on_disk_are_those_of_the_same_in_memory(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    values = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    values[:, 1] = 2.0
    values[data.draw(st.lists(st.integers(0, 49), max_size=5)), 3] = np.nan
    stored = on_disk(tmp_path_factory.mktemp("matrix"), values)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=50, max_size=50)))
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=4, max_size=4)))
    part = matrix_on_disk.columns_of(matrix_on_disk.rows_of(stored, mask), kept)
    expected = values[mask][:, kept]
    assert part.shape == expected.shape
    np.testing.assert_array_equal(np.asarray(part), expected)
    size = data.draw(st.integers(1, 60))
    assert isinstance(part, MatrixOnDisk)
    read = [np.empty((0, expected.shape[1])), *part.blocks(size)]
    np.testing.assert_array_equal(np.concatenate(read), expected)
    np.testing.assert_array_equal(varying_columns(stored), varying_columns(values))
