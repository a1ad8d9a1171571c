"""Nights whose tables and models are in an object store: an S3 server on loopback."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from deltalake import DeltaTable
from night_process import STORAGE, Tables, assert_same_tables, environment, run, tables

from behavior_spark.pipelines.demonstration import DemoResult
from behavior_spark.shared_folder import SharedFolder
from tests.conftest import ROOT

pytestmark = pytest.mark.real

WAREHOUSE = "s3a://night/w"


def test_a_night_in_an_object_store_gives_the_same_tables_and_the_next_machine_finds_its_models(
    demo_night: DemoResult,
    first_night: Tables,
    interpreted_night: list[str],
    another_machine: Callable[[str], None],
    tmp_path: Path,
) -> None:
    """Models and tables alike; the second command runs in another working directory."""
    settings = {"warehouse": WAREHOUSE, "models": f"{WAREHOUSE}/_models"}
    arguments = [
        *interpreted_night,
        "--config", str(ROOT / "conf" / "s3.yaml"),
        *[part for key, value in settings.items() for part in ("--set", f"{key}={value}")],
    ]  # fmt: skip
    models = SharedFolder(settings["models"])
    shutil.copytree(Path(demo_night.settings.models_path) / "text", models.path / "text")
    models.publish("text")
    command = [sys.executable, "-m", "behavior_spark"]
    root = str(Path(demo_night.layout.root).parent)
    run([*command, "nightly", *arguments], environment(DEMO_ROOT=root))
    assert_same_tables(first_night, tables(WAREHOUSE))
    by_night = _predictions()

    another_machine("second")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    arguments[arguments.index("conf/demo.yaml")] = str(ROOT / "conf" / "demo.yaml")
    # It trains none: without the models of the night it would fail.
    run([*command, "predict", *arguments], environment(DEMO_ROOT=root), cwd=elsewhere)
    pd.testing.assert_frame_equal(_predictions(), by_night)
    assert DeltaTable(f"{WAREHOUSE}/user_propensity", storage_options=STORAGE).version() > 0
    assert not [path for path in (*elsewhere.iterdir(), *ROOT.iterdir()) if "s3a" in path.name]


def _predictions() -> pd.DataFrame:
    """Model, probability and rank of each user and target."""
    table = DeltaTable(f"{WAREHOUSE}/user_propensity", storage_options=STORAGE).to_pandas()
    keys = ["user_id", "as_of", "target"]
    columns = [*keys, "model_digest", "probability"]
    return table[columns].sort_values(keys).reset_index(drop=True)
