"""A night's queue of customer service, by number of users: a stage of ``benchmarks.million``.

Generated texts of 77 needs with probabilities and vectors of 384 numbers around their need's: of
one user in fifty a new one, and 60,000 past ones, of which the default compares 50,000; a value and
a risk of every user; 300 answers; moods of texts, some of them angry.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import LongType, StructField, StructType

from behavior_spark.config import Service, WarehouseSettings
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.model.encoder.answers import AnswerIndex
from behavior_spark.pipelines.uses.service import replace_queue
from behavior_spark.pipelines.uses.service_rows import ServiceInputs
from behavior_spark.pipelines.uses.service_threshold import RoutingThreshold
from behavior_spark.schemas import TEXT_EMBEDDINGS, TEXT_SCORES, TEXTS

NIGHT = dt.date(2024, 6, 1)
NEEDS, WIDTH = 77, 384
PAST, ANSWERS = 60_000, 300


def draw(salt: int, *of: str) -> Column:
    """A number in [0, 1) that depends on columns alone."""
    return F.pmod(F.xxhash64(*of, F.lit(salt)), F.lit(1_000_003)) / 1_000_003


def prepare(spark: SparkSession, folder: Path, users: int) -> None:
    """Write texts of one user in fifty, and 60,000 past ones, with scores and vectors."""
    house = Warehouse(spark, WarehouseSettings(path=str(folder)))
    write_tables(spark, house, users // 50, PAST, users)
    people_of(spark, users).write.parquet(str(folder / "people"))


def measure(spark: SparkSession, folder: Path, users: int) -> dict[str, int]:
    """Make the queue, with past cases and answers, and write it."""
    del users
    house = Warehouse(spark, WarehouseSettings(path=str(folder)))
    people = spark.read.parquet(str(folder / "people"))
    made = replace_queue(house, inputs_of(house, ANSWERS, people), RoutingThreshold(0.5))
    names = ("rows", "with_need", "with_reply", "with_cases", "urgency.high")
    return {"texts": made.incoming, **{name: made.counts[name] for name in names}}


def people_of(spark: SparkSession, users: int) -> DataFrame:
    """What is known of every user: value, risk and its decile."""
    risk = draw(4, "id")
    return spark.range(users).select(
        F.concat(F.lit("u"), "id").alias("user_id"), (draw(5, "id") * 300).alias("value"),
        risk.alias("risk"), (10 - F.floor(risk * 10)).cast("int").alias("risk_decile"),
    )  # fmt: skip


def write_tables(
    spark: SparkSession, house: Warehouse, texts: int, past: int, users: int
) -> None:
    """Texts, scores and embeddings, as nights leave them."""
    ids = spark.range(texts + past)
    ago = F.when(F.col("id") < texts, 1).otherwise(2 + (draw(1, "id") * 80).cast("int"))
    arrived = F.timestamp_seconds(F.unix_timestamp(F.lit(NIGHT).cast("timestamp")) - ago * 86_400)
    rows = ids.select(
        F.concat(F.lit("t"), "id").alias("text_id"),
        F.concat(F.lit("u"), F.floor(draw(6, "id") * users)).alias("user_id"),
        arrived.alias("text_time"), F.lit("chat").alias("kind"), F.lit("words").alias("text"),
        F.sha2(F.col("id").cast("string"), 256).alias("text_hash"),
        arrived.alias("arrived_at"), F.to_date(arrived).alias("arrived_day"),
    )  # fmt: skip
    house.append(rows, TEXTS)
    need = (draw(2, "id") * NEEDS).cast("int")
    named = ids.withColumn("need", F.concat(F.lit("n"), need))
    zero = F.lit(0.0).cast("float")
    sure = F.coalesce((0.3 + 0.7 * draw(3, "id")).cast("float"), zero)
    rest = F.coalesce((1 - sure).cast("float"), zero)
    scores = named.select(
        F.sha2(F.col("id").cast("string"), 256).alias("text_hash"), F.lit("d").alias("head_digest"),
        F.lit("intent").alias("head"), F.col("need").alias("label"),
        sure.alias("probability"),
        F.create_map("need", sure, F.lit("other"), rest)
        .alias("probabilities"),
        F.lit(NIGHT).cast("timestamp").alias("scored_at"),
    )  # fmt: skip
    house.append(scores, TEXT_SCORES)
    mood = F.when(draw(7, "id") < 0.1, "anger").otherwise("neutral")
    likely = F.coalesce(F.lit(0.9).cast("float"), zero)
    moods = ids.select(
        F.sha2(F.col("id").cast("string"), 256).alias("text_hash"), F.lit("m").alias("head_digest"),
        F.lit("emotion").alias("head"), mood.alias("label"), likely.alias("probability"),
        F.create_map(mood, likely).alias("probabilities"),
        F.lit(NIGHT).cast("timestamp").alias("scored_at"),
    )  # fmt: skip
    house.append(moods, TEXT_SCORES)
    house.append(vectors_of(named), TEXT_EMBEDDINGS)


def vectors_of(named: DataFrame) -> DataFrame:
    """A vector around its need's, of WIDTH numbers."""
    centres = np.random.default_rng(1).uniform(-1, 1, (NEEDS, WIDTH)).astype(np.float32)

    def draw_vectors(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            needs = [int(need[1:]) for need in batch.column("need").to_pylist()]
            dice = np.random.default_rng(batch.column("id")[0].as_py())
            noise = dice.uniform(-1, 1, (len(batch), WIDTH)).astype(np.float32)
            flat = pa.array((centres[needs] + 0.8 * noise).astype(np.float32).ravel())
            vectors = pa.ListArray.from_arrays(
                pa.array(np.arange(len(batch) + 1, dtype=np.int32) * WIDTH), flat
            )
            yield pa.RecordBatch.from_arrays([batch.column("id"), vectors], ["id", "embedding"])

    numbers = TEXT_EMBEDDINGS.field("embedding").dataType
    schema = StructType([StructField("id", LongType()), StructField("embedding", numbers)])
    drawn = named.select("id", "need").mapInArrow(draw_vectors, schema)
    return drawn.select(
        F.sha2(F.col("id").cast("string"), 256).alias("text_hash"),
        F.lit("enc").alias("backbone_digest"), "embedding",
        F.lit(NIGHT).cast("timestamp").alias("scored_at"),
    )  # fmt: skip


def inputs_of(house: Warehouse, answers: int, people: DataFrame) -> ServiceInputs:
    """What the queue is made from, with random answers."""
    rng = np.random.default_rng(0)
    index = AnswerIndex(
        [f"a{n}" for n in range(answers)], [frozenset({f"n{n % NEEDS}"}) for n in range(answers)],
        [None] * answers, rng.normal(size=(answers, WIDTH)).astype(np.float32), -1.0, 0.0,
    )  # fmt: skip
    queues = {f"q{n}": {"needs": [f"n{need}" for need in range(n, NEEDS, 7)]} for n in range(7)}
    service = Service.model_validate(
        {"queues": queues, "least_confidence": 0.5, "urgent": ["n1", "n2"]}
    )
    return ServiceInputs(
        as_of=NIGHT, service=service, texts=house.read(TEXTS),
        embeddings=house.read(TEXT_EMBEDDINGS), scores=house.read(TEXT_SCORES), index=index,
        heads={"intent": "d", "emotion": "m"}, backbone_digest="enc", least_confidence=0.5,
        users=people,
    )  # fmt: skip
