"""A night in three tasks (the bundle's GPU job), into a Hive metastore, is the same night."""

from __future__ import annotations

import json
import sys

import pytest
from night_process import ROOT, assert_same_tables, environment, run, tables
from small_night import Shop

pytestmark = pytest.mark.real


def test_three_tasks_into_a_hive_metastore_give_the_tables_of_nightly_alone_in_a_folder(
    shop: Shop, interpreted: dict[str, str]
) -> None:
    shop.copy_text_model(shop.folder / "hive_models")
    script = str(ROOT / "tests" / "real" / "hive_night.py")
    command = [sys.executable, script, str(shop.folder), json.dumps(interpreted)]
    output = run(command, environment(PYTHONPATH=str(ROOT)))
    assert "ERROR" not in output, output
    assert_same_tables(shop.whole, tables(shop.folder / "managed" / "night.db"))
    done = json.loads(next(line for line in output.splitlines() if line.startswith("{")))
    # Nothing was left to the night's own cluster, which has no GPUs.
    assert done["scored_by_nightly"] == 0 < done["scored_before"]
    # The second night knew the first one's tables by their names, and the views stand beside them.
    assert done["statuses"] == ["done", "unchanged"], output  # says why it was done again
    assert done["latest_propensity"] == len(shop.whole["user_propensity"])
