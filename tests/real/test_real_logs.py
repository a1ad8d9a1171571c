"""Whole nights on the real logs, with the figures the README states."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from night_process import ROOT, environment, run

from behavior_spark.config import load_settings

pytestmark = pytest.mark.real


def night_of(config: str, data: Path, as_of: str, later: str, *overrides: str) -> dict[str, Any]:
    """What ``real_log.py`` found: notes of check, the night's figures, rows read, outcomes."""
    script = str(ROOT / "tests" / "real" / "real_log.py")
    places = {"BEHAVIOR_DATA": str(data), "FIRST_YEAR": "none", "PYTHONPATH": str(ROOT)}
    output = run([sys.executable, script, config, as_of, later, *overrides], environment(**places))
    return dict(json.loads(next(line for line in output.splitlines() if line.startswith("{"))))


def test_online_retail_reaches_its_figures_on_november(real_data: Path, tmp_path: Path) -> None:
    found = night_of(
        "conf/online_retail.yaml", real_data, "2011-11-01", "2011-12-10",
        # Audiences of it are measured by benchmarks/audiences.py.
        f"warehouse={tmp_path}", "audiences={}",
    )  # fmt: skip
    # A log that is in order: nothing is said of it but what it has not.
    notes = found["notes_of_check"]
    assert notes and all("read without it, as it is optional" in note for note in notes)
    assert found["figures"]["users"] == 4010
    assert found["figures"]["predictions"] == 3 * 4010
    events = [s for read in found["sources"] for s in read if s["table_name"] == "events"]
    assert sum(source["rows_in"] for source in events) == 541_909
    assert sum(source["duplicates"] for source in events) == 5_268
    for target, least in (("purchase_30d", 0.74), ("lunch_30d", 0.87), ("cancel_30d", 0.78)):
        outcome = found["outcomes"][target]
        assert outcome["users"] == 4010
        assert outcome["auc"] >= least, target
        assert set(outcome["baselines"]) == {"recency", "recency_frequency_value"}
        assert outcome["gains"]["recency"][0] > 0


def test_the_forum_night_runs_and_is_reported_beside_recency(
    real_data: Path, tmp_path: Path
) -> None:
    config = "conf/stackexchange.yaml"
    found = night_of(
        config, real_data, "2018-08-01", "2018-09-03",
        # The first words of a text are enough here: the night itself is what is tested.
        f"warehouse={tmp_path}", "text.max_length=16", "text.heads={}",
    )  # fmt: skip
    assert found["notes_of_check"] == []
    figures = found["figures"]
    assert figures["users"] == 364
    [events] = [source for source in found["sources"][0] if source["table_name"] == "events"]
    totals = {"read": events["rows_in"], "kept": events["rows_out"],
              "duplicates": events["duplicates"], "refused": events["refused"]}  # fmt: skip
    names = load_settings([config], environment={"BEHAVIOR_DATA": str(real_data)}).sources.events
    for what, total in totals.items():
        marked = f"events_{what}_from:"
        by_source = {n[len(marked) :]: v for n, v in figures.items() if n.startswith(marked)}
        assert set(by_source) == {source.name for source in names}
        assert sum(by_source.values()) == total
    [outcome] = found["outcomes"].values()
    assert outcome["auc"] > 0.8
    assert outcome["baselines"]["recency"] > 0.8
    low, high = outcome["gains"]["recency"]
    assert low < high
