"""Items for the members of an audience, by number of users: a stage of ``benchmarks.million``.

Purchases of ``audience_growth``; items are found for one user in a hundred, learned from 200,000.
"""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from behavior_spark.uses.audiences.foretold import with_how
from behavior_spark.uses.audiences.recommending import (
    EVERYTHING,
    baskets,
    listed,
    recommended,
    similar_items,
)
from behavior_spark.uses.sampling import sampled_users
from benchmarks.audience_growth import made_up, stored

LATEST, LEARNED, POPULAR = 50, 200_000, 15


def prepare(spark: SparkSession, folder: Path, users: int) -> None:
    """Write the purchases."""
    stored(made_up(spark, users)[2], folder, "purchases")


def measure(spark: SparkSession, folder: Path, users: int) -> dict[str, int]:
    """Find five items for each of the members, and write them."""
    had = baskets(spark.read.parquet(str(folder / "purchases")))
    share = LEARNED / users
    learned = sampled_users(had, share=share, salt="learn")
    similar = similar_items(learned, latest=LATEST, popular=POPULAR)
    wanted = had.where(F.pmod(F.xxhash64("user_id"), F.lit(100)) == 0).select(
        F.lit("first").alias("audience"), "user_id", F.lit(5).alias("items"),
        F.lit(False).alias("again"), F.lit(EVERYTHING).alias("shelf"),
    )  # fmt: skip
    chosen = with_how(recommended(wanted, had, similar, latest=LATEST))
    stored(listed(chosen, None), folder, "lists")
    lists = spark.read.parquet(str(folder / "lists"))
    return {"learned from": min(users, LEARNED), "members with items": lists.count()}
