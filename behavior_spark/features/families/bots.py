"""Family ``bots``: flags for bots, by volume, rate and regularity of events.

All signals are aggregates of sessions, so that events need not be read again:

- volume: events per active day, compared with a fixed limit and with all other users (Tukey's
  fences on a logarithmic scale; Tukey, Exploratory Data Analysis, 1977);
- rate: moments with an event per minute in a long session (lines of one basket are one moment);
- regularity: coefficient of variation of the pauses between events. It is 1 for a Poisson process,
  above 1 for people, whose events come in bursts, and near 0 for a timer (Goh & Barabasi,
  Burstiness and memory in complex systems, 2008).

Bots keep their rows and predictions; they are left out of training and of averages.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, StringType, StructField

from behavior_spark.config import BotSettings
from behavior_spark.features.family import Family
from behavior_spark.features.inputs import Inputs, Request
from behavior_spark.features.sessions.by_user import SessionPart
from behavior_spark.schemas import column

BOT_COLUMNS = [
    column("is_bot", BooleanType(), "whether the user behaves like a machine (features.bots)"),
    column("bot_reason", StringType(), "volume, rate, regularity; null where is_bot is false"),
]
SIGNALS = ("events_per_day", "events_per_minute", "gap_variation")


def without_bots(users: DataFrame) -> DataFrame:
    """Rows of ``user_features`` of people; where nothing is known of bots all of them."""
    if "is_bot" not in users.columns:
        return users
    return users.where(~F.coalesce("is_bot", F.lit(False)))


class Bots(Family):
    """Flags of bots, from stored sessions. They are not features of models."""

    name = "bots"
    order = 60
    source = "sessions"

    def built(self, request: Request) -> bool:
        """With stored sessions, whatever ``features.groups`` is."""
        return request.offer.sessions

    def session_part(self, request: Request) -> SessionPart:
        """The signals by which a user is flagged."""
        return bot_signals(request.settings.bots)

    def after_sessions(self, users: DataFrame, request: Request) -> DataFrame:
        """Replace the signals by the flags."""
        return flag_bots(users, settings=request.settings.bots)

    def join(
        self, frame: DataFrame, inputs: Inputs, days: Sequence[dt.date], request: Request
    ) -> DataFrame:
        """Set ``is_bot`` to false for users without a session."""
        return frame.withColumn("is_bot", F.coalesce("is_bot", F.lit(False)))

    def flags(self, request: Request) -> list[StructField]:
        """``is_bot`` and ``bot_reason``."""
        return BOT_COLUMNS

    def learned_from(self, frame: DataFrame, request: Request) -> DataFrame:
        """Rows of users who are not bots."""
        return frame.where(~F.col("is_bot")).drop("is_bot", "bot_reason")


def bot_signals(settings: BotSettings) -> SessionPart:
    """The signals by which a user is flagged, over the sessions of the last ``window_days``.

    ``events_per_day`` (long, rounded down), ``events_per_minute`` (double; null without a long
    session) and ``gap_variation`` (double; null with too few pauses); all null without a session.
    """

    def recent(value: Column) -> Column:
        return F.when(F.col("days_ago") <= settings.window_days, value)

    moments = F.col("gap_count") + 1
    rate = F.try_divide(moments, F.col("duration_seconds") / 60)
    squares = F.col("gap_squares").cast("decimal(38,0)")
    sums = {
        "_events": F.sum(recent(F.col("event_count"))),
        "_on_days": F.collect_list(recent(F.col("event_days"))),
        "events_per_minute": F.max(recent(F.when(moments >= settings.min_session_events, rate))),
        "_gaps": F.sum(recent(F.col("gap_count"))),
        "_gap_sum": F.sum(recent(F.col("gap_sum"))).cast("double"),
        "_gap_squares": F.sum(recent(squares)).cast("double"),
    }
    days = F.size(F.array_distinct(F.flatten("_on_days")))
    mean = F.try_divide("_gap_sum", "_gaps")
    variance = F.greatest(F.try_divide("_gap_squares", "_gaps") - mean * mean, F.lit(0.0))
    variation = F.try_divide(F.sqrt(variance), mean)
    derived = {
        "events_per_day": F.floor(F.try_divide("_events", days)),
        "gap_variation": F.when(F.col("_gaps") >= settings.min_gaps, variation),
    }
    return SessionPart(sums, derived=derived)


def flag_bots(users: DataFrame, *, settings: BotSettings) -> DataFrame:
    """Replace the signals by ``is_bot`` and ``bot_reason``.

    Args:
        users: One row per (as_of, user_id) with the columns of ``bot_signals``.
        settings: Thresholds.
    """
    if settings.quartile_distances is not None:
        users = users.join(_fences(users, settings.quartile_distances), "as_of")
    reasons = [F.when(condition, F.lit(name)) for name, condition in _conditions(settings).items()]
    reason = F.nullif(F.concat_ws(", ", *reasons), F.lit(""))
    flags = {"is_bot": reason.isNotNull(), "bot_reason": reason}
    return users.withColumns(flags).drop(*SIGNALS, "_fence")


def _fences(signals: DataFrame, distances: float) -> DataFrame:
    """``as_of, _fence``: upper limit of log(1 + events per day) that is not far out."""
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


FAMILY = Bots()
