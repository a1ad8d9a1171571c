"""Seconds that the risk alerts of a night take, by number of users.

    python -m benchmarks.alerts [--users 1000000] [--days 30] [--features 40]

Generated tables: users with a habit of hour, device and items, on two days in five with three
events; 40 features; a text a day of one user in fifty. Among them one in 20,000 users bursts, and
one in 20,000 comes from another device at another time. Measured: reading a sample and fitting the
forest; finding, capping and writing all alerts; and the processor time of all processes, which
other work on the machine changes little. Nothing is collected but the sample and counts.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.config import Alerts, LocalSpark, WarehouseSettings
from behavior_spark.io.session import get_session
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.model.anomaly.forest import PeerForest
from behavior_spark.pipelines.uses.alerts import replace_alerts
from behavior_spark.schemas import RISK_ALERTS
from behavior_spark.uses.alerts.kind import AlertInputs

NIGHT = dt.date(2024, 6, 1)


def draw(salt: int, *of: str) -> Column:
    """A number in [0, 1) that depends on columns alone."""
    return F.pmod(F.xxhash64(*of, F.lit(salt)), F.lit(1_000_003)) / 1_000_003


def users_of(spark: SparkSession, users: int, features: int) -> DataFrame:
    """Users with their features, which have a long tail."""
    columns = [(-F.log(1 - draw(100 + n, "id")) * (n + 1)).alias(f"f{n}") for n in range(features)]
    peers = F.element_at(F.array(*map(F.lit, ["new", "loyal", "active"])),
                         (draw(1, "id") * 3).cast("int") + 1)  # fmt: skip
    return spark.range(users).select(
        F.concat(F.lit("u"), "id").alias("user_id"), peers.alias("peers"), *columns
    )


def events_of(spark: SparkSession, users: int, days: int) -> DataFrame:
    """Events of the days before the night, as alerts see them."""
    habit = spark.range(users).select(
        "id", F.explode(F.sequence(F.lit(1), F.lit(days + 1))).alias("ago"),
        (draw(2, "id") * 14 + 6).alias("hour"),
    ).where(draw(3, "id", "ago") < 0.4)  # fmt: skip
    last, lot = F.col("ago") == 1, (draw(4, "id") * 20_000).cast("int")
    bursts, stolen = last & (lot == 0), last & (lot == 1)
    count = F.when(bursts, 300).otherwise(3)
    rows = habit.select("*", bursts.alias("burst"), stolen.alias("stolen"),
                        F.explode(F.sequence(F.lit(1), count)).alias("n"))  # fmt: skip
    hour = F.pmod(F.col("hour") + F.when(F.col("stolen"), 12).otherwise(0)
                  + (draw(5, "id", "ago") - 0.5) * 4, F.lit(24.0))  # fmt: skip
    midnight = F.unix_seconds(F.date_sub(F.lit(NIGHT), F.col("ago")).cast("timestamp"))
    device = F.when(F.col("stolen"), F.lit("other")).otherwise(
        F.concat(F.lit("d"), F.col("id") % 6)
    )
    return rows.select(
        F.concat(F.lit("u"), "id").alias("user_id"),
        F.timestamp_seconds(midnight + F.floor(hour) * 3600 + (draw(6, "id", "ago", "n") * 3600))
        .alias("event_time"),
        F.lit("view").alias("event_type"),
        device.alias("device"),
        F.lit(None).cast("string").alias("place"),
        F.concat(F.lit("c"), (draw(7, "id", "n") * 8).cast("int")).alias("category"),
        (F.col("ago") == 1).alias("is_recent"), (F.col("ago") > 1).alias("is_past"),
    )  # fmt: skip


def texts_of(spark: SparkSession, users: int, days: int) -> DataFrame:
    """A text of twelve words a day of one user in fifty, and adverts of five users."""
    rows = spark.range(users // 50).select(
        (F.col("id") * 50).alias("id"), F.explode(F.sequence(F.lit(1), F.lit(days))).alias("ago")
    )
    # As frequent as words are: of 5,000, the word of rank r in proportion to 1 / r.
    rank = F.floor(F.pow(F.lit(5_000.0), draw(8, "id", "ago", "n")))
    word = F.substring(F.sha2(rank.cast("string"), 256), 1, 6)
    words = rows.select("*", F.explode(F.sequence(F.lit(1), F.lit(12))).alias("n"))
    texts = words.groupBy("id", "ago").agg(F.array_join(F.collect_list(word), " ").alias("text"))
    advert = "come and see our new shop where all things cost half of what you pay here number "
    text = F.when((F.col("ago") == 1) & (F.col("id") < 250),
                  F.concat(F.lit(advert), F.col("id"))).otherwise(F.col("text"))  # fmt: skip
    return texts.select(
        F.concat(F.lit("u"), "id").alias("user_id"),
        F.date_sub(F.lit(NIGHT), F.col("ago")).cast("timestamp").alias("text_time"),
        text.alias("text"), F.sha2(text, 256).alias("text_hash"),
        (F.col("ago") == 1).alias("is_recent"),
    )  # fmt: skip


def processor_seconds(pid: int) -> float:
    """Processor time of a process and all that it has started, in seconds."""
    times: dict[int, tuple[int, float]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        ticks = sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
        times[int(stat.parent.name)] = int(fields[1]), ticks
    tree, size = {pid}, 0
    while len(tree) > size:
        size = len(tree)
        tree |= {child for child, (parent, _) in times.items() if parent in tree}
    return sum(times[member][1] for member in tree if member in times)


def stored(frame: DataFrame, folder: str, name: str) -> DataFrame:
    """The frame as a Parquet table."""
    path = str(Path(folder, name))
    frame.write.parquet(path)
    return frame.sparkSession.read.parquet(path)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--features", type=int, default=40)
    options = parser.parse_args()
    spark, _ = get_session(LocalSpark(driver_memory="3g", shuffle_partitions=8), name="alerts")
    settings = Alerts(days=1)
    with tempfile.TemporaryDirectory() as folder:
        house = Warehouse(spark, WarehouseSettings(path=str(Path(folder, "tables"))))
        house.create(RISK_ALERTS)
        users = stored(users_of(spark, options.users, options.features), folder, "users")
        events = stored(events_of(spark, options.users, options.days), folder, "events")
        texts = stored(texts_of(spark, options.users, options.days), folder, "texts")
        print(f"{options.users:,} users, {events.count():,} events, {texts.count():,} texts")
        start, used = time.monotonic(), processor_seconds(os.getpid())
        names = [f"f{n}" for n in range(options.features)]
        rule = settings.unusual_behaviour
        sample = users.orderBy(F.xxhash64("user_id")).limit(rule.sample).toPandas()
        forest = PeerForest.fit(sample[names].to_numpy(dtype=np.float64), sample["peers"].tolist(),
                                names, least_peers=30, trees=rule.trees)  # fmt: skip
        fitted = time.monotonic()
        inputs = AlertInputs(
            as_of=NIGHT, settings=settings, events=events.repartition("user_id"),
            mapped=frozenset({"device", "category"}), earlier=house.read(RISK_ALERTS), texts=texts,
            users=users, forest=forest,
        )  # fmt: skip
        result = replace_alerts(house, inputs)
        written = time.monotonic()
        print(result.line)
        print({kind: n for (_, kind), n in result.shown.items()}, dict(result.quiet))
        print(f"sample and forest {fitted - start:.1f} s, alerts {written - fitted:.1f} s")
        spent = processor_seconds(os.getpid()) - used
        print(f"processor time of all processes {spent:.0f} s: two idle cores need half of it")
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
        print(f"peak memory of the Python driver {memory:.2f} GB")
    spark.stop()


if __name__ == "__main__":
    main()
