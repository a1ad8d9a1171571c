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
VALUES = ("device", "place", "category")
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
        """A device, a place or items: the time of day alone says too little."""
        if inputs.mapped.isdisjoint(VALUES):
            return "the log maps no device, no place and no items with categories"
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
    """``user_id, day, is_recent``, the distinct values of each signal, and hours as bits."""
    # Who was not there lately has no day to compare: most users, on most nights.
    recent_users = events.where("is_recent").select("user_id").distinct()
    events = events.join(recent_users, "user_id", "left_semi")
    hour_bit = F.call_function("shiftleft", F.lit(1), F.hour("event_time"))
    return events.groupBy("user_id", F.to_date("event_time").alias("day"), "is_recent").agg(
        *[F.collect_set(name).alias(name) for name in VALUES], F.bit_or(hour_bit).alias("hours")
    )


def _most_surprising(days: DataFrame) -> DataFrame:
    """``user_id, past_days, day, bits, surprise``: one row for each user with a recent day.

    All of a user's past is in arrays of one row: of values, one for each day that had it, and of
    days by hour.
    """
    past = ~F.col("is_recent")
    users = days.groupBy("user_id").agg(
        F.collect_list(F.when(F.col("is_recent"), F.struct("day", *VALUES, "hours"))).alias("days"),
        F.count_if(past).alias("past_days"),
        F.array(*[F.count_if(past & _near_hour(hour)) for hour in range(24)]).alias("past_hours"),
        *[F.flatten(F.collect_list(F.when(past, F.col(n)))).alias(f"past_{n}") for n in VALUES],
        *[F.count_if(past & (F.size(n) > 0)).alias(f"{n}_known") for n in VALUES],
    )
    recent = users.where(F.size("days") > 0).withColumn("_day", F.explode("days"))
    surprises = recent.select(
        "user_id", "past_days", "_day.day",
        _surprise(_days_of_hours(), F.col("past_days"), F.bit_count("_day.hours")).alias("hour"),
        *[
            _surprise(_days_of_values(name), F.col(f"{name}_known"), F.size(F.col("_day")[name]))
            .alias(name)
            for name in VALUES
        ],
    )  # fmt: skip
    bits = [F.col(name)["bits"] for name in SIGNALS]
    weighed = surprises.withColumn("bits", sum(bits[1:], bits[0]))
    strangest = F.max(F.struct("bits", "day", "past_days", F.struct(*SIGNALS).alias("surprise")))
    return weighed.groupBy("user_id").agg(strangest.alias("_most")).select("user_id", "_most.*")


def _near_hour(hour: int) -> Column:
    """Whether a day has an event within some hours of this one, around midnight too."""
    near = sum(1 << ((hour + apart) % 24) for apart in range(-HOURS_NEAR, HOURS_NEAR + 1))
    return F.col("hours").bitwiseAND(F.lit(near)) != 0


def _days_of_values(name: str) -> Column:
    """Of a recent day's values: on how many past days the rarest was seen."""
    past = F.col(f"past_{name}")
    counts = F.transform(
        F.col("_day")[name], lambda value: F.size(past) - F.size(F.array_remove(past, value))
    )
    return F.array_min(counts)


def _days_of_hours() -> Column:
    """Of a recent day's hours: on how many past days there was anything near the rarest."""
    hours = [
        F.when(F.getbit(F.col("_day.hours"), F.lit(hour)) == 1, F.col("past_hours")[hour])
        for hour in range(24)
    ]
    return F.array_min(F.array(*hours))


def _surprise(fewest: Column, count: Column, values: Column) -> Column:
    """``days, of, bits``: how surprising it is to see what was there on ``fewest`` of ``count``."""
    bits = F.log2((count + 1) / (fewest + 0.5)) - F.log2(values.cast("double"))
    comparable = (values > 0) & (count > 0)
    return F.struct(
        F.when(comparable, fewest).alias("days"),
        F.when(comparable, count).alias("of"),
        F.when(comparable, F.greatest(bits, F.lit(0.0))).otherwise(0.0).alias("bits"),
    )


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
