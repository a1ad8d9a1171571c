"""The tables of a night as alerts see them: what was known at as_of, and no more."""

from __future__ import annotations

import datetime as dt

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from behavior_spark.config import Alerts
from behavior_spark.errors import ConfigError
from behavior_spark.features.families.bots import without_bots
from behavior_spark.features.point_in_time import as_seen, items_at, of_users, of_users_at_large
from behavior_spark.features.profile import segment
from behavior_spark.features.sampling import sampled_by_hash
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.anomaly.forest import PeerForest
from behavior_spark.pipelines.users.features import Prepared
from behavior_spark.runs.past import INGESTED
from behavior_spark.runs.run import Run
from behavior_spark.schemas import IDENTITIES, QUARANTINE, RISK_ALERTS, RUNS, USER_FEATURES
from behavior_spark.uses.alerts.kind import AlertInputs

# An event that arrived lately and happened longer ago than this before it belongs to the past.
LATE_DAYS = 3
SEGMENT = "segment"


def alert_inputs(run: Run, prepared: Prepared, settings: Alerts) -> AlertInputs:
    """All that kinds of alerts read; only the forest's sample is collected.

    Raises:
        ConfigError: ``alerts.peers`` or a feature is no column of ``user_features``.
    """
    warehouse, night = run.warehouse, F.lit(run.as_of)
    users = _users(run, settings)
    texts = prepared.inputs.texts
    heads, mapped = prepared.inputs.heads, set(run.settings.sources.mapped("events"))
    if prepared.inputs.items is not None:
        mapped.add("category")
    links = warehouse.read(IDENTITIES) if run.settings.sources.identities else None
    people, number = _people(users)
    share = settings.unusual_behaviour.sample / max(number, 1)
    return AlertInputs(
        as_of=run.as_of,
        settings=settings,
        events=_events(prepared, run.as_of, settings),
        mapped=frozenset(mapped),
        earlier=warehouse.read(RISK_ALERTS).where(F.col("as_of") < night),
        texts=None if texts is None else _texts(texts, run.as_of, settings),
        labels=_labels(prepared),
        heads=frozenset(heads),
        users=users,
        forest=None if people is None else _forest(prepared, people, number, settings),
        words={f.name: f.comment for f in prepared.feature_set.features},
        quarantine=_refused(run),
        nights=_nights(run, settings),
        links=None if links is None else links.where(_known(run.as_of)),
        habits_share=min(share, 1.0),
    )


def _people(users: DataFrame | None) -> tuple[DataFrame | None, int]:
    """The users who are no machines, and how many they are."""
    if users is None:
        return None, 0
    people = without_bots(users)
    with spark_errors("counting user_features"):
        return people, people.count()


def _known(as_of: dt.date) -> Column:
    return F.col("arrived_at") < F.lit(as_of).cast("timestamp")


def _since(as_of: dt.date, settings: Alerts) -> Column:
    days = settings.history_days + settings.days
    return F.col("arrived_day") >= F.lit(as_of - dt.timedelta(days=days))


def _is_recent(as_of: dt.date, settings: Alerts) -> Column:
    arrived = F.datediff(F.lit(as_of), "arrived_day") <= settings.days
    return arrived & (F.col("days_ago") <= settings.days + LATE_DAYS)


def _events(prepared: Prepared, as_of: dt.date, settings: Alerts) -> DataFrame:
    """Events of users that arrived within ``history_days + days``, in their visible version."""
    rows = prepared.inputs.events.where(_since(as_of, settings))
    seen = as_seen(of_users_at_large(rows, key="event_id"), [as_of], time="event_time")
    names = ("user_id", "event_time", "event_type", "item_id", "device", "place", "arrived_day")
    missing = [F.lit(None).cast("string").alias(n) for n in names if n not in seen.columns]
    seen = seen.select("*", *missing).select(*names, "days_ago")
    if prepared.inputs.items is None:
        seen = seen.withColumn("category", F.lit(None).cast("string"))
    else:
        categories = items_at(prepared.inputs.items, as_of, "category")
        seen = seen.join(categories, "item_id", "left")
    recent = _is_recent(as_of, settings)
    # By user once: hours, days and the whole past of a user are then counted without a shuffle.
    return seen.withColumns({"is_recent": recent, "is_past": ~recent}).repartition("user_id")


def _texts(texts: DataFrame, as_of: dt.date, settings: Alerts) -> DataFrame:
    rows = of_users(texts.where(_since(as_of, settings)), key="text_id")
    seen = as_seen(rows, [as_of], time="text_time")
    return seen.select(
        "user_id", "text_time", "text", "text_hash", "arrived_day",
        _is_recent(as_of, settings).alias("is_recent"),
    )  # fmt: skip


def _labels(prepared: Prepared) -> DataFrame | None:
    scores, heads = prepared.inputs.scores, prepared.inputs.heads
    if scores is None or not heads:
        return None
    return scores.where(F.col("head_digest").isin(*heads.values())).select(
        "text_hash", "head", "label", "probability", "probabilities"
    )


def _users(run: Run, settings: Alerts) -> DataFrame | None:
    """``user_id, peers, is_bot`` and the night's features; None where they were not built."""
    if not run.warehouse.exists(USER_FEATURES):
        return None
    tonight = run.warehouse.read(USER_FEATURES).where(F.col("as_of") == F.lit(run.as_of))
    return tonight.withColumn("peers", F.coalesce(_peers(run, tonight, settings), F.lit("")))


def _peers(run: Run, tonight: DataFrame, settings: Alerts) -> Column:
    name, windows = settings.peers, run.settings.features.windows_days
    needed = {"tenure_days", "recency_days", f"active_days_{windows[-1]}d"}
    if name == SEGMENT and needed <= set(tonight.columns):
        return segment(windows)
    if name == "all" or name == SEGMENT:
        return F.lit("")
    if name not in tonight.columns:
        raise ConfigError(
            f"alerts.peers: user_features has no column {name!r}",
            found=f"{len(tonight.columns)} columns",
            fix="give segment, all, or a column that `behavior-spark features describe` lists",
        )
    return F.col(f"`{name}`").cast("string")


def _forest(
    prepared: Prepared, people: DataFrame, number: int, settings: Alerts
) -> PeerForest | None:
    """Fit to users chosen by a hash of their id, so that a rerun gives the same forest."""
    rule = settings.unusual_behaviour
    names = rule.features or [name for name in prepared.names if name in people.columns]
    if unknown := [name for name in names if name not in people.columns]:
        raise ConfigError(
            f"alerts.unusual_behaviour.features: there is no feature {unknown[0]!r}",
            fix="`behavior-spark features describe` lists them",
        )
    columns = [F.col(f"`{name}`").cast("double").alias(name) for name in names]
    with spark_errors("reading a sample of user_features"):
        few = sampled_by_hash(people, rows=number, most=rule.sample)
        sample = few.select("peers", *columns).toPandas()
    if len(sample) < settings.least_peers:
        return None
    values = sample[names].to_numpy(dtype=np.float64)
    return PeerForest.fit(
        values, sample["peers"].tolist(), names, least_peers=settings.least_peers, trees=rule.trees
    )


def _refused(run: Run) -> DataFrame | None:
    if not run.warehouse.exists(QUARANTINE):
        return None
    return run.warehouse.read(QUARANTINE).where(F.col("as_of") <= F.lit(run.as_of))


def _nights(run: Run, settings: Alerts) -> list[dt.date]:
    """Earlier nights that read new days alone; one of all history refuses more by its size."""
    earlier = (F.col("as_of") < F.lit(run.as_of)) & F.col("ingested_from").isNotNull()
    nights = run.warehouse.read(RUNS).where(INGESTED).where(earlier).select("as_of").distinct()
    with spark_errors("reading table runs"):
        rows = nights.orderBy(F.desc("as_of")).limit(settings.history_days).collect()
    return [row["as_of"] for row in rows]
