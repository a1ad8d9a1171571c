"""A shop's night, made once, that other ways of running Spark must reproduce."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from night_process import environment, run, tables
from pyspark.sql import SparkSession
from rich.console import Console
from small_night import AS_OF, DAYS, SEED, USERS, Shop, small_settings, write_config

from behavior_spark.demo.generate import generate_demo
from behavior_spark.pipelines import finetune, nightly

QUIET = Console(quiet=True)


@pytest.fixture(scope="session")
def shop(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    folder = tmp_path_factory.mktemp("shop")
    generate_demo(spark, str(folder / "data"), users=USERS, days=DAYS, seed=SEED)
    settings = small_settings(folder, warehouse=str(folder / "whole"), models="models")
    finetune(settings, as_of=AS_OF, spark=spark, console=QUIET)
    night = nightly(settings, as_of=AS_OF, spark=spark, console=QUIET)
    # Otherwise there would be no reasons and no members to compare.
    assert night.details["targets"]["purchase_30d"]["ranked"]
    config = write_config(settings, folder / "night.yaml")
    plain = small_settings(folder, warehouse=str(folder / "whole"), models="models", plain=True)
    plain_config = write_config(plain, folder / "plain.yaml")
    return Shop(folder, config, plain_config, tables(folder / "whole"))


@pytest.fixture
def night_places(shop: Shop, tmp_path: Path) -> list[str]:
    """Options that repeat the shop's night into another warehouse, with the text model alone."""
    shop.copy_text_model(tmp_path / "models")
    return [
        "--set", f"warehouse={tmp_path / 'warehouse'}",
        "--set", f"models={tmp_path / 'models'}",
        "--as-of", AS_OF.isoformat(),
    ]  # fmt: skip


@pytest.fixture
def fast_plans(interpreted: dict[str, str]) -> list[str]:
    """Options for nights where only the answers matter: compiling is a third of so small a night.

    Plans are made anew after each shuffle, as in real sessions; the suite's own do not.
    """
    return ["--set", f"spark.conf={json.dumps(interpreted)}"]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place)]
    run(build, environment())
    return next(place.glob("*.whl"))
