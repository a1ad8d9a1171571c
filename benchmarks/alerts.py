"""The risk alerts of a night, by number of users: a stage of ``benchmarks.million``.

Generated tables: users with a habit of hour, device and items, on two days in five with three
events; 40 features; a text a day of one user in fifty, one in a hundred read as spam; a visitor of
one user in ten linked in the month. Among them one in 20,000 users bursts, one in 20,000 comes from
another device at another time, and one visitor is a thousand users.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.config import Alerts, WarehouseSettings
from behavior_spark.features.sampling import sampled_by_hash
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.model.anomaly.forest import PeerForest
from behavior_spark.pipelines.uses.alerts import replace_alerts
from behavior_spark.schemas import RISK_ALERTS
from behavior_spark.uses.alerts.kind import AlertInputs

NIGHT = dt.date(2024, 6, 1)
DAYS, FEATURES = 30, 40
TABLES = ("users", "events", "texts", "links")


def draw(salt: int, *of: str) -> Column:
    """A number in [0, 1) that depends on columns alone."""
    return F.pmod(F.xxhash64(*of, F.lit(salt)), F.lit(1_000_003)) / 1_000_003


def users_of(spark: SparkSession, users: int, features: int) -> DataFrame:
    """Users with their features, which have a long tail."""
    columns = [(-F.log(1 - draw(100 + n, "id")) * (n + 1)).alias(f"f{n}") for n in range(features)]
    peers = F.element_at(F.array(*map(F.lit, ["new", "loyal", "active"])),
                         (draw(1, "id") * 3).cast("int") + 1)  # fmt: skip
    return spark.range(users).select(
        F.concat(F.lit("u"), "id").alias("user_id"), peers.alias("peers"),
        F.lit(False).alias("is_bot"), *columns
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


def labels_of(texts: DataFrame) -> DataFrame:
    """What a head reads in each distinct text: spam in one of a hundred."""
    label = F.when(draw(10, "text_hash") < 0.01, "spam").otherwise("ok").alias("label")
    return texts.select("text_hash").distinct().select(
        "text_hash", F.lit("spam").alias("head"), label, F.lit(0.9).alias("probability"),
        F.create_map(label, F.lit(0.9)).alias("probabilities"),
    )  # fmt: skip


def links_of(spark: SparkSession, users: int, days: int) -> DataFrame:
    """Links of visitors to users: one for one user in ten, and of one visitor to a thousand."""
    ago = 1 + (draw(9, "id") * days).cast("int")
    visitor = F.when(F.col("id") < 10_000, F.lit("v")).otherwise(F.concat(F.lit("v"), "id"))
    return spark.range(0, users, 10).select(
        visitor.alias("anonymous_id"), F.concat(F.lit("u"), "id").alias("user_id"),
        F.date_sub(F.lit(NIGHT), ago).alias("arrived_day"),
    )  # fmt: skip


def stored(frame: DataFrame, folder: Path, name: str) -> None:
    """Write the frame as a Parquet table."""
    frame.write.parquet(str(folder / name))


def prepare(spark: SparkSession, folder: Path, users: int) -> None:
    """Write users with 40 features, and their events and texts of a month."""
    stored(users_of(spark, users, FEATURES), folder, "users")
    stored(events_of(spark, users, DAYS), folder, "events")
    stored(texts_of(spark, users, DAYS), folder, "texts")
    stored(links_of(spark, users, DAYS), folder, "links")


def measure(spark: SparkSession, folder: Path, users: int) -> dict[str, int]:
    """Fit the forest to a sample, find all alerts and write them."""
    del users
    settings = Alerts(days=1)
    house = Warehouse(spark, WarehouseSettings(path=str(folder / "tables")))
    house.create(RISK_ALERTS)
    tables = {name: spark.read.parquet(str(folder / name)) for name in TABLES}
    names = [f"f{n}" for n in range(FEATURES)]
    rule = settings.unusual_behaviour
    rows = tables["users"].count()
    sample = sampled_by_hash(tables["users"], rows=rows, most=rule.sample).toPandas()
    forest = PeerForest.fit(sample[names].to_numpy(dtype=np.float64), sample["peers"].tolist(),
                            names, least_peers=30, trees=rule.trees)  # fmt: skip
    inputs = AlertInputs(
        as_of=NIGHT, settings=settings, events=tables["events"].repartition("user_id"),
        mapped=frozenset({"device", "category"}), earlier=house.read(RISK_ALERTS),
        texts=tables["texts"], users=tables["users"], forest=forest, links=tables["links"],
        labels=labels_of(tables["texts"]), heads=frozenset({"spam"}),
        habits_share=min(rule.sample / rows, 1.0),
    )  # fmt: skip
    result = replace_alerts(house, inputs)
    above = sum(result.left_out.values())
    return {
        "events": tables["events"].count(), "texts": tables["texts"].count(),
        "alerts written": sum(result.shown.values()), "above the caps": above,
    }  # fmt: skip


