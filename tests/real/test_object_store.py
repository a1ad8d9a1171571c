"""Nights whose tables and models are in an object store: an S3 server on loopback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from deltalake import DeltaTable
from night_process import STORAGE, assert_same_tables, environment, run, tables
from small_night import Shop

from behavior_spark.shared_folder import SharedFolder
from tests.conftest import ROOT

pytestmark = pytest.mark.real

WAREHOUSE = "s3a://night/w"


def test_a_night_in_an_object_store_gives_the_same_tables_and_the_next_machine_finds_its_models(
    shop: Shop,
    night_places: list[str],
    fast_plans: list[str],
    another_machine: Callable[[str], None],
    tmp_path: Path,
) -> None:
    """Models and tables alike; the second command runs in another working directory."""
    settings = {"warehouse": WAREHOUSE, "models": f"{WAREHOUSE}/_models"}
    arguments = [
        "--config", str(shop.plain), *night_places, *fast_plans,
        "--config", str(ROOT / "conf" / "s3.yaml"),
        *[part for key, value in settings.items() for part in ("--set", f"{key}={value}")],
    ]  # fmt: skip
    models = SharedFolder(settings["models"])
    shop.copy_text_model(models.path)
    models.publish("text")
    command = [sys.executable, "-m", "behavior_spark"]
    run([*command, "nightly", *arguments], environment())
    assert_same_tables(shop.whole, tables(WAREHOUSE))
    by_night = _predictions()

    another_machine("second")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    # It trains none: without the models of the night it would fail.
    run([*command, "predict", *arguments], environment(), cwd=elsewhere)
    pd.testing.assert_frame_equal(_predictions(), by_night)
    assert DeltaTable(f"{WAREHOUSE}/user_propensity", storage_options=STORAGE).version() > 0
    assert not [path for path in (*elsewhere.iterdir(), *ROOT.iterdir()) if "s3a" in path.name]


def _predictions() -> pd.DataFrame:
    """Model, probability and rank of each user and target."""
    table = DeltaTable(f"{WAREHOUSE}/user_propensity", storage_options=STORAGE).to_pandas()
    keys = ["user_id", "as_of", "target"]
    columns = [*keys, "model_digest", "probability"]
    return table[columns].sort_values(keys).reset_index(drop=True)
