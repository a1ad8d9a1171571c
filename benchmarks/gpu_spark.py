"""The scoring stage on a Spark cluster with GPUs, beside the usual UDF on the same GPUs.

    spark-submit --master yarn --properties-file conf/deploy/yarn.properties
        --files conf/deploy/find_gpus.sh --py-files dist/behavior_spark-0.1.0-py3-none-any.whl
        benchmarks/gpu_spark.py --warehouse hdfs:///tmp/gpu_spark --config conf/gpu.yaml
        [--set text.gpu.discovery_script=./find_gpus.sh] [--texts 1000000] [--per-task 1,0.5,0.25]
        [--encoder FOLDER] [--only ours,udf] [--warm-up 2000]

Texts of 4 to 120 words are made by Spark. For each share of a GPU that a task gets, timed are

- ``ours``: the stage ``score-texts`` of a night: from the distinct texts to the committed store;
- ``udf``: sentence-transformers in an Arrow UDF on the same resource profile, in batches of 256
  sorted by length, to a Delta table. Needs sentence-transformers on the executors.

Each is run once on 2,000 texts (``--warm-up``) before, which starts executors and workers and, for
``ours``, chooses the encoder's precision where it is ``auto``. Prints a Markdown table:
texts per second, in all and of one GPU; times the UDF; the share of the tasks' time in which the
model computed and the shares of what kept it waiting.
"""

from __future__ import annotations

import argparse
import datetime as dt
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import pyarrow as pa
from pyspark import TaskContext
from pyspark.resource import ResourceProfile
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from rich.console import Console

from behavior_spark.config import Settings, load_settings
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.pipelines import score_texts
from behavior_spark.scoring.resources import resource_profile
from benchmarks.contenders.ours import add_texts

NIGHT = dt.date(2024, 1, 2)
MAX_LENGTH = 128
WORDS = """the order came late and box was open please send another one or give money back thanks
for your help it works well so far but colour is not what I saw in shop can you tell me when will be
there again why has payment failed twice this week my account shows nothing new about delivery"""
Figures = dict[str, float]
BASE = """
warehouse: unused
sources: {events: {path: unused, columns: {event_id: id}}}
features: {event_types: [view]}
targets: {any: {event: "true"}}
"""


def made_texts(spark: SparkSession, count: int, *, seed: int) -> DataFrame:
    """``key`` (string) and ``text``: distinct texts of 4 to 120 words, most of them short."""
    words = F.array(*map(F.lit, sorted(set(WORDS.split()))))

    def draw(index: Column | int, below: Column | int) -> Column:
        return F.pmod(F.xxhash64("id", F.lit(seed), F.lit(index)), F.lit(below)).cast("int")

    length = 4 + draw(0, draw(-1, 116) + 1)
    drawn = F.transform(
        F.sequence(F.lit(1), length), lambda i: F.element_at(words, 1 + draw(i, F.size(words)))
    )
    text = F.concat_ws(" ", drawn, F.col("id").cast("string"))
    return spark.range(count).select(F.col("id").cast("string").alias("key"), text.alias("text"))


def count_gpus(spark: SparkSession, profile: ResourceProfile | None) -> int:
    """GPUs that tasks of the profile are given; 1 if they are given none."""

    def address(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import socket

        for _ in batches:
            time.sleep(0.2)  # so that no task takes the turns of all others
        context = TaskContext.get()
        gpu = context.resources().get("gpu") if context else None
        names = [f"{socket.gethostname()}/{name}" for name in (gpu.addresses if gpu else [])]
        yield pa.RecordBatch.from_pydict({"gpu": pa.array(names, pa.string())})

    parts = max(64, 4 * int(spark.conf.get("spark.sql.shuffle.partitions") or 200))
    probe = spark.range(parts).repartition(parts).mapInArrow(address, "gpu string", False, profile)
    return max(1, probe.distinct().count())


def embed_plainly(texts: DataFrame, folder: str, profile: ResourceProfile | None) -> DataFrame:
    """``key`` and ``embedding`` by sentence-transformers, a model in each task."""

    def embed(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import torch
        from sentence_transformers import SentenceTransformer

        context = TaskContext.get()
        gpu = context.resources().get("gpu") if context else None
        place = f"cuda:{gpu.addresses[0]}" if gpu and torch.cuda.is_available() else "cpu"
        model = SentenceTransformer(folder, device=place)
        if place != "cpu":
            model = model.half()
        model.max_seq_length = MAX_LENGTH
        for batch in batches:
            vectors = model.encode(batch["text"].to_pylist(), batch_size=256)
            yield pa.RecordBatch.from_pydict(
                {"key": batch["key"], "embedding": pa.array(list(vectors), pa.list_(pa.float32()))}
            )

    return texts.mapInArrow(embed, "key string, embedding array<float>", False, profile)


def time_ours(spark: SparkSession, settings: Settings, texts: DataFrame) -> Figures:
    """Seconds of the stage, and the shares of its workers' time."""
    add_texts(Warehouse(spark, settings.warehouse), texts, day=NIGHT - dt.timedelta(days=1))
    start = time.perf_counter()
    result = score_texts(settings, as_of=NIGHT, spark=spark, console=Console(file=sys.stderr))
    seconds = time.perf_counter() - start
    steps = ("load", "read", "tokenize", "model", "return")
    worked = {step: float(result.figures.get(f"seconds_{step}", 0.0)) for step in steps}
    total = sum(worked.values()) or 1.0
    return {"seconds": seconds, **{step: value / total for step, value in worked.items()}}


def time_udf(settings: Settings, folder: str, texts: DataFrame) -> Figures:
    """Seconds from the texts to the committed table."""
    start = time.perf_counter()
    embedded = embed_plainly(texts, folder, resource_profile(settings.text.gpu))
    embedded.write.format("delta").save(str(settings.warehouse.path))
    return {"seconds": time.perf_counter() - start}


def measure(spark: SparkSession, options: argparse.Namespace, name: str, share: str) -> Figures:
    """Time one contender after its warm-up."""
    measured: Figures = {}
    place = f"{options.warehouse}/{time.time():.0f}-{name}-{share}"
    for part, count in {"first": options.warm_up, "timed": options.texts}.items():
        # The precision that the first one chooses stands for the other, as from night to night.
        places = f"warehouse={place}-{part}", f"models={place}-models"
        settings = settings_of(options, share, *places)
        texts = made_texts(spark, count, seed=7)
        if name == "ours":
            measured = time_ours(spark, settings, texts)
        else:
            measured = time_udf(settings, options.encoder, texts)
    return measured


def main() -> None:
    """Time both at each share of a GPU, and print."""
    options = parsed()
    spark = SparkSession.builder.appName("gpu_spark").getOrCreate()
    show("GPU per task", "contender", "texts", "seconds", "texts/s", "of one GPU",
         "times the UDF", "shares of the tasks' time")  # fmt: skip
    show(*["---"] * 8)
    for share in options.per_task.split(","):
        gpus = count_gpus(spark, resource_profile(settings_of(options, share).text.gpu))
        rates: dict[str, float] = {}
        for name in options.only.split(","):
            measured = measure(spark, options, name, share)
            seconds = measured.pop("seconds")
            rate = rates[name] = options.texts / seconds
            ratio = f"{rate / rates['udf']:.2f}" if "udf" in rates else ""
            steps = ", ".join(f"{step} {value:.0%}" for step, value in measured.items())
            show(share, name, f"{options.texts:,}", f"{seconds:.1f}", f"{rate:,.0f}",
                 f"{rate / gpus:,.0f}", ratio, steps)  # fmt: skip


def show(*cells: str) -> None:
    """A row of the Markdown table."""
    print(f"| {' | '.join(cells)} |", flush=True)


def settings_of(options: argparse.Namespace, share: str, *places: str) -> Settings:
    """A config around the texts alone, with what the command line says."""
    base = Path(options.base)
    base.write_text(BASE, encoding="utf-8")
    text = [f"text.encoder={options.encoder}", f"text.max_length={MAX_LENGTH}",
            f"text.gpu.per_task={share}"]  # fmt: skip
    configs = [str(base), *options.config]
    return load_settings(configs, overrides=[*text, *options.set, *places], environment={})


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--warehouse", required=True, help="folder that all executors can write")
    parser.add_argument("--config", action="append", default=[], help="such as conf/gpu.yaml")
    parser.add_argument("--set", action="append", default=[], help="KEY=VALUE of the config")
    parser.add_argument("--texts", type=int, default=1_000_000)
    parser.add_argument("--warm-up", type=int, default=2000, help="texts before what is timed")
    parser.add_argument("--per-task", default="1,0.5,0.25", help="shares, with commas between")
    parser.add_argument("--only", default="udf,ours", help="contenders, in this order")
    parser.add_argument("--encoder", help="model folder on every machine; default: the package's")
    parser.add_argument("--base", default="gpu_spark.yaml", help="the config that is written")
    options = parser.parse_args()
    if options.encoder is None:
        from benchmarks.contenders import common

        options.encoder = common.model_folder()
    return options


if __name__ == "__main__":
    main()
