"""Take-overs found in shops where they are planted, with the default settings of alerts.

    python -m benchmarks.takeovers [--seeds 4,5,6] [--users 400] [--days 150]

Each shop is generated with 8 accounts taken over in the week before its night (``days: 7``), beside
scrapers, campaigns and ordinary users who buy new phones and use second devices. Settings were
chosen on seeds 1 to 3.
"""

from __future__ import annotations

import argparse
import tempfile

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.config import Alerts, LocalSpark
from behavior_spark.demo.generate import DemoLayout, generate_demo
from behavior_spark.demo.incidents import TAKEOVER
from behavior_spark.io.session import spark_session
from behavior_spark.schemas import RISK_ALERTS
from behavior_spark.uses.alerts.assembly import alerts_of
from behavior_spark.uses.alerts.kind import AlertInputs
from behavior_spark.uses.alerts.kinds.account_takeover import KIND

SETTINGS = Alerts(days=7)
LATE_DAYS = 3


def events_at_night(spark: SparkSession, layout: DemoLayout) -> DataFrame:
    """Events as alerts see them: what had arrived, with the group of the item."""
    items = spark.read.csv(layout.catalogue, header=True).select("sku", "category")
    night = F.lit(layout.as_of)
    arrived = F.datediff(night, F.to_date("received"))
    known = (arrived > 0) & (arrived <= SETTINGS.history_days + SETTINGS.days)
    happened = F.datediff(night, F.to_date("ts"))
    recent = (arrived <= SETTINGS.days) & (happened <= SETTINGS.days + LATE_DAYS)
    rows = spark.read.parquet(layout.events).where("id IS NOT NULL AND uid IS NOT NULL")
    rows = rows.where(known & F.col("ts").isNotNull()).dropDuplicates(["id"])
    return rows.join(items, "sku", "left").select(
        F.col("uid").alias("user_id"), F.col("ts").alias("event_time"),
        F.col("action").alias("event_type"), F.col("sku").alias("item_id"),
        F.col("agent").alias("device"), F.lit(None).cast("string").alias("place"), "category",
        recent.alias("is_recent"), (~recent).alias("is_past"),
    )  # fmt: skip


def alerted(spark: SparkSession, layout: DemoLayout) -> set[str]:
    """Users with an alert."""
    inputs = AlertInputs(
        as_of=layout.as_of, settings=SETTINGS, events=events_at_night(spark, layout),
        mapped=frozenset({"device", "category"}),
        earlier=spark.createDataFrame([], RISK_ALERTS.schema),
    )  # fmt: skip
    seen = KIND.candidates(inputs)
    rows = alerts_of("account_takeover", seen, seen.frame).select("subject").collect()
    return {row["subject"] for row in rows}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--seeds", default="4,5,6")
    parser.add_argument("--users", type=int, default=400)
    parser.add_argument("--days", type=int, default=150)
    options = parser.parse_args()
    with spark_session(LocalSpark(), name="take-overs") as spark:
        for seed in map(int, options.seeds.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                layout = generate_demo(
                    spark, folder, users=options.users, days=options.days, seed=seed,
                    incidents=True,
                )  # fmt: skip
                truth = spark.read.parquet(layout.planted).collect()
                planted = {row["uid"]: row["kind"] for row in truth}
                users = alerted(spark, layout)
            stolen = {user for user, kind in planted.items() if kind == TAKEOVER}
            print(
                f"seed {seed}: {len(users & stolen)} of {len(stolen)} take-overs found, "
                f"{len(users & planted.keys() - stolen)} users with another incident and "
                f"{len(users - planted.keys())} ordinary ones of {options.users} alerted",
                flush=True,
            )


if __name__ == "__main__":
    main()
