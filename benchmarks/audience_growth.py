"""Members of three audiences, by number of users: a stage of ``benchmarks.million``.

Made-up predictions, users and purchases (five for each user, of 5,000 items). Three audiences are
chosen: the first hundredth, a budget, and a threshold.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.config import Audience, WarehouseSettings
from behavior_spark.io.counting import Counted
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.schemas import AUDIENCE_MEMBERS
from behavior_spark.uses.audiences.arms import HOLDOUT, REACHED
from behavior_spark.uses.audiences.counting import by_audience, measures_of
from behavior_spark.uses.audiences.membership import (
    LEFT_OUT,
    REASONS,
    candidates,
    choose,
    last_memberships,
    with_rank,
)

NIGHT = dt.date(2024, 5, 1)
ITEMS, BOUGHT = 5_000, 5


def made_up(spark: SparkSession, users: int) -> tuple[DataFrame, DataFrame, DataFrame]:
    """Predictions, users and purchases."""
    ids = spark.range(users).select(F.concat(F.lit("user-"), "id").alias("user_id"), "id")
    dice = (F.pmod(F.xxhash64("id", F.lit("p")), F.lit(10**6)) + 1) / F.lit(10**6 + 2)
    predictions = ids.select(
        "user_id",
        F.lit(NIGHT).alias("as_of"),
        F.lit("buy").alias("target"),
        F.log(dice / (1 - dice)).alias("score"),
        dice.alias("probability"),
        F.lit(NIGHT).alias("valid_until"),
    )
    people = ids.select(
        "user_id",
        (F.pmod("id", F.lit(100)) == 0).alias("is_bot"),
        F.pmod("id", F.lit(7)).alias("purchase_count_7d"),
    )
    place = F.pmod(F.xxhash64("id", "n"), F.lit(10**6)) / 10**6
    purchases = ids.withColumn("n", F.explode(F.sequence(F.lit(1), F.lit(BOUGHT)))).select(
        "user_id",
        # Popular items are bought much more often than others.
        F.concat(F.lit("item-"), F.floor(place * place * ITEMS)).alias("item_id"),
        F.timestamp_seconds(F.pmod(F.xxhash64("n", "id"), F.lit(10**9))).alias("event_time"),
    )
    return predictions, people, purchases


def stored(frame: DataFrame, folder: Path, name: str) -> None:
    """Write the frame as a Parquet table."""
    frame.write.parquet(str(folder / name))


def prepare(spark: SparkSession, folder: Path, users: int) -> None:
    """Write predictions, users and purchases."""
    for frame, name in zip(made_up(spark, users), ("predictions", "people", "purchases"),
                           strict=True):  # fmt: skip
        stored(frame, folder, name)


def measure(spark: SparkSession, folder: Path, users: int) -> dict[str, int]:
    """Choose the members of three audiences, count all others, and write the members."""
    audiences = {
        "first": Audience(target="buy", top=users // 100, exclude="purchase_count_7d = 1"),
        "paid": Audience(target="buy", budget=users / 50, cost=1, value=2, holdout=0.5),
        "likely": Audience(target="buy", threshold=0.9),
    }
    house = Warehouse(spark, WarehouseSettings(path=str(folder / "tables")))
    house.create(AUDIENCE_MEMBERS)
    predictions, people = (spark.read.parquet(str(folder / n)) for n in ("predictions", "people"))
    last = last_memberships(house.read(AUDIENCE_MEMBERS), NIGHT)
    chosen = choose(with_rank(candidates(predictions, people, last, audiences)), audiences)
    counted = Counted.over(chosen, **measures_of(audiences))
    members = counted.frame.where(F.col(LEFT_OUT).isNull())
    house.replace(members, AUDIENCE_MEMBERS, where=f"as_of = DATE'{NIGHT}'")
    counts = by_audience(counted.values())
    looked_at = sum(int(sum(of[r] for r in REASONS) + of[REACHED] + of[HOLDOUT])
                    for of in counts.values())  # fmt: skip
    assert looked_at == users * len(audiences)
    return {"looked at": looked_at, "members": house.read(AUDIENCE_MEMBERS).count()}
