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
    """Models and tables alike; the second night runs in another working directory."""
    settings = {"warehouse": WAREHOUSE, "models": f"{WAREHOUSE}/_models"}
    arguments = [
        *interpreted_night,
        "--config", str(ROOT / "conf" / "s3.yaml"),
        *[part for key, value in settings.items() for part in ("--set", f"{key}={value}")],
    ]  # fmt: skip
    models = SharedFolder(settings["models"])
    shutil.copytree(Path(demo_night.settings.models_path) / "text", models.path / "text")
    models.publish("text")
    nightly = [sys.executable, "-m", "behavior_spark", "nightly"]
    root = str(Path(demo_night.layout.root).parent)
    run([*nightly, *arguments], environment(DEMO_ROOT=root))
    assert_same_tables(first_night, tables(WAREHOUSE))

    another_machine("second")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    arguments[arguments.index("conf/demo.yaml")] = str(ROOT / "conf" / "demo.yaml")
    next_day = (demo_night.layout.as_of + pd.Timedelta(days=1)).isoformat()
    arguments[arguments.index("--as-of") + 1] = next_day
    run([*nightly, *arguments], environment(DEMO_ROOT=root), cwd=elsewhere)
    predicted = DeltaTable(f"{WAREHOUSE}/user_propensity", storage_options=STORAGE).to_pandas()
    digests = predicted.groupby(["as_of", "target"])["model_digest"].unique()
    assert digests.map(len).eq(1).all() and digests.index.levels[0].size == 2
    assert digests.groupby("target").agg(lambda nights: len({n[0] for n in nights})).eq(1).all()
    assert list(elsewhere.iterdir()) == [] and not (ROOT / "s3a:").exists()
