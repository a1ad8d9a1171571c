"""People of a night: active in which periods, in which state, how far in funnels, which segment."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.features.sessions.by_user import sessions_seen
from behavior_spark.pipelines.reports.night.targets_read import people
from behavior_spark.pipelines.users.funnels import count_steps
from behavior_spark.report.page.life_cycle import AWAY, states_by_period
from behavior_spark.runs.run import Run
from behavior_spark.schemas import SESSIONS, USER_PROFILE, USER_PROPENSITY

# Periods shown at most; longer logs are shown in longer periods.
MOST_PERIODS = 26
PERIODS = (7, 28, 91)


def read_people(run: Run) -> dict[str, Any]:
    """Facts of people by name, as in ``NightFacts``."""
    facts: dict[str, Any] = {"segments": _segments(run)}
    if not run.warehouse.exists(SESSIONS):
        return facts
    seen = sessions_seen(run.warehouse.read(SESSIONS), [run.as_of])
    longest = run.settings.features.windows_days[-1]
    facts |= {"funnels": _funnels(run, seen, days=longest), "funnel_days": longest}
    return facts | _activity(run, seen)


def _segments(run: Run) -> pd.DataFrame:
    """People by segment, with the mean prediction of each target."""
    tonight = F.col("as_of") == F.lit(run.as_of)
    profiles = run.warehouse.read(USER_PROFILE).where(tonight & F.col("segment").isNotNull())
    predictions = run.warehouse.read(USER_PROPENSITY).where(tonight)
    targets = list(run.settings.targets)
    wide = predictions.groupBy("user_id").agg(
        *[
            F.max(F.when(F.col("target") == name, F.coalesce("probability", "expected"))).alias(
                name
            )
            for name in targets
        ],
        F.count(F.lit(1)).alias("_rows"),
    )
    return (
        profiles.select("user_id", "segment")
        .join(people(run, run.as_of), "user_id", "left_semi")
        .join(wide, "user_id", "left")
        .groupBy("segment")
        .agg(F.count(F.lit(1)).alias("users"), *[F.avg(F.col(f"`{n}`")).alias(n) for n in targets])
        .toPandas()
    )


def _funnels(run: Run, seen: DataFrame, *, days: int) -> pd.DataFrame:
    """Users at each step of each funnel: funnel, step, users."""
    steps = [
        (name, step.step, step.users)
        for name, funnel in run.settings.features.funnels.items()
        for step in count_steps(seen, name, funnel, days=days)
    ]
    return pd.DataFrame(steps, columns=["funnel", "step", "users"])


def _activity(run: Run, seen: DataFrame) -> dict[str, Any]:
    """Cohorts and states of people by period."""
    start = run.warehouse.read(SESSIONS).agg(F.to_date(F.min("session_start")).alias("day")).first()
    if start is None or start["day"] is None:
        return {}
    length = next(
        (days for days in PERIODS if (run.as_of - start["day"]).days <= days * MOST_PERIODS),
        PERIODS[-1],
    )
    # Period 0 ends the day before as_of; earlier ones have negative numbers.
    number = -F.ceil(F.datediff(F.lit(run.as_of), "day") / length).cast("int")
    active = (
        seen.join(people(run, run.as_of), "user_id", "left_semi")
        .select("user_id", F.explode("event_days").alias("day"))
        .where(F.col("day") < F.lit(run.as_of))
        .select("user_id", number.alias("period"))
        .distinct()
    )
    of_user = Window.partitionBy("user_id")
    in_order = of_user.orderBy("period")
    marked = active.select(
        "period",
        F.min("period").over(of_user).alias("cohort"),
        (F.col("period") - F.lag("period").over(in_order)).alias("away"),
        (F.lead("period").over(in_order) - F.col("period")).alias("until"),
    )
    counts = (
        marked.groupBy("cohort", "period", _capped("away"), _capped("until"))
        .agg(F.count(F.lit(1)).alias("users"))
        .toPandas()
    )
    states = states_by_period(counts)
    cohorts = pd.DataFrame(counts.groupby(["cohort", "period"])["users"].sum().reset_index())
    return {
        "periods": _named(cohorts,
                          run.as_of, length),
        "states": _named(states[states["period"] >= -MOST_PERIODS], run.as_of, length),
        "period_days": length,
    }  # fmt: skip


def _capped(name: str) -> Column:
    """A number of periods, none larger than needed; null stays null."""
    return F.when(F.col(name).isNotNull(), F.least(name, F.lit(AWAY + 2))).alias(name)


def _named(frame: pd.DataFrame, as_of: dt.date, length: int) -> pd.DataFrame:
    """Periods by their first day instead of their number."""
    named = frame.copy()
    for column in {"cohort", "period"} & set(frame.columns):
        named[column] = [as_of + dt.timedelta(days=length * int(n)) for n in frame[column]]
    return named
