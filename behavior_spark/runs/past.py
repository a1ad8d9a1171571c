"""What earlier runs have done, from the table ``runs``."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql import functions as F

from behavior_spark.io.failures import spark_errors
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.schemas import RUNS

# Runs of which rows were read to the end.
INGESTED = "status = 'done' AND command IN ('ingest', 'nightly')"


@dataclass(frozen=True)
class PastNight:
    """A night that was done.

    Attributes:
        run_id: Of its run.
        started_at: As ``collect`` gives times: in the time zone of this machine.
        inputs: What it was made from, as a digest; None if that could not be known.
    """

    run_id: str
    started_at: dt.datetime
    inputs: str | None


@dataclass(frozen=True)
class PastRuns:
    """Earlier runs that a run asks about; of those that failed, none.

    Attributes:
        ingested_before: The latest as_of before this run's whose ingest was done; None: none.
        last_ingested: The latest as_of of all whose ingest was done; None: none.
        same_night: The latest night of this run's as_of; None: none.
    """

    ingested_before: dt.date | None = None
    last_ingested: dt.date | None = None
    same_night: PastNight | None = None


def past_runs(warehouse: Warehouse, as_of: dt.date) -> PastRuns:
    """The earlier runs of a warehouse, as a run of ``as_of`` sees them: one query."""
    if not warehouse.exists(RUNS):
        return PastRuns()
    runs = warehouse.read(RUNS).where(INGESTED)
    inputs = F.col("inputs") if "inputs" in runs.columns else F.lit(None)  # an older table
    this_night = (F.col("command") == "nightly") & (F.col("as_of") == F.lit(as_of))
    asked = runs.agg(
        F.max(F.when(F.col("as_of") < F.lit(as_of), F.col("as_of"))).alias("before"),
        F.max("as_of").alias("last"),
        F.max_by(
            F.struct("run_id", "started_at", inputs.alias("inputs")),
            F.when(this_night, F.col("started_at")),
        ).alias("night"),
    )
    with spark_errors("reading table runs"):
        row = asked.first()
    assert row is not None  # of an aggregation without groups there is always one
    night = row["night"]
    return PastRuns(row["before"], row["last"], PastNight(*night) if night else None)


def ended_before(warehouse: Warehouse, night: PastNight, run_ids: Sequence[str]) -> set[str]:
    """Those of some runs that ended, by what is recorded of them, before a night began."""
    ended_at = F.expr("started_at + make_dt_interval(0, 0, 0, seconds)")
    asked = warehouse.read(RUNS).where(
        F.col("run_id").isin(*run_ids) & (ended_at <= F.lit(night.started_at))
    )
    with spark_errors("reading table runs"):
        return {row["run_id"] for row in asked.select("run_id").collect()}
