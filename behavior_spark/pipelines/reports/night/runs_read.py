"""Runs and rows of a night."""

from __future__ import annotations

from typing import Any

import pandas as pd
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from behavior_spark.report.page.facts import NightRun
from behavior_spark.runs.run import Run
from behavior_spark.schemas import EVENTS, QUARANTINE, RUNS, TEXTS, Contract

MOST_RUNS = 400
DAYS_BACK = 30
# Commands that read rows.
READERS = ("nightly", "ingest")


def read_runs(run: Run) -> list[NightRun]:
    """The latest runs of nights up to this one, the oldest first."""
    rows = (
        run.warehouse.read(RUNS)
        .where(F.col("as_of") <= F.lit(run.as_of))
        .select(
            "run_id", "command", "as_of", "started_at", "seconds", "status", "balanced", "error",
            "sources", "stages", "figures", "models",
        )
        .orderBy(F.desc("started_at"))
        .limit(MOST_RUNS)
        .collect()
    )  # fmt: skip
    return [_night_run(row) for row in reversed(rows)]


def _night_run(row: Row) -> NightRun:
    counts: dict[str, dict[str, int]] = {}
    for source in row["sources"] or []:
        fields: dict[str, Any] = source.asDict()
        table = fields.pop("table_name")
        counts[table] = {name: int(n or 0) for name, n in fields.items()}
    return NightRun(
        run_id=row["run_id"],
        command=row["command"],
        as_of=row["as_of"],
        started_at=row["started_at"],
        seconds=row["seconds"] or 0.0,
        status=row["status"],
        balanced=row["balanced"] is not False,
        error=row["error"],
        sources=counts,
        stages=row["stages"] or {},
        figures=row["figures"] or {},
        models=row["models"] or {},
    )


def refused_rows(run: Run, night: NightRun | None) -> pd.DataFrame:
    """Refused rows of the night: table_name, source, reason, rows.

    A night that is run again replaces those of its as_of.
    """
    of_night = F.col("as_of") == F.lit(night.as_of) if night else F.lit(False)
    refused = run.warehouse.read(QUARANTINE).where(of_night)
    return (
        refused.groupBy("table_name", "source", "reason")
        .agg(F.sum("refused_rows").alias("rows"))
        .toPandas()
    )


def rows_by_day(run: Run) -> pd.DataFrame:
    """Rows stored by day of arrival, of the days before the night: table_name, day, rows."""
    frames = [_by_day(run, contract) for contract in (EVENTS, TEXTS)]
    both: DataFrame = frames[0].unionByName(frames[1])
    return both.toPandas()


def _by_day(run: Run, contract: Contract) -> DataFrame:
    day = F.col("arrived_day")
    return (
        run.warehouse.read(contract)
        .where((day < F.lit(run.as_of)) & (day >= F.date_sub(F.lit(run.as_of), DAYS_BACK)))
        .groupBy(F.lit(contract.name).alias("table_name"), day.alias("day"))
        .agg(F.count(F.lit(1)).alias("rows"))
    )
