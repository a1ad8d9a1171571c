"""A night on a cluster whose tables and models are in an object store: an S3 server on loopback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from deltalake import DeltaTable
from night_process import CLI, STORAGE, assert_same_tables, environment, run, tables
from small_night import AS_OF, Shop

from behavior_spark.config import load_settings
from behavior_spark.io.session import delta_jars
from behavior_spark.shared_folder import SharedFolder
from tests.conftest import ROOT

pytestmark = pytest.mark.real

WAREHOUSE = "s3a://night/w"
S3_CONFIG = ROOT / "conf" / "s3.yaml"


def test_a_cluster_with_an_object_store_gives_the_same_tables_and_the_next_machine_its_models(
    another_machine: Callable[[str], None],
    cluster: str,
    shop: Shop,
    interpreted: dict[str, str],
    fast_plans: list[str],
    wheel: Path,
    tmp_path: Path,
) -> None:
    """The night by spark-submit on a standalone cluster; then one stage on another machine alone.

    Tables and models are in the store. The second command has another working directory too.
    """
    settings = {"warehouse": WAREHOUSE, "models": f"{WAREHOUSE}/_models"}
    arguments = [
        "--config", str(shop.plain), "--as-of", AS_OF.isoformat(),
        *[part for key, value in settings.items() for part in ("--set", f"{key}={value}")],
    ]  # fmt: skip
    store = load_settings([shop.plain, S3_CONFIG]).spark.conf
    models = SharedFolder(settings["models"])
    shop.copy_text_model(models.path)
    models.publish("text")
    run(
        [str(Path(sys.executable).parent / "spark-submit"), "--master", cluster,
         "--properties-file", "conf/cluster.properties", "--jars", delta_jars()["spark.jars"],
         *[part for key, value in {**store, **interpreted}.items()
           for part in ("--conf", f"{key}={value}")],
         "--py-files", str(wheel), "jobs/nightly.py", *arguments],
        environment(),
    )  # fmt: skip
    assert_same_tables(shop.whole, tables(WAREHOUSE))
    by_night = _predictions()

    another_machine("second")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    # It trains none: without the models of the night it would fail.
    alone = [*arguments, *fast_plans, "--config", str(S3_CONFIG)]
    run([*CLI, "predict", *alone], environment(), cwd=elsewhere)
    pd.testing.assert_frame_equal(_predictions(), by_night)
    assert DeltaTable(f"{WAREHOUSE}/user_propensity", storage_options=STORAGE).version() > 0
    assert not [path for path in (*elsewhere.iterdir(), *ROOT.iterdir()) if "s3a" in path.name]


def _predictions() -> pd.DataFrame:
    """Model, probability and rank of each user and target."""
    table = DeltaTable(f"{WAREHOUSE}/user_propensity", storage_options=STORAGE).to_pandas()
    keys = ["user_id", "as_of", "target"]
    columns = [*keys, "model_digest", "probability"]
    return table[columns].sort_values(keys).reset_index(drop=True)
