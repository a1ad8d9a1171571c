"""Users who behave like machines: by volume, by rate and by regularity, as a day saw them.

All signals are sums over sessions, so that they cost no further look at events:

- volume: events an active day, against a fixed cap and against all other users (Tukey's fences on
  a logarithmic scale; Tukey, Exploratory Data Analysis, 1977);
- rate: moments with an event a minute over a long session (lines of one basket are one moment);
- regularity: the coefficient of variation of the pauses between events. A process without memory
  has 1, people have bursts and more, a timer is near 0 (Goh & Barabasi, Burstiness and memory in
  complex systems, 2008).

A flagged user keeps his row and his predictions; models and averages are made without him.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, StringType

from behavior_spark.config import BotSettings
from behavior_spark.schemas import column

BOT_COLUMNS = [
    column("is_bot", BooleanType(), "whether the user behaves like a machine (features.bots)"),
    column("bot_reason", StringType(), "volume, rate, regularity; null where is_bot is false"),
]


def flag_bots(seen: DataFrame, *, settings: BotSettings) -> DataFrame:
    """``as_of, user_id, is_bot, bot_reason`` for users with a session in the window.

    Args:
        seen: Sessions as seen by each as_of (``sessions_seen``).
        settings: Window and thresholds.
    """
    signals = bot_signals(seen, settings=settings)
    if settings.quartile_distances is not None:
        signals = signals.join(_fences(signals, settings.quartile_distances), "as_of")
    reasons = [F.when(condition, F.lit(name)) for name, condition in _conditions(settings).items()]
    reason = F.nullif(F.concat_ws(", ", *reasons), F.lit(""))
    return signals.select(
        "as_of", "user_id", reason.isNotNull().alias("is_bot"), reason.alias("bot_reason")
    )


def bot_signals(seen: DataFrame, *, settings: BotSettings) -> DataFrame:
    """What a user is judged by, one row per (as_of, user_id).

    Returns:
        ``events_per_day`` (long, rounded down), ``events_per_minute`` (double; null without a
        long session) and ``gap_variation`` (double; null with too few pauses).
    """
    moments = F.col("gap_count") + 1
    rate = F.try_divide(moments, F.col("duration_seconds") / 60)
    long = moments >= settings.min_session_events
    days = F.size(F.array_distinct(F.flatten(F.collect_list("event_days"))))
    sums = (
        seen.where(F.col("days_ago") <= settings.window_days)
        .groupBy("as_of", "user_id")
        .agg(
            F.floor(F.sum("event_count") / days).alias("events_per_day"),
            F.max(F.when(long, rate)).alias("events_per_minute"),
            F.sum("gap_count").alias("_n"),
            F.sum("gap_sum").cast("double").alias("_sum"),
            F.sum(F.col("gap_squares").cast("decimal(38,0)")).cast("double").alias("_squares"),
        )
    )
    mean = F.try_divide("_sum", "_n")
    variance = F.greatest(F.try_divide("_squares", "_n") - mean * mean, F.lit(0.0))
    variation = F.try_divide(F.sqrt(variance), mean)
    enough = F.col("_n") >= settings.min_gaps
    return sums.select(
        "as_of", "user_id", "events_per_day", "events_per_minute",
        F.when(enough, variation).alias("gap_variation"),
    )  # fmt: skip


def _fences(signals: DataFrame, distances: float) -> DataFrame:
    """``as_of, _fence``: events a day, as a logarithm, above which a user is far out."""
    size = F.log1p("events_per_day")
    quartiles = F.percentile(size, F.array(F.lit(0.25), F.lit(0.75)))
    low, high = F.col("_quartiles")[0], F.col("_quartiles")[1]
    return (
        signals.groupBy("as_of")
        .agg(quartiles.alias("_quartiles"))
        .select("as_of", (high + distances * (high - low)).alias("_fence"))
    )


def _conditions(settings: BotSettings) -> dict[str, Column]:
    day, minute = F.col("events_per_day"), F.col("events_per_minute")
    volume = F.lit(False)
    if settings.events_per_day is not None:
        volume = day >= settings.events_per_day
    if settings.quartile_distances is not None:
        volume = volume | ((F.log1p(day) > F.col("_fence")) & (day >= settings.quartile_floor))
    conditions = {"volume": volume}
    if settings.events_per_minute is not None:
        conditions["rate"] = minute >= settings.events_per_minute
    if settings.gap_variation is not None:
        conditions["regularity"] = F.col("gap_variation") <= settings.gap_variation
    return conditions
