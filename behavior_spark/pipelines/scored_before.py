"""Which texts a night need not look at: those of days that an earlier night has scored."""

from __future__ import annotations

import datetime as dt

from pyspark.sql import functions as F

from behavior_spark.io.failures import spark_errors
from behavior_spark.pipelines.run import Run
from behavior_spark.schemas import RUNS

_SCORING, _INGESTING = ("nightly", "score-texts"), ("nightly", "ingest")


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
    runs, mine = run.warehouse.read(RUNS), run.settings.text.score_days or 0
    if run.command in _INGESTING and run.ingested_from is None:
        return None
    complete = (
        (F.col("status") == "done")
        & F.col("command").isin(*_SCORING)
        & (F.col("models")["backbone"] == digest)
        & (F.col("figures")["score_days"] == mine)
    )
    with spark_errors("reading earlier runs"):
        last = runs.where(complete).orderBy(F.col("started_at").desc()).first()
        if last is None:
            return None
        ended = F.col("started_at").cast("double") + F.coalesce("seconds", F.lit(0.0))
        began = F.lit(last["started_at"]).cast("double")
        wrote = F.col("command").isin(*_INGESTING)
        since = runs.where((F.col("run_id") != last["run_id"]) & (ended > began)).agg(
            F.count_if(F.col("command") == "clean-scores").alias("cleaned"),
            F.count_if(wrote & F.col("ingested_from").isNull()).alias("whole"),
            F.min(F.when(wrote, F.col("ingested_from"))).alias("first"),
        )
        found = since.first()
    if found is None or found["cleaned"] or found["whole"]:
        return None
    days: list[dt.date | None] = [last["as_of"], found["first"], run.ingested_from]
    return min(day for day in days if day is not None)
