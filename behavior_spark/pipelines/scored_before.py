"""Which texts a night need not look at: those of days that an earlier night has scored."""

from __future__ import annotations

import datetime as dt

from pyspark.sql import functions as F

from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.run import Run
from behavior_spark.schemas import RUNS

_SCORING, _INGESTING = ("nightly", "score-texts"), ("nightly", "ingest")
_LOOK_BACK = 1_000  # runs; where none of them has scored, every day is read


def first_day_to_read(run: Run, digest: str) -> dt.date | None:
    """The first arrival day of which the store may lack a text; None: it may be any.

    The last run that scored with this backbone to its end saw every text that had arrived
    before its as_of. What came later arrived on that day or after it, or on a day that another
    run has ingested since, this one included. A clean-up, or an ingest of all history, makes
    every day uncertain again.

    Args:
        run: The run; what it has ingested itself counts.
        digest: The backbone's.
    """
    if run.command in _INGESTING and run.ingested_from is None:
        return None
    with spark_errors("reading earlier runs"):
        runs = (
            run.warehouse.read(RUNS)
            .where(F.col("command").isin(*_SCORING, *_INGESTING, "clean-scores"))
            .select(
                "command", "status", "as_of", "started_at", "ingested_from",
                F.expr("started_at + make_dt_interval(0, 0, 0, coalesce(seconds, 0))").alias("end"),
                F.col("models")["backbone"].alias("backbone"),
                F.col("figures")["score_days"].alias("score_days"),
            )
            .orderBy(F.desc("started_at"))
            .limit(_LOOK_BACK)
            .collect()
        )  # fmt: skip
    wanted = ("done", digest, run.settings.text.score_days or 0)
    complete = [
        row for row in runs
        if row["command"] in _SCORING
        and (row["status"], row["backbone"], row["score_days"]) == wanted
    ]  # fmt: skip
    if not complete:
        return None
    last = complete[0]
    others = [row for row in runs if row is not last and row["end"] > last["started_at"]]
    wrote = [row["ingested_from"] for row in others if row["command"] in _INGESTING]
    if None in wrote or any(row["command"] == "clean-scores" for row in others):
        return None
    days: list[dt.date | None] = [last["as_of"], run.ingested_from, *wrote]
    return min(day for day in days if day is not None)
