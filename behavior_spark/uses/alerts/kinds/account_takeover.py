"""Days on which a user was unlike his own past: another device or place, another time, other items.

What is compared is a day with the user's own active days before. A value (a device, a place, an
hour, a category of items) was there on k of n past days; that the next day shows it too has the
probability (k + 1/2) / (n + 1) (Krichevsky and Trofimov 1981). Its surprise is -log2 of that, less
log2 of the number of values of the day, of which the strangest is taken (Bonferroni). Surprises of
device, place, time and items are added up, as if they were independent; the limit is -log2 of
``false_alarms``. One value gives at most log2(2 n + 2) bits: in a month one new device is never
enough.
"""

from __future__ import annotations

import math

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.uses.alerts.kind import (
    USER,
    AlertInputs,
    Candidates,
    by_name,
    midnight_sql,
    number,
    quoted,
    sentence,
)

HOURS_NEAR = 3
# What a day is compared by -> what is said of it.
SIGNALS = {
    "device": "a device seen",
    "place": "a place seen",
    "hour": f"activity within {HOURS_NEAR} hours of a time of that day",
    "category": "its least usual group of items seen",
}


class AccountTakeover:
    """Hints that somebody else uses an account; a new phone on a journey looks the same."""

    does = "device, place, time of day and items unlike the user's own past"

    def lacks(self, inputs: AlertInputs) -> str | None:
        """Nothing: the time of day is always there; it alone seldom reaches the limit."""
        return None

    def candidates(self, inputs: AlertInputs) -> Candidates:
        """One row for each user with a recent day: his most surprising one."""
        rule = inputs.settings.account_takeover
        limit = -math.log2(rule.false_alarms)
        days = _user_days(inputs.events)
        frame = _most_surprising(days)
        enough = F.col("past_days") >= rule.least_days
        frame = frame.withColumn("times_limit", F.when(enough, F.col("bits") / limit))
        seen = {name: F.col("surprise")[name] for name in SIGNALS}
        figures = {"past_days": F.col("past_days"), "bits": F.col("bits"), "limit": F.lit(limit)}
        for name, surprise in seen.items():
            figures[f"{name}_days"] = surprise["days"]
            figures[f"{name}_bits"] = surprise["bits"]
        return Candidates(
            frame,
            F.lit(USER),
            F.col("user_id"),
            _evidence(limit),
            by_name(figures),
            _check_sql(inputs),
            silent={
                f"users with fewer than {rule.least_days} active days of own past": F.count_if(
                    ~enough
                )
            },
        )


def _user_days(events: DataFrame) -> DataFrame:
    """``user_id, day, is_recent`` and the distinct values of each signal."""
    values = {
        "device": F.col("device"),
        "place": F.col("place"),
        "hour": F.hour("event_time").cast("string"),
        "category": F.col("category"),
    }
    return events.groupBy("user_id", F.to_date("event_time").alias("day"), F.col("is_recent")).agg(
        *[F.collect_set(value).alias(name) for name, value in values.items()]
    )


def _most_surprising(days: DataFrame) -> DataFrame:
    """``user_id, past_days, day, bits, surprise``: one row for each user with a recent day."""
    row = F.struct("day", *SIGNALS)
    recent_days = F.collect_list(F.when(F.col("is_recent"), row))
    past_days = F.collect_list(F.when(~F.col("is_recent"), row))
    users = (
        days.groupBy("user_id")
        .agg(recent_days.alias("recent"), past_days.alias("past"))
        .where(F.size("recent") > 0)
    )

    def weigh(day: Column) -> Column:
        surprises = [_surprise(day[name], name).alias(name) for name in SIGNALS]
        return F.struct(day["day"].alias("day"), F.struct(*surprises).alias("surprise"))

    weighed = users.select(
        "user_id", F.size("past").alias("past_days"), F.transform("recent", weigh).alias("weighed")
    )

    def total(day: Column) -> Column:
        bits = [day["surprise"][name]["bits"] for name in SIGNALS]
        return F.struct(
            sum(bits[1:], bits[0]).alias("bits"), day["day"].alias("day"),
            day["surprise"].alias("surprise"),
        )  # fmt: skip

    strangest = F.array_max(F.transform("weighed", total))
    return weighed.select("user_id", "past_days", strangest.alias("_day")).select(
        "user_id", "past_days", "_day.bits", "_day.day", "_day.surprise"
    )


def _surprise(values: Column, signal: str) -> Column:
    """``days, of, bits`` of a day's strangest value: on how many past days it was seen."""
    known = F.filter("past", lambda day: F.size(day[signal]) > 0)
    count = F.size(known)

    def days_with(value: Column) -> Column:
        return F.size(F.filter(known, lambda day: _has(day[signal], value, signal)))

    fewest = F.array_min(F.transform(values, days_with))
    bits = F.log2((count + 1) / (fewest + 0.5)) - F.log2(F.size(values).cast("double"))
    comparable = (F.size(values) > 0) & (count > 0)
    return F.struct(
        F.when(comparable, fewest).alias("days"),
        F.when(comparable, count).alias("of"),
        F.when(comparable, F.greatest(bits, F.lit(0.0))).otherwise(0.0).alias("bits"),
    )


def _has(values: Column, value: Column, signal: str) -> Column:
    if signal != "hour":
        return F.array_contains(values, value)

    def near(other: Column) -> Column:
        apart = F.abs(other.cast("int") - value.cast("int"))
        return F.least(apart, 24 - apart) <= HOURS_NEAR

    return F.exists(values, near)


def _evidence(limit: float) -> Column:
    parts = [
        F.when(
            F.col("surprise")[name]["bits"] > 0,
            sentence(
                words, " on ", number(F.col("surprise")[name]["days"]), " of ",
                number(F.col("surprise")[name]["of"]), " past days (",
                F.format_number(F.col("surprise")[name]["bits"], 1), " bits)",
            ),
        )
        for name, words in SIGNALS.items()
    ]  # fmt: skip
    return sentence(
        "On ", F.date_format("day", "yyyy-MM-dd"), ", against this user's own past: ",
        F.concat_ws("; ", *parts), ". Together ", F.format_number(F.col("bits"), 1),
        f" bits; the limit is {limit:.1f}.",
    )  # fmt: skip


def _check_sql(inputs: AlertInputs) -> Column:
    return sentence(
        "SELECT date(event_time) AS day, collect_set(device) AS devices, collect_set(place) AS "
        "places, collect_set(hour(event_time)) AS hours, count(DISTINCT event_id) AS events "
        "FROM events WHERE user_id = ", quoted(F.col("user_id")),
        f" AND arrived_at < {midnight_sql(inputs.as_of)} GROUP BY ALL ORDER BY day DESC LIMIT 60",
    )  # fmt: skip


KIND = AccountTakeover()
