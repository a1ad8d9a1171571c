"""Seconds that a night's service queue takes, by number of texts.

    python -m benchmarks.service_growth [--texts 20000] [--past 20000] [--answers 300]

Generated tables: texts of 77 needs with probabilities and vectors of 384 numbers around their
need's; new ones, and past ones of the days before. Measured: making and writing the queue with past
cases and answers, and the processor time of all processes, which other work on the machine changes
little. Nothing is collected but counts.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import tempfile
import time

import numpy as np
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from behavior_spark.config import LocalSpark, Service, WarehouseSettings
from behavior_spark.io.session import get_session
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.model.encoder.answers import AnswerIndex
from behavior_spark.pipelines.uses.service import replace_queue
from behavior_spark.pipelines.uses.service_rows import ServiceInputs
from behavior_spark.pipelines.uses.service_threshold import RoutingThreshold
from behavior_spark.schemas import SERVICE_QUEUE, TEXT_EMBEDDINGS, TEXT_SCORES, TEXTS
from benchmarks.alerts import processor_seconds

NIGHT = dt.date(2024, 6, 1)
NEEDS, WIDTH = 77, 384


def draw(salt: int, *of: str) -> Column:
    """A number in [0, 1) that depends on columns alone."""
    return F.pmod(F.xxhash64(*of, F.lit(salt)), F.lit(1_000_003)) / 1_000_003


def main() -> None:
    """Print one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=20_000)
    parser.add_argument("--past", type=int, default=20_000)
    parser.add_argument("--answers", type=int, default=300)
    options = parser.parse_args()
    cores = min(2, os.cpu_count() or 1)
    spark, _ = get_session(LocalSpark(master=f"local[{cores}]"), name="service")
    with tempfile.TemporaryDirectory() as folder:
        house = Warehouse(spark, WarehouseSettings(path=folder))
        write_tables(spark, house, options.texts, options.past)
        inputs = inputs_of(house, options.answers)
        began, before = time.monotonic(), processor_seconds(os.getpid())
        made = replace_queue(house, inputs, RoutingThreshold(0.5))
        seconds = time.monotonic() - began
        spent = processor_seconds(os.getpid()) - before
        print(
            f"{made.incoming:,} texts, {options.past:,} past ones, {options.answers} answers: "
            f"{seconds:.0f} s, processor time of all processes {spent:.0f} s; "
            f"{made.counts['with_reply']:,} answers, {made.counts['with_cases']:,} with cases, "
            f"{house.read(SERVICE_QUEUE).count():,} rows"
        )
    spark.stop()


def write_tables(spark: SparkSession, house: Warehouse, texts: int, past: int) -> None:
    """Texts, scores and embeddings, as nights leave them."""
    ids = spark.range(texts + past)
    ago = F.when(F.col("id") < texts, 1).otherwise(2 + (draw(1, "id") * 80).cast("int"))
    arrived = F.timestamp_seconds(F.unix_timestamp(F.lit(NIGHT).cast("timestamp")) - ago * 86_400)
    rows = ids.select(
        F.concat(F.lit("t"), "id").alias("text_id"),
        F.concat(F.lit("u"), F.col("id") % 1000).alias("user_id"),
        arrived.alias("text_time"), F.lit("chat").alias("kind"), F.lit("words").alias("text"),
        F.sha2(F.col("id").cast("string"), 256).alias("text_hash"),
        arrived.alias("arrived_at"), F.to_date(arrived).alias("arrived_day"),
    )  # fmt: skip
    house.append(rows, TEXTS)
    need = (draw(2, "id") * NEEDS).cast("int")
    named = ids.withColumn("need", F.concat(F.lit("n"), need))
    sure = 0.3 + 0.7 * draw(3, "id")
    scores = named.select(
        F.sha2(F.col("id").cast("string"), 256).alias("text_hash"), F.lit("d").alias("head_digest"),
        F.lit("intent").alias("head"), F.col("need").alias("label"),
        sure.cast("float").alias("probability"),
        F.create_map("need", sure.cast("float"), F.lit("other"), (1 - sure).cast("float"))
        .alias("probabilities"),
        F.lit(NIGHT).cast("timestamp").alias("scored_at"),
    )  # fmt: skip
    house.append(scores, TEXT_SCORES)
    house.append(vectors_of(named), TEXT_EMBEDDINGS)


def vectors_of(named: DataFrame) -> DataFrame:
    """A vector around its need's, of WIDTH numbers."""
    place = F.sequence(F.lit(1), F.lit(WIDTH))
    number = F.transform(place, lambda p: (
        F.pmod(F.xxhash64(F.col("need"), p), F.lit(2001)) - 1000
        + (F.pmod(F.xxhash64(F.col("id"), p), F.lit(2001)) - 1000) * 0.8
    ).cast("float"))  # fmt: skip
    return named.select(
        F.sha2(F.col("id").cast("string"), 256).alias("text_hash"),
        F.lit("enc").alias("backbone_digest"), number.alias("embedding"),
        F.lit(NIGHT).cast("timestamp").alias("scored_at"),
    )  # fmt: skip


def inputs_of(house: Warehouse, answers: int) -> ServiceInputs:
    """What the queue is made from, with random answers."""
    rng = np.random.default_rng(0)
    index = AnswerIndex(
        [f"a{n}" for n in range(answers)], [frozenset({f"n{n % NEEDS}"}) for n in range(answers)],
        [None] * answers, rng.normal(size=(answers, WIDTH)).astype(np.float32), -1.0, 0.0,
    )  # fmt: skip
    queues = {f"q{n}": {"needs": [f"n{need}" for need in range(n, NEEDS, 7)]} for n in range(7)}
    service = Service.model_validate(
        {"queues": queues, "least_confidence": 0.5, "at_most": 10_000_000, "mood": None}
    )
    return ServiceInputs(
        as_of=NIGHT, service=service, texts=house.read(TEXTS),
        embeddings=house.read(TEXT_EMBEDDINGS), scores=house.read(TEXT_SCORES), index=index,
        heads={"intent": "d"}, backbone_digest="enc", least_confidence=0.5,
    )  # fmt: skip


if __name__ == "__main__":
    main()
