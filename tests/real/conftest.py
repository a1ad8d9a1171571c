"""The demo night that other ways of running Spark must reproduce."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from behavior_spark.pipelines.demonstration import DemoResult


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
        "--set", "training.min_positives=5",
        "--set", "text.finetune=heads",
        # As the suite's own session: the same texts in the same batches.
        "--set", "spark.shuffle_partitions=2",
        "--as-of", demo_night.layout.as_of.isoformat(),
    ]  # fmt: skip


@pytest.fixture(scope="session")
def first_night(spark, demo_night: DemoResult, tmp_path_factory: pytest.TempPathFactory) -> Path:  # type: ignore[no-untyped-def]
    """The demo's night alone in a warehouse of its own: what the others are compared with."""
    from rich.console import Console

    from behavior_spark.config import WarehouseSettings
    from behavior_spark.pipelines import commands

    folder = tmp_path_factory.mktemp("first")
    settings = demo_night.settings.model_copy(
        update={
            "warehouse": WarehouseSettings(path=str(folder / "warehouse")),
            "models": demo_night.settings.models_path,
        }
    )
    commands.nightly(
        settings, as_of=demo_night.layout.as_of, spark=spark, console=Console(quiet=True)
    )
    return folder / "warehouse"
