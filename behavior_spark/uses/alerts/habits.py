"""How often ordinary users do something that they have not done before.

A value of a day (a device, a place, an hour, a category) is new with the probability
a / (n + a) after n days, as in Hoppe's urn (Hoppe 1984, doi 10.1007/BF00275863). The
concentration a of a kind of value is learned from everybody's past: the share of a user's values
that no other of his n days has (leave one out) is a / (n - 1 + a) in the mean. Each user counts the
same, so that the few who are there every day do not speak for all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

# Without enough users (Krichevsky and Trofimov 1981, doi 10.1109/TIT.1981.1056331).
UNKNOWN = 0.5
LEAST_USERS = 30
_STEPS_AN_OCTAVE, _OCTAVES = 8, range(-10, 5)
_GRID = [2 ** (octave + step / _STEPS_AN_OCTAVE) for octave in _OCTAVES
         for step in range(_STEPS_AN_OCTAVE)]  # fmt: skip


def concentrations(users: DataFrame, new: Mapping[str, tuple[Column, Column, Column]]) -> DataFrame:
    """One row with the concentration of each kind of value, a double; 0.001 to 30.

    Args:
        users: One row a user.
        new: For each kind of value the user's past days with any, how many values these have (each
            day's counted), and how many of them no other day has.
    """
    kinds = [
        F.struct(F.lit(name).alias("kind"), days.cast("int").alias("days"),
                 (alone / F.nullif(values, F.lit(0))).alias("share"))
        for name, (days, values, alone) in new.items()
    ]  # fmt: skip
    seen = users.select(F.explode(F.array(*kinds)).alias("_")).select("_.*")
    by_days = (
        seen.where((F.col("days") > 1) & F.col("share").isNotNull())
        .groupBy("kind", "days")
        .agg(F.count(F.lit(1)).alias("users"), F.sum("share").alias("alone"))
    )
    entry = F.struct("days", "users", "alone")
    lists = by_days.agg(
        *[F.collect_list(F.when(F.col("kind") == name, entry)).alias(name) for name in new]
    )
    return lists.select(*[_solved(F.col(name)).alias(name) for name in new])


def _solved(by_days: Column) -> Column:
    """The smallest concentration that expects as many new values as there are."""
    users = _total(by_days, lambda entry: entry["users"].cast("double"))
    alone = _total(by_days, lambda entry: entry["alone"])

    def expects_enough(a: Column) -> Column:
        expected = _total(by_days, lambda entry: entry["users"] * a / (entry["days"] - 1 + a))
        return expected >= alone

    fitting = F.array_min(F.filter(F.array(*map(F.lit, _GRID)), expects_enough))
    return F.when(users >= LEAST_USERS, F.coalesce(fitting, F.lit(_GRID[-1]))).otherwise(UNKNOWN)


def _total(entries: Column, value: Callable[[Column], Column]) -> Column:
    return F.aggregate(entries, F.lit(0.0), lambda total, entry: total + value(entry))
