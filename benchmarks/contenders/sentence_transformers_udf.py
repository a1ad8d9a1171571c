"""sentence-transformers in Spark by the usual iterator pandas UDF.

Spark's and Databricks' advice for models: an Iterator[Series] UDF that loads once, before its
loop (https://spark.apache.org/docs/latest/api/python/tutorial/sql/arrow_pandas.html, "Iterator
of Series to Iterator of Series"). No thread settings: Spark itself gives each worker
OMP_NUM_THREADS = spark.task.cpus = 1. Arrow batches have the default 10,000 rows.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql.functions import pandas_udf
from pyspark.sql.types import ArrayType, FloatType

from behavior_spark.config import LocalSpark
from behavior_spark.io.session import spark_session
from benchmarks.contenders import common


def embed(frame: DataFrame, *, folder: str, batch_size: int, loads: str) -> DataFrame:
    """Add the column ``embedding``."""

    @pandas_udf(ArrayType(FloatType()))
    def embedding(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        model = common.load_model(folder, loads)
        for texts in batches:
            vectors = model.encode(texts.tolist(), batch_size=batch_size, normalize_embeddings=True)
            yield pd.Series(list(vectors))

    return frame.withColumn("embedding", embedding("text"))


def main() -> None:
    """Embed and report."""
    parser = common.arguments(__doc__)
    parser.add_argument("--distinct", action="store_true", help="each text once")
    parser.add_argument("--limit", type=int, help="so many rows")
    options = common.parsed(parser)
    with (
        tempfile.TemporaryDirectory() as loads,
        spark_session(LocalSpark(), name="udf") as spark,
    ):
        cores = spark.sparkContext.defaultParallelism
        start = time.perf_counter()
        frame = spark.read.parquet(options.input).fillna("", subset=["text"])
        # Both leave one small partition, so one busy core: users then spread the rows again.
        if options.limit:
            frame = frame.limit(options.limit).repartition(cores)
        if options.distinct:
            frame = frame.dropDuplicates(["text"]).repartition(cores)
        embedded = embed(
            frame, folder=options.model, batch_size=options.batch_size, loads=loads
        ).select(options.key, "embedding")
        embedded.write.format("delta").save(options.output)
        seconds = time.perf_counter() - start
        rows = spark.read.format("delta").load(options.output).count()
        spark.stop()
        common.report(
            "sentence-transformers, iterator pandas UDF",
            rows=rows,
            seconds=seconds,
            **common.load_times(loads),
            writes="delta",
            packages=[
                "sentence-transformers",
                "torch",
                "transformers",
                "pyspark",
                "delta-spark",
                "pyarrow",
            ],
        )


if __name__ == "__main__":
    main()
