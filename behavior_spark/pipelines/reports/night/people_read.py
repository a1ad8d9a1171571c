"""People of a night: active in which periods, in which state, how far in funnels, which segment."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from behavior_spark.features.sessions.by_user import sessions_seen
from behavior_spark.pipelines.reports.night.targets_read import features_of_people, people
from behavior_spark.report.page.life_cycle import AWAY, states_by_period
from behavior_spark.runs.run import Run
from behavior_spark.schemas import SESSIONS, USER_PROFILE, USER_PROPENSITY

# Periods shown at most; longer logs are shown in longer periods.
MOST_PERIODS = 26
PERIODS = (7, 28, 91)


def read_people(run: Run) -> dict[str, Any]:
    """Facts of people by name, as in ``NightFacts``."""
    longest = run.settings.features.windows_days[-1]
    segments, funnels = _segments_and_funnels(run, days=longest)
    facts: dict[str, Any] = {"segments": segments, "funnels": funnels, "funnel_days": longest}
    if not run.warehouse.exists(SESSIONS):
        return facts
    return facts | _activity(run, sessions_seen(run.warehouse.read(SESSIONS), [run.as_of]))


def _segments_and_funnels(run: Run, *, days: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """People by segment, with the mean prediction of each target; and by step of each funnel.

    Both are sums over the same users, so that they are read at once.
    """
    tonight = F.col("as_of") == F.lit(run.as_of)
    features = features_of_people(run, run.as_of)
    steps = [
        (name, step, F.count_if(F.col(f"`{column}`") >= place))
        for name, funnel in run.settings.features.funnels.items()
        if (column := f"funnel_{name}_step_{days}d") in features.columns
        for place, step in enumerate(funnel.steps, 1)
    ]
    targets = list(run.settings.targets)
    predicted = F.coalesce("probability", "expected")
    wide = (
        run.warehouse.read(USER_PROPENSITY)
        .where(tonight)
        .groupBy("user_id")
        .agg(
            F.count(F.lit(1)).alias("_rows"),
            *[F.max(F.when(F.col("target") == name, predicted)).alias(name) for name in targets],
        )
    )
    profiles = run.warehouse.read(USER_PROFILE).where(tonight).select("user_id", "segment")
    columns = [c for c in features.columns if c == "user_id" or c.startswith("funnel_")]
    counts = (
        features.select(*[f"`{column}`" for column in columns])
        .join(profiles, "user_id", "left")
        .join(wide, "user_id", "left")
        .groupBy("segment")
        .agg(
            F.count(F.lit(1)).alias("users"),
            *[F.avg(F.col(f"`{name}`")).alias(name) for name in targets],
            *[count.alias(f"_{place}") for place, (*_, count) in enumerate(steps)],
        )
        .toPandas()
    )
    segments = counts.loc[counts["segment"].notna(), ["segment", "users", *targets]]
    rows = [(name, step, int(counts[f"_{place}"].sum()))
            for place, (name, step, _) in enumerate(steps)]  # fmt: skip
    return segments, pd.DataFrame(rows, columns=["funnel", "step", "users"])


def _activity(run: Run, seen: DataFrame) -> dict[str, Any]:
    """Cohorts and states of people by period."""
    start = run.warehouse.read(SESSIONS).agg(F.to_date(F.min("session_start")).alias("day")).first()
    if start is None or start["day"] is None:
        return {}
    length = next(
        (days for days in PERIODS if (run.as_of - start["day"]).days <= days * MOST_PERIODS),
        PERIODS[-1],
    )
    # Period -1 ends the day before as_of; earlier ones have smaller numbers.
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
        "periods": _named(cohorts, run.as_of, length),
        "states": _named(states[states["period"] >= -MOST_PERIODS], run.as_of, length),
        "period_days": length,
    }


def _capped(name: str) -> Column:
    """A number of periods, none larger than needed; null stays null."""
    return F.when(F.col(name).isNotNull(), F.least(name, F.lit(AWAY + 2))).alias(name)


def _named(frame: pd.DataFrame, as_of: dt.date, length: int) -> pd.DataFrame:
    """Periods by their first day instead of their number."""
    named = frame.copy()
    for column in {"cohort", "period"} & set(frame.columns):
        named[column] = [as_of + dt.timedelta(days=length * int(n)) for n in frame[column]]
    return named
