"""This project: the whole scoring stage of a night over a warehouse that holds the texts.

Timed is what ``score-texts`` does: count the distinct texts, compare them with the store, embed
what is new and commit it, and record the run. ``--again`` then adds 5 % new texts (of which the
stage knows nothing before) and runs the next night in the same process; ``--head`` publishes a
new head and runs a night that has nothing to do but apply it to everything stored.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from behavior_spark.config import LocalSpark, Settings, validate_settings
from behavior_spark.io.session import spark_session
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.model.encoder.model_folder import backbone_digest
from behavior_spark.model.encoder.options import EncoderOptions
from behavior_spark.model.heads.head import Head
from behavior_spark.model.registry.store import CHAMPION, ModelStore
from behavior_spark.model.registry.text_model import save_text_model
from behavior_spark.pipelines import Result, score_texts
from behavior_spark.schemas import TEXT_EMBEDDINGS, TEXT_SCORES, TEXTS
from benchmarks.contenders import common

NIGHT = dt.date(2024, 1, 2)


def settings_for(options: Any) -> Settings:
    """A config around the texts alone."""
    return validate_settings(
        {
            "warehouse": options.output,
            "sources": {"events": {"path": "unused", "columns": {"event_id": "id"}}},
            "text": {
                "encoder": options.model,
                "max_length": common.MAX_SEQ_LENGTH,
                "precision": options.precision,
            },
            "features": {"event_types": ["view"]},
            "targets": {"any": {"event": "true"}},
        }
    )


def add_texts(warehouse: Warehouse, texts: DataFrame, *, day: dt.date) -> None:
    """Put texts into the warehouse, as a night's ingest leaves them."""
    known = F.lit(dt.datetime(day.year, day.month, day.day, tzinfo=dt.UTC))
    kept = texts.where("text IS NOT NULL AND trim(text) <> ''")
    warehouse.append(
        kept.select(
            F.col("key").cast("string").alias("text_id"),
            known.alias("text_time"),
            "text",
            F.sha2("text", 256).alias("text_hash"),
            known.alias("arrived_at"),
            F.to_date(known).alias("arrived_day"),
        ),
        TEXTS,
    )


def night(spark: SparkSession, settings: Settings, day: dt.date) -> tuple[float, Result]:
    """One night's scoring: its seconds, and what it says of itself."""
    start = time.perf_counter()
    result = score_texts(settings, as_of=day, spark=spark, console=Console(file=sys.stderr))
    return time.perf_counter() - start, result


def publish_head(settings: Settings, options: Any) -> None:
    """A head of eight labels with random weights becomes the model in use."""
    encoder = EncoderOptions(max_length=common.MAX_SEQ_LENGTH, precision=options.precision)
    rng = np.random.default_rng(7)
    head = Head(
        name="topic",
        labels=tuple("abcdefgh"),
        kind="single_label",
        weight=rng.normal(size=(8, 384)).astype(np.float32),
        bias=np.zeros(8, dtype=np.float32),
        thresholds=np.full(8, 0.5, dtype=np.float32),
        temperature=1.0,
        backbone_digest=backbone_digest(options.model, encoder),
    )
    store = ModelStore(Path(settings.models_path))
    folder = store.publish_text_model(
        lambda path: save_text_model(
            path, encoder_source=options.model, options=encoder, heads={"topic": head}
        )
    )
    store.set_alias(CHAMPION, folder.name)


def main() -> None:
    """Score, and report."""
    parser = common.arguments(__doc__)
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    parser.add_argument("--again", action="store_true", help="one more night with 5 % new texts")
    parser.add_argument("--head", action="store_true", help="one more night with a new head")
    options = common.parsed(parser)
    settings = settings_for(options)
    models = settings.worker_models()
    with spark_session(LocalSpark(), name="ours", models=models) as spark:
        warehouse = Warehouse(spark, settings.warehouse)
        texts = spark.read.parquet(options.input).withColumnRenamed(options.key, "key")
        add_texts(warehouse, texts, day=NIGHT - dt.timedelta(days=1))
        seconds, result = night(spark, settings, NIGHT)
        more: dict[str, Any] = {"figures": result.figures}
        if options.again:
            distinct = int(result.figures["texts_known"])
            fresh = texts.select("key", "text").where("text IS NOT NULL").dropDuplicates(["text"])
            fresh = fresh.withColumn("text", F.concat(F.reverse("text"), F.lit(" new")))
            add_texts(warehouse, fresh.orderBy("text").limit(distinct // 20), day=NIGHT)
            more["again"], second = night(spark, settings, NIGHT + dt.timedelta(days=1))
            more["again_figures"] = second.figures
        if options.head:
            publish_head(settings, options)
            more["head"], third = night(spark, settings, NIGHT + dt.timedelta(days=1))
            more["head_stages"] = third.steps
            more["head_rows"] = warehouse.read(TEXT_SCORES).count()
        stored = warehouse.read(TEXT_EMBEDDINGS)
        rows = stored.count()
        sample = stored.where("embedding IS NOT NULL").select("text_hash", "embedding")
        vectors = {r["text_hash"]: r["embedding"] for r in sample.limit(2000).collect()}
        Path(options.output, "sample.json").write_text(json.dumps(vectors))
        norms = np.linalg.norm(np.array(list(vectors.values())), axis=1)
        spark.stop()
        common.report(
            f"behavior_spark, {options.precision}",
            rows=rows,
            seconds=seconds,
            load_seconds=result.figures.get("seconds_load", 0.0) / 2,
            unit_norms=bool(np.allclose(norms, 1, atol=1e-4)),
            writes="delta",
            packages=["torch", "transformers", "pyspark", "delta-spark", "pyarrow"],
            **more,
        )


if __name__ == "__main__":
    main()
