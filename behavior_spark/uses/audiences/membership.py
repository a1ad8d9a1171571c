"""Members of audiences: who could be in, in which order, and who is."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from functools import reduce

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.config import Audience
from behavior_spark.uses.audiences.arms import HOLDOUT, REACHED, arm

# Why a user is left out, in the order in which it is asked. Each user has the first that is true.
REASONS = (
    "bot", "no_probability", "excluded", "no_consent", "consent_unknown", "capped", "below",
)  # fmt: skip
LEFT_OUT = "left_out"
# Steps per unit of score (log-odds): users of one step are ranked in one task.
_STEPS = 1000


def last_memberships(members: DataFrame, as_of: dt.date) -> DataFrame:
    """``audience, user_id, last_member``: the last night before as_of that had the user.

    Args:
        members: Table ``audience_members``.
        as_of: The night; memberships of this day and later are not seen.
    """
    return (
        members.where(F.col("as_of") < F.lit(as_of))
        .groupBy("audience", "user_id")
        .agg(F.max("as_of").alias("last_member"))
    )


def candidates(
    predictions: DataFrame,
    users: DataFrame,
    last: DataFrame,
    audiences: Mapping[str, Audience],
) -> DataFrame:
    """Every user with a prediction of each audience's target, and why he cannot be in.

    Args:
        predictions: ``user_propensity`` of one as_of.
        users: One row per user of that as_of: ``user_id``, ``is_bot`` where it is known, and all
            columns that conditions and consents name.
        last: As ``last_memberships`` gives it.
        audiences: Audiences by name.

    Returns:
        One row per audience and user, with the predictions' columns, ``intent``, ``emotion``,
        ``preference`` where users have them, ``audience``, ``arm``, ``expected_value``,
        ``expected_profit`` and ``left_out`` (one of ``REASONS`` but below; null: could be in).
    """
    of_target = F.array(
        *[F.struct(F.lit(name).alias("audience"), F.lit(a.target).alias("_target"))
          for name, a in audiences.items()]
    )  # fmt: skip
    expanded = (
        predictions.withColumn("_audience", F.explode(of_target))
        .where(F.col("_audience._target") == F.col("target"))
        .withColumn("audience", F.col("_audience.audience"))
        .drop("_audience")
    )
    own = [c for c in users.columns if c == "user_id" or c not in predictions.columns]
    frame = expanded.join(users.select(*own), "user_id", "left").join(
        last, ["audience", "user_id"], "left"
    )
    kept = [*predictions.columns, *[c for c in ("intent", "emotion", "preference") if c in own]]
    value = _by_audience({n: F.lit(a.value).cast("double") for n, a in audiences.items()})
    cost = _by_audience({n: F.lit(a.cost).cast("double") for n, a in audiences.items()})
    salt = _by_audience({n: F.lit(a.salt_of(n)) for n, a in audiences.items()})
    share = _by_audience({n: F.lit(a.holdout) for n, a in audiences.items()})
    return frame.select(
        "audience",
        *kept,
        arm(salt, F.col("user_id"), share).alias("arm"),
        (F.col("probability") * value).alias("expected_value"),
        (F.col("probability") * value - cost).alias("expected_profit"),
        _hindrance(audiences, is_bot="is_bot" in own).alias(LEFT_OUT),
    )


def _hindrance(audiences: Mapping[str, Audience], *, is_bot: bool) -> Column:
    """The first reason for which a user cannot be in, whatever the probability."""
    excluded = {n: F.expr(f"({a.exclude})") for n, a in audiences.items() if a.exclude}
    # As a number, because attributes are: 1 is true, and no other number is.
    consent = {n: F.col(a.consent).cast("double") for n, a in audiences.items() if a.consent}
    capped = {
        name: F.date_diff("as_of", "last_member") < audience.every_days
        for name, audience in audiences.items()
        if audience.every_days
    }
    never, bot = F.lit(False), F.col("is_bot") if is_bot else F.lit(False)
    unknown = {n: c.isNull() for n, c in consent.items()}
    refused = {n: c != 1 for n, c in consent.items()}
    return (
        F.when(F.coalesce(bot, never), "bot")
        .when(F.col("probability").isNull() | F.isnan("probability"), "no_probability")
        .when(_by_audience(excluded, never), "excluded")
        .when(_by_audience(unknown, never), "consent_unknown")
        .when(_by_audience(refused, never), "no_consent")
        .when(_by_audience(capped, never), "capped")
    )


def with_rank(frame: DataFrame) -> DataFrame:
    """Add ``rank`` and ``reached_rank`` among the users of each audience who could be in.

    ``rank`` is 1 for the highest score; ``reached_rank`` is how many of the arm reached there are
    up to a user. No task sees all users of an audience: users of one step of the score are ranked
    by themselves, after as many as there are in higher steps. Equal scores are ordered by a hash.

    Args:
        frame: As ``candidates`` gives it.
    """
    frame = frame.withColumn("_step", F.floor(F.col("score") * _STEPS))
    free = F.col(LEFT_OUT).isNull()
    reached = (free & (F.col("arm") == REACHED)).cast("long")
    steps = (
        frame.where(free)
        .groupBy("audience", "_step")
        .agg(F.count(F.lit(1)).alias("_users"), F.sum(reached).alias("_reached"))
    )
    above = (
        Window.partitionBy("audience")
        .orderBy(F.desc("_step"))
        .rowsBetween(Window.unboundedPreceding, -1)
    )
    offsets = steps.select(
        "audience",
        "_step",
        F.coalesce(F.sum("_users").over(above), F.lit(0)).alias("_before"),
        F.coalesce(F.sum("_reached").over(above), F.lit(0)).alias("_reached_before"),
    )
    order = (
        Window.partitionBy("audience", "_step", free)
        .orderBy(F.desc("score"), F.xxhash64("audience", "user_id"), "user_id")
        .rowsBetween(Window.unboundedPreceding, Window.currentRow)
    )
    ranked = frame.join(offsets, ["audience", "_step"], "left").withColumns(
        {
            "rank": F.when(free, F.col("_before") + F.count(F.lit(1)).over(order)),
            "reached_rank": F.when(free, F.col("_reached_before") + F.sum(reached).over(order)),
        }
    )
    return ranked.drop("_step", "_before", "_reached_before")


def choose(ranked: DataFrame, audiences: Mapping[str, Audience]) -> DataFrame:
    """Say of those who could be in whether the rule takes them: ``left_out`` is null or below.

    Args:
        ranked: As ``with_rank`` gives it.
        audiences: Audiences by name.
    """
    taken = _by_audience({name: _taken(a) for name, a in audiences.items()})
    return ranked.withColumn(
        LEFT_OUT,
        F.coalesce(LEFT_OUT, F.when(~F.coalesce(taken, F.lit(False)), "below")),
    )


def _taken(audience: Audience) -> Column:
    """Whether a rule takes a user."""
    if audience.threshold is not None:
        return F.col("probability") >= audience.threshold
    if audience.top is not None:
        return F.col("rank") <= audience.top
    profitable = F.col("expected_profit") > 0
    if audience.budget is None:
        return profitable
    # Only who is reached costs. Who is held out is in where one more could be reached before him.
    contacts = math.floor(audience.budget / float(audience.cost or math.inf) + 1e-9)
    within = F.col("reached_rank") <= contacts
    held = (F.col("arm") == HOLDOUT) & (F.col("reached_rank") < contacts)
    return profitable & F.when(F.col("arm") == HOLDOUT, held).otherwise(within)


def _by_audience(values: Mapping[str, Column], otherwise: Column | None = None) -> Column:
    """The value of the row's audience."""
    nothing = F.lit(None) if otherwise is None else otherwise
    return reduce(
        lambda rest, name: F.when(F.col("audience") == name, values[name]).otherwise(rest),
        values,
        nothing,
    )
