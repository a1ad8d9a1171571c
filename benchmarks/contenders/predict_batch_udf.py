"""sentence-transformers in Spark by ``pyspark.ml.functions.predict_batch_udf``.

https://spark.apache.org/docs/latest/api/python/reference/api/pyspark.ml.functions.predict_batch_udf.html
Spark's own examples take batches of 10 to 100; 32 is what NVIDIA's sentence-transformers
notebook for this function takes (spark-rapids-examples, sentence_transformers_torch.ipynb),
written the same way as here.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable

import numpy as np
from pyspark.ml.functions import predict_batch_udf
from pyspark.sql.types import ArrayType, FloatType

from behavior_spark.config import LocalSpark
from behavior_spark.io.session import spark_session
from benchmarks.contenders import common


def predict_fn(
    folder: str, batch_size: int, loads: str
) -> Callable[[], Callable[[np.ndarray], np.ndarray]]:
    """What loads the model in a worker, once, and gives the function to call on each batch."""

    def make_predict_fn() -> Callable[[np.ndarray], np.ndarray]:
        model = common.load_model(folder, loads)

        def predict(texts: np.ndarray) -> np.ndarray:
            return model.encode(texts.tolist(), batch_size=batch_size, normalize_embeddings=True)

        return predict

    return make_predict_fn


def main() -> None:
    """Embed and report."""
    options = common.parsed(common.arguments(__doc__))
    with (
        tempfile.TemporaryDirectory() as loads,
        spark_session(LocalSpark(), name="predict_batch_udf") as spark,
    ):
        start = time.perf_counter()
        encode = predict_batch_udf(
            predict_fn(options.model, options.batch_size, loads),
            return_type=ArrayType(FloatType()),
            batch_size=options.batch_size,
        )
        frame = spark.read.parquet(options.input).fillna("", subset=["text"])
        embedded = frame.withColumn("embedding", encode("text")).select(options.key, "embedding")
        embedded.write.format("delta").save(options.output)
        seconds = time.perf_counter() - start
        rows = spark.read.format("delta").load(options.output).count()
        spark.stop()
        common.report(
            "sentence-transformers, predict_batch_udf",
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
