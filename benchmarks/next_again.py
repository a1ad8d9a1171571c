"""Next baskets by what audiences recommend where they allow items that a member has had.

    python -m benchmarks.next_again           # July 3, August 2, September 1
    python -m benchmarks.next_again --test    # October 1, November 1

Users, baskets and recall@20 are those of ``benchmarks.next_baskets``; lists are made by functions
of the night (``uses.audiences``) in Spark, from a year of purchases as by default. *Goes together,
itself included* is what such audiences got before: an item that the user has had counts as one that
is wholly similar to itself. The weight of the own past was chosen by ``benchmarks.next_baskets`` on
the first command's days. Prints Markdown; brackets are 95 % bootstrap intervals over users.
"""

from __future__ import annotations

import argparse
import datetime as dt
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.config import LocalSpark
from behavior_spark.io.session import spark_session
from behavior_spark.model.arrays import Doubles
from behavior_spark.uses.audiences.again import OWN_WEIGHT, own_past, recommended_again
from behavior_spark.uses.audiences.recommending import (
    EVERYTHING,
    baskets,
    recommended,
    similar_items,
)
from benchmarks.next_baskets import (
    MEMORY_DAYS,
    TEST,
    VALIDATION,
    K,
    bought_within,
    estimate_words,
)
from benchmarks.retail_log import before, read_purchases

LEARN_DAYS, LATEST, POPULAR = 365, 50, 60
BEFORE, OWN = "goes together, itself included", "own past, newest count most"
BOTH = f"own past and what goes together, {OWN_WEIGHT:g} to {1 - OWN_WEIGHT:g}"
Lists = Mapping[str, set[str]]


def next_baskets(purchases: pd.DataFrame, as_of: dt.date) -> Lists:
    """Items of each user's next basket within the horizon, of users who had bought before."""
    later = bought_within(purchases, before(purchases, as_of, days=MEMORY_DAYS), as_of)
    first = later[later["day"] == later.groupby("user_id")["day"].transform("min")]
    return {str(user): set(items) for user, items in first.groupby("user_id")["item"]}


def lists_of(
    spark: SparkSession, past: pd.DataFrame, users: list[str], folder: Path
) -> dict[str, Lists]:
    """The lists of each way."""
    rows = past.rename(columns={"item": "item_id", "time": "event_time"})
    rows = rows.assign(event_id=[str(number) for number in range(len(rows))])
    rows[["user_id", "item_id", "event_time", "event_id"]].to_parquet(
        folder / "events.parquet", coerce_timestamps="us"
    )
    events = spark.read.parquet(str(folder / "events.parquet"))
    had = baskets(events)
    similar_items(had, latest=LATEST, popular=POPULAR).write.mode("overwrite").parquet(
        str(folder / "similar")
    )
    similar = spark.read.parquet(str(folder / "similar"))
    wanted = spark.createDataFrame(pd.DataFrame({"user_id": users})).select(
        F.lit("all").alias("audience"), "user_id", F.lit(EVERYTHING).alias("shelf"),
        F.lit(K).alias("items"), F.lit(True).alias("again"),
    )  # fmt: skip
    own = own_past(events)
    ways = {BEFORE: recommended(wanted, had, similar, latest=LATEST)}
    for name, weight in ((OWN, 1.0), (BOTH, OWN_WEIGHT)):
        ways[name] = recommended_again(
            wanted, had, own, similar, latest=LATEST, own_weight=weight
        )
    return {name: by_user(frame) for name, frame in ways.items()}


def by_user(frame: DataFrame) -> Lists:
    """Items of each user."""
    found = frame.select("user_id", "item_id").toPandas()
    return {str(user): set(items) for user, items in found.groupby("user_id")["item_id"]}


def recall(lists: Lists, truth: Lists) -> Doubles:
    """Share of each user's basket that is in his list, (users,)."""
    return np.array([len(truth[u] & lists.get(u, set())) / len(truth[u]) for u in truth])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--test", action="store_true", help="October 1 and November 1")
    test = parser.parse_args().test
    purchases = read_purchases()
    recalls: dict[str, list[Doubles]] = {}
    users = []
    local = LocalSpark(master="local[2]", shuffle_partitions=4)
    with tempfile.TemporaryDirectory() as name, spark_session(local, name="again") as spark:
        for as_of in TEST if test else VALIDATION:
            truth = next_baskets(purchases, as_of)
            past = before(purchases, as_of, days=LEARN_DAYS)
            found = lists_of(spark, past, list(truth), Path(name))
            for way, lists in found.items():
                recalls.setdefault(way, []).append(recall(lists, truth))
            users.append(list(truth))
    print(f"{sum(map(len, users)):,} baskets of {len(users)} days\n")
    print(f"| list | recall@{K} | over {BEFORE} |\n| --- | --- | --- |")
    for way, values in recalls.items():
        gains = [new - old for new, old in zip(values, recalls[BEFORE], strict=True)]
        over = "" if way == BEFORE else estimate_words(gains, users, sign=True)
        print(f"| {way} | {estimate_words(values, users)} | {over} |")


if __name__ == "__main__":
    main()
