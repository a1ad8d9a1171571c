"""Whole nights on the real logs, with the figures the README states."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest
from pyspark.sql import SparkSession
from rich.console import Console

from behavior_spark.config import load_settings
from behavior_spark.pipelines import commands, report_commands
from behavior_spark.pipelines.reports.outcomes import Reported

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("compiled")]

QUIET = Console(quiet=True)


def test_online_retail_reaches_its_figures_on_november(
    spark: SparkSession, real_data: Path, tmp_path: Path
) -> None:
    settings = load_settings(
        ["conf/online_retail.yaml"],
        # Audiences of it are measured by benchmarks/audiences.py.
        overrides=[f"warehouse={tmp_path}", "audiences={}"],
        environment={"BEHAVIOR_DATA": str(real_data), "FIRST_YEAR": "none"},
    )
    as_of = dt.date(2011, 11, 1)
    night = commands.nightly(settings, as_of=as_of, spark=spark, console=QUIET)
    assert night.figures["users"] == 4010
    assert night.figures["predictions"] == 3 * 4010
    later = commands.ingest(settings, as_of=dt.date(2011, 12, 10), spark=spark, console=QUIET)
    read = {
        name: [s for r in (night, later) for s in r.sources if s.table_name == name]
        for name in ("events", "items")
    }
    assert sum(s.rows_in for s in read["events"]) == 541_909
    assert sum(s.duplicates for s in read["events"]) == 5_268
    report = report_commands.report(settings, as_of=as_of, spark=spark, console=QUIET)
    measured = {o.target: o for o in report.of(Reported).outcomes}
    for target, least in (("purchase_30d", 0.74), ("lunch_30d", 0.87), ("cancel_30d", 0.78)):
        outcome = measured[target]
        assert outcome.users == 4010
        assert outcome.measured["AUC"].value >= least, target
        assert set(outcome.baselines) == {"recency", "recency_frequency_value"}
        assert outcome.gains["recency"].low > 0


def test_the_forum_night_runs_and_is_reported_beside_recency(
    spark: SparkSession, real_data: Path, tmp_path: Path
) -> None:
    settings = load_settings(
        ["conf/stackexchange.yaml"],
        # The first words of a text are enough here: the night itself is what is tested.
        overrides=[f"warehouse={tmp_path}", "text.max_length=16", "text.heads={}"],
        environment={"BEHAVIOR_DATA": str(real_data)},
    )
    as_of = dt.date(2018, 8, 1)
    night = commands.nightly(settings, as_of=as_of, spark=spark, console=QUIET)
    assert night.figures["users"] == 364
    [events] = [counts for counts in night.sources if counts.table_name == "events"]
    totals = {"read": events.rows_in, "kept": events.rows_out, "duplicates": events.duplicates,
              "refused": events.refused}  # fmt: skip
    for what, total in totals.items():
        marked = f"events_{what}_from:"
        by_source = {n[len(marked) :]: v for n, v in night.figures.items() if n.startswith(marked)}
        assert set(by_source) == {source.name for source in settings.sources.events}
        assert sum(by_source.values()) == total
    commands.ingest(settings, as_of=dt.date(2018, 9, 3), spark=spark, console=QUIET)
    report = report_commands.report(settings, as_of=as_of, spark=spark, console=QUIET)
    outcome = report.of(Reported).outcomes[0]
    assert outcome.measured["AUC"].value > 0.8
    assert outcome.baselines["recency"].value > 0.8
    assert outcome.gains["recency"].low < outcome.gains["recency"].high
