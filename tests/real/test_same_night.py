"""The night by an older Spark in three tasks (the bundle's GPU job), into a Hive metastore.

The first two tasks are a client of Spark Connect, as on Databricks' standard compute.
"""

from __future__ import annotations

import json
import sys

import pandas as pd
import pytest
from night_process import ROOT, assert_same_tables, choices, run, tables, with_older_spark
from small_night import Shop

pytestmark = pytest.mark.real


@pytest.fixture
def older_spark() -> dict[str, str]:
    """An environment whose Spark is 4.0 with its own Delta."""
    env = with_older_spark()
    seen = run([sys.executable, "-c", "import pyspark; print(pyspark.__version__)"], env)
    assert seen.strip().endswith("4.0.1")
    return env


def test_spark_4_0_in_three_tasks_into_a_hive_metastore_gives_the_tables_of_connect_in_a_folder(
    shop: Shop, older_spark: dict[str, str], interpreted: dict[str, str]
) -> None:
    # Otherwise there would be no reasons, no members and no queue to compare.
    assert all(len(chosen) for chosen in shop.choices.values())
    assert shop.whole["user_propensity"]["reasons"].notna().any()
    shop.copy_text_model(shop.folder / "hive_models")
    script = str(ROOT / "tests" / "real" / "hive_night.py")
    arguments = [str(shop.folder), json.dumps(interpreted)]
    done = []
    for part, remote in (("texts", {"SPARK_REMOTE": "local[2]"}), ("night", {})):
        output = run([sys.executable, script, part, *arguments], older_spark | remote)
        assert "ERROR" not in output, output
        done.append(json.loads(next(x for x in output.splitlines() if x.startswith("{"))))
    managed = shop.folder / "managed" / "night.db"
    assert_same_tables(shop.whole, tables(managed))
    for name, chosen in choices(managed).items():
        pd.testing.assert_frame_equal(chosen, shop.choices[name], obj=name)
    before, night = done
    # Nothing was left to the night's own cluster, which has no GPUs.
    assert night["scored"] == before["scored"] > 0
    # The second night knew the first one's tables by their names, and the views stand beside them.
    assert night["statuses"] == ["done", "unchanged"], output  # says why it was done again
    assert night["latest_propensity"] == len(shop.whole["user_propensity"])
