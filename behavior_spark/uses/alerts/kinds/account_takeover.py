"""Days on which a user was unlike his own past: another device or place, another time, other items.

What is compared is a day with the user's own active days before. A value (a device, a place, an
hour, a category of items) was there on k of n past days; that the next day shows it too has the
probability (k + a) / (n + a), where a is learned from everybody's past: how often do ordinary
users show something new (``habits``)? Its surprise is -log2 of that, less log2 of the number of
values of the day, of which the strangest is taken (Bonferroni). Surprises of device, place, time
and items are added up, as if they were independent; the limit is -log2 of ``false_alarms``. One
of the four alone gives at most three quarters of the limit: a new phone, or a journey, is never
enough.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.uses.alerts.habits import concentrations
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
from behavior_spark.uses.sampling import sampled_users

HOURS_NEAR = 3
MOST_OF_ONE = 0.75  # of the limit
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
        # What the log does not map is not looked for: each list of values costs a sort.
        values = [name for name in VALUES if name in inputs.mapped]
        events = _of_recent_users(inputs.events)
        sample = sampled_users(events, share=inputs.habits_share, salt="habits")
        habits = concentrations(_pasts(sample, values), _new_values(values))
        pasts = _pasts(events, values)
        frame = _most_surprising(pasts, habits, values, most=MOST_OF_ONE * limit)
        enough = F.col("past_days") >= rule.least_days
        frame = frame.withColumn("times_limit", F.when(enough, F.col("bits") / limit))
        signals = ("hour", *values)
        seen = {name: F.col("surprise")[name] for name in signals}
        figures = {"past_days": F.col("past_days"), "bits": F.col("bits"), "limit": F.lit(limit)}
        for name, surprise in seen.items():
            figures[f"{name}_days"] = surprise["days"]
            figures[f"{name}_bits"] = surprise["bits"]
        return Candidates(
            frame,
            F.lit(USER),
            F.col("user_id"),
            _evidence(limit, signals),
            by_name(figures),
            _check_sql(inputs),
            silent={
                f"users with fewer than {rule.least_days} active days of own past": F.count_if(
                    ~enough
                )
            },
        )


def _of_recent_users(events: DataFrame) -> DataFrame:
    """Who was not there lately has no day to compare: most users, on most nights."""
    recent_users = events.where("is_recent").select("user_id").distinct()
    return events.join(recent_users, "user_id", "left_semi")


def _user_days(events: DataFrame, values: Sequence[str]) -> DataFrame:
    """``user_id, day, is_recent``, the distinct values of each kind, and hours as bits."""
    hour_bit = F.call_function("shiftleft", F.lit(1), F.hour("event_time"))
    return events.groupBy("user_id", F.to_date("event_time").alias("day"), "is_recent").agg(
        *[F.collect_set(name).alias(name) for name in values], F.bit_or(hour_bit).alias("hours")
    )


def _pasts(events: DataFrame, values: Sequence[str]) -> DataFrame:
    """One row for each user: his recent days, and all of his past in arrays.

    Of values one entry for each day that had it; of hours the days with anything near each.
    """
    past = ~F.col("is_recent")
    return _user_days(events, values).groupBy("user_id").agg(
        F.collect_list(F.when(F.col("is_recent"), F.struct("day", *values, "hours"))).alias("days"),
        F.count_if(past).alias("past_days"),
        F.array(*[F.count_if(past & _near_hour(hour)) for hour in range(24)]).alias("past_hours"),
        F.bit_or(F.when(past, F.col("hours"))).alias("hours_used"),
        F.sum(F.when(past, F.bit_count("hours"))).alias("hours_counted"),
        *[F.flatten(F.collect_list(F.when(past, F.col(n)))).alias(f"past_{n}") for n in values],
        *[F.count_if(past & (F.size(n) > 0)).alias(f"{n}_known") for n in values],
    )  # fmt: skip


def _new_values(values: Sequence[str]) -> dict[str, tuple[Column, Column, Column]]:
    """Of each signal: past days, values of all of them, and values that only one day has."""
    alone_hours = [
        ((F.getbit(F.col("hours_used"), F.lit(hour)) == 1) & (F.col("past_hours")[hour] == 1))
        .cast("int")
        for hour in range(24)
    ]  # fmt: skip
    hours = F.col("past_days"), F.col("hours_counted"), sum(alone_hours[1:], alone_hours[0])
    return {"hour": hours} | {
        name: (F.col(f"{name}_known"), F.size(f"past_{name}"), _alone(F.col(f"past_{name}")))
        for name in values
    }


def _alone(past: Column) -> Column:
    """How many values are in an array once."""

    def is_alone(value: Column) -> Column:
        return F.size(past) - F.size(F.array_remove(past, value)) == 1

    return F.size(F.filter(F.array_distinct(past), is_alone))


def _most_surprising(
    users: DataFrame, habits: DataFrame, values: Sequence[str], *, most: float
) -> DataFrame:
    """``user_id, past_days, day, bits, surprise``: one row for each user with a recent day.

    Args:
        users: As ``_pasts`` gives them.
        habits: One row with the concentration of each signal.
        values: Signals beside the hour.
        most: Most bits of one signal.
    """
    learned = habits.select(*[F.col(name).alias(f"new_{name}") for name in habits.columns])
    recent = users.where(F.size("days") > 0).crossJoin(F.broadcast(learned))
    recent = recent.withColumn("_day", F.explode("days"))
    counted = {name: (_days_of_values(name), F.col(f"{name}_known"), F.size(F.col("_day")[name]))
               for name in values}  # fmt: skip
    counted["hour"] = _days_of_hours(), F.col("past_days"), F.bit_count("_day.hours")
    surprises = recent.select(
        "user_id", "past_days", "_day.day",
        *[_surprise(*of, F.col(f"new_{name}"), most).alias(name) for name, of in counted.items()],
    )  # fmt: skip
    bits = [F.col(name)["bits"] for name in counted]
    weighed = surprises.withColumn("bits", sum(bits[1:], bits[0]))
    strangest = F.max(F.struct("bits", "day", "past_days", F.struct(*counted).alias("surprise")))
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


def _surprise(fewest: Column, count: Column, values: Column, new: Column, most: float) -> Column:
    """``days, of, bits``: how surprising it is to see what was there on ``fewest`` of ``count``."""
    bits = F.log2((count + new) / (fewest + new)) - F.log2(values.cast("double"))
    bits = F.least(bits, F.lit(most))
    comparable = (values > 0) & (count > 0)
    return F.struct(
        F.when(comparable, fewest).alias("days"),
        F.when(comparable, count).alias("of"),
        F.when(comparable, F.greatest(bits, F.lit(0.0))).otherwise(0.0).alias("bits"),
    )


def _evidence(limit: float, signals: Sequence[str]) -> Column:
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
        if name in signals
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
