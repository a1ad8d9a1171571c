"""What people decided about earlier alerts, and what follows for tonight's.

A verdict is about an alert, and counts for its kind and subject for ``feedback_days``: the latest
one of them all. Dismissed: the kind is not shown of this subject again, unless its severity is
above the one that was dismissed. Confirmed: its severity is one step higher.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

SEVERITIES = ("low", "medium", "high")
CONFIRMED, DISMISSED = "confirmed", "dismissed"
MEDIUM_FROM, HIGH_FROM = 2.0, 4.0


def rank_of(times_limit: Column) -> Column:
    """Place of the severity in ``SEVERITIES``, by how many times its limit a figure is."""
    return F.when(times_limit >= HIGH_FROM, 2).when(times_limit >= MEDIUM_FROM, 1).otherwise(0)


def rank_of_name(severity: Column) -> Column:
    """Place of a severity in ``SEVERITIES``."""
    places: Mapping[str, int] = {name: place for place, name in enumerate(SEVERITIES)}
    pairs = [F.lit(part) for pair in places.items() for part in pair]
    return F.element_at(F.create_map(*pairs), severity)


def severity_of(rank: Column) -> Column:
    """The severity at a place of ``SEVERITIES``."""
    return F.element_at(F.array(*map(F.lit, SEVERITIES)), rank + 1)


def valid_verdicts(feedback: DataFrame, as_of: dt.date) -> DataFrame:
    """``alert_id, verdict, at``: the latest verdict of each alert that was given before as_of.

    Args:
        feedback: ``alert_id, verdict, at`` as people wrote them; other verdicts are left out.
        as_of: The night.
    """
    verdict = F.lower(F.trim("verdict"))
    known = feedback.where(
        verdict.isin(CONFIRMED, DISMISSED)
        & (F.col("at") < F.lit(as_of).cast("timestamp"))
        & F.col("alert_id").isNotNull()
    )
    # Of two at one moment, such as a day without a time, the more cautious counts.
    latest = F.max(F.struct("at", verdict == CONFIRMED, verdict.alias("verdict"))).alias("_latest")
    return known.groupBy("alert_id").agg(latest).select("alert_id", "_latest.verdict", "_latest.at")


def verdicts_by_subject(verdicts: DataFrame, earlier: DataFrame, since: dt.date) -> DataFrame:
    """``kind, subject, verdict, verdict_rank``: the latest verdict, and the severity it was about.

    Args:
        verdicts: From ``valid_verdicts``.
        earlier: Alerts of earlier nights.
        since: Verdicts given before this day count no more.
    """
    counting = verdicts.where(F.col("at") >= F.lit(since).cast("timestamp"))
    shown = earlier.select(
        "alert_id", "kind", "subject", "as_of", rank_of_name(F.col("severity")).alias("_rank")
    )
    judged = counting.join(shown, "alert_id").where(F.col("as_of") <= F.to_date("at"))
    # A greater struct is later; of two verdicts at one moment the more cautious: confirmed.
    latest = F.max(F.struct("at", F.col("verdict") == CONFIRMED, "verdict", "alert_id", "_rank"))
    by_alert = judged.groupBy("kind", "subject", "alert_id", "verdict", "at").agg(
        F.max("_rank").alias("_rank")
    )
    last = by_alert.groupBy("kind", "subject").agg(latest.alias("_last"))
    return last.select(
        "kind", "subject", "_last.verdict", F.col("_last._rank").alias("verdict_rank")
    )


def precision_counts(verdicts: DataFrame, earlier: DataFrame) -> DataFrame:
    """``kind, confirmed, dismissed``: alerts with a verdict, once each."""
    alerts = earlier.select("alert_id", "kind").distinct()
    return (
        alerts.join(verdicts, "alert_id")
        .groupBy("kind")
        .agg(
            F.count_if(F.col("verdict") == CONFIRMED).alias("confirmed"),
            F.count_if(F.col("verdict") == DISMISSED).alias("dismissed"),
        )
    )
