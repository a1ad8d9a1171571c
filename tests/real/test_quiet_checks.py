"""`check` says nothing of logs that are in order: no false warning."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from behavior_spark.config import Settings, load_settings
from behavior_spark.pipelines import commands
from behavior_spark.pipelines.demonstration import demo

pytestmark = pytest.mark.real
QUIET = Console(quiet=True)


def logs(spark: SparkSession, real_data: Path, tmp_path: Path) -> dict[str, Settings]:
    places = {"BEHAVIOR_DATA": str(real_data), "FIRST_YEAR": "none"}
    shop = demo(tmp_path, users=60, days=60, generate_only=True, spark=spark, console=QUIET)
    found = {
        name: load_settings([f"conf/{name}.yaml"], overrides=[f"warehouse={tmp_path}/{name}"],
                            environment=places)
        for name in ("online_retail", "stackexchange")
    }  # fmt: skip
    return {**found, "demo": shop.settings}


def test_check_is_quiet_on_the_retail_the_forum_and_the_demo_logs(
    spark: SparkSession, real_data: Path, tmp_path: Path, compiled: None
) -> None:
    notes = {
        name: commands.check(settings, spark=spark, console=QUIET).notes
        for name, settings in logs(spark, real_data, tmp_path).items()
    }
    # The shop's log has faulty rows on purpose; of them alone it speaks.
    planted = notes.pop("demo")
    assert planted and all("would be refused" in n or "usable time" in n for n in planted)
    retail = notes.pop("online_retail")
    assert retail and all("read without it, as it is optional" in note for note in retail)
    assert notes == {"stackexchange": ()}
