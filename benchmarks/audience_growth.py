"""Seconds to choose the members of audiences, and to find their items, by number of users.

    python -m benchmarks.audience_growth --users 1000000

Made-up predictions, users and purchases (five for each user, of 5,000 items). Three audiences are
chosen: the first hundredth, a budget, and a threshold. Then items are found for the members of the
first, learned from 200,000 users. Results are written nowhere (format ``noop``).
"""

from __future__ import annotations

import argparse
import datetime as dt
import time

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.config import Audience, LocalSpark
from behavior_spark.io.session import spark_session
from behavior_spark.uses.audiences.membership import LEFT_OUT, candidates, choose, with_rank
from behavior_spark.uses.audiences.recommending import (
    EVERYTHING,
    baskets,
    listed,
    recommended,
    sampled_users,
    similar_items,
)

NIGHT = dt.date(2024, 5, 1)
ITEMS, BOUGHT, LATEST, LEARNED = 5_000, 5, 50, 200_000


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


def seconds(frame: DataFrame) -> float:
    """To compute all of it."""
    start = time.monotonic()
    frame.write.format("noop").mode("overwrite").save()
    return time.monotonic() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--users", type=int, default=1_000_000)
    users: int = parser.parse_args().users
    audiences = {
        "first": Audience(target="buy", top=users // 100, exclude="purchase_count_7d = 1"),
        "paid": Audience(target="buy", budget=users / 50, cost=1, value=2, holdout=0.5),
        "likely": Audience(target="buy", threshold=0.9),
    }
    with spark_session(LocalSpark(), name="audience growth") as spark:
        predictions, people, purchases = made_up(spark, users)
        nobody = spark.createDataFrame([], "audience string, user_id string, last_member date")
        chosen = choose(with_rank(candidates(predictions, people, nobody, audiences)), audiences)
        print(f"{users:,} users, 3 audiences: {seconds(chosen):.1f} s")
        had = baskets(purchases)
        similar = similar_items(
            sampled_users(had, share=LEARNED / users), latest=LATEST, popular=15
        )
        wanted = chosen.where((F.col("audience") == "first") & F.col(LEFT_OUT).isNull()).select(
            "audience", "user_id", F.lit(5).alias("items"), F.lit(False).alias("again"),
            F.lit(EVERYTHING).alias("shelf"),
        )  # fmt: skip
        lists = listed(recommended(wanted, had, similar, latest=LATEST), None)
        print(f"items for {users // 100:,} members, choosing them included: {seconds(lists):.1f} s")


if __name__ == "__main__":
    main()
