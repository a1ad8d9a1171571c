"""The demo night that other ways of running Spark must reproduce."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from deltalake import DeltaTable
from night_process import Tables, tables

from behavior_spark.pipelines.demonstration import DemoResult
from tests.demo_shop import NIGHT


@pytest.fixture
def models_copy(demo_night: DemoResult, tmp_path: Path) -> Path:
    """The demo's text model alone, so that propensity models are trained anew."""
    source = Path(demo_night.settings.models_path)
    shutil.copytree(source / "text", tmp_path / "models" / "text")
    return tmp_path / "models"


@pytest.fixture
def night_arguments(demo_night: DemoResult, models_copy: Path, tmp_path: Path) -> list[str]:
    """Options of ``nightly`` that repeat the demo's night into another warehouse."""
    return [
        "--config", "conf/demo.yaml",
        "--set", f"warehouse={tmp_path / 'warehouse'}",
        "--set", f"models={models_copy}",
        *[part for setting in NIGHT for part in ("--set", setting)],
        # As the suite's own session: the same texts in the same batches.
        "--set", "spark.shuffle_partitions=2",
        "--as-of", demo_night.layout.as_of.isoformat(),
    ]  # fmt: skip


@pytest.fixture
def interpreted_night(night_arguments: list[str], interpreted: dict[str, str]) -> list[str]:
    """The same where only the answers matter: compiling is a third of so small a night.

    Plans are made anew after each shuffle, as in real sessions; the demo's own night does not.
    """
    return [*night_arguments, "--set", f"spark.conf={json.dumps(interpreted)}"]


@pytest.fixture(scope="session")
def first_night(demo_night: DemoResult) -> Tables:
    """The demo's tables as its night left them: what the others are compared with."""
    warehouse = str(demo_night.settings.warehouse.path)
    runs = DeltaTable(f"{warehouse}/runs").to_pandas().set_index("run_id")
    night = runs.loc[demo_night.steps["nightly"].run_id]
    return tables(warehouse, at=night.started_at + pd.Timedelta(seconds=night.seconds))
