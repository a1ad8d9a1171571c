"""Risk alerts of a night, as its page shows them."""

from __future__ import annotations

import pandas as pd
from pyspark.sql import functions as F

from behavior_spark.report.page.facts import no_rows
from behavior_spark.runs.run import Run
from behavior_spark.schemas import RISK_ALERTS

COLUMNS = ("alert_id", "kind", "severity", "score", "status", "evidence")
MOST = 1_000


def read_alerts(run: Run) -> pd.DataFrame:
    """Alerts of the night without their subjects, the strongest first, at most 1,000."""
    if not run.warehouse.exists(RISK_ALERTS):
        return no_rows(*COLUMNS)
    tonight = run.warehouse.read(RISK_ALERTS).where(F.col("as_of") == F.lit(run.as_of))
    return tonight.select(*COLUMNS).orderBy(F.desc("score"), "alert_id").limit(MOST).toPandas()
