"""The same night under Spark Connect and an older Spark gives the same tables."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from night_process import ROOT, assert_same_tables, environment, run, tables
from small_night import Shop

pytestmark = pytest.mark.real

CLI = [sys.executable, "-m", "behavior_spark"]


def test_spark_connect_gives_the_same_tables(
    shop: Shop, night_places: list[str], fast_plans: list[str], tmp_path: Path
) -> None:
    night = ["nightly", "--config", str(shop.config), *night_places, *fast_plans]
    run([*CLI, *night], environment(SPARK_REMOTE="local[2]"))
    assert_same_tables(shop.whole, tables(tmp_path / "warehouse"))


def test_spark_4_0_with_its_delta_gives_the_same_tables(
    shop: Shop, night_places: list[str], fast_plans: list[str], tmp_path: Path
) -> None:
    older = os.environ.get("PYSPARK_40")
    if not older:
        if os.environ.get("CI"):
            pytest.fail("CI must bring Spark 4.0: make real sets PYSPARK_40")
        pytest.skip("PYSPARK_40 names no folder with pyspark 4.0 (make real sets it)")
    env = environment(PYTHONPATH=os.pathsep.join([older, str(ROOT)]))
    seen = run([sys.executable, "-c", "import pyspark; print(pyspark.__version__)"], env)
    assert seen.strip().endswith("4.0.1")
    run([*CLI, "nightly", "--config", str(shop.config), *night_places, *fast_plans], env)
    assert_same_tables(shop.whole, tables(tmp_path / "warehouse"))
