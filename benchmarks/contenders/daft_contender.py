"""Daft with a class UDF that loads the model once and takes batches of rows.

``@daft.cls`` with ``@daft.method.batch`` is what Daft's guide says for models
(https://docs.daft.ai/en/stable/custom-code/cls/). Batches of 512 rows, with the encoder's own
smaller batches inside, are those of its text-embedding example
(https://docs.daft.ai/en/stable/examples/text-embeddings/). Its ready-made ``embed_text`` takes
a local folder too, but not a maximum length, so it would read 256 tokens instead of 128.

The local runner keeps one instance a core, as threads of this process, so each gets one torch
thread, and the libraries are imported before the clock starts. Writes Parquet, as Daft does
itself; ``write_deltalake`` of 0.7.26 fails unless pyiceberg is installed too.
"""

from __future__ import annotations

import tempfile
import time

from benchmarks.contenders import common

ROWS = 512


def main() -> None:
    """Embed and report."""
    options = common.parsed(common.arguments(__doc__))
    import daft
    import pyarrow.dataset as ds
    import sentence_transformers  # noqa: F401  (imported before the clock starts)
    import torch

    daft.set_runner_native()

    @daft.cls
    class Embedder:
        def __init__(self, folder: str, batch_size: int, loads: str) -> None:
            torch.set_num_threads(1)
            self.model = common.load_model(folder, loads)
            self.batch_size = batch_size

        @daft.method.batch(
            return_dtype=daft.DataType.list(daft.DataType.float32()), batch_size=ROWS
        )
        def embed(self, texts: daft.Series) -> daft.Series:
            vectors = self.model.encode(
                texts.to_pylist(), batch_size=self.batch_size, normalize_embeddings=True
            )
            return daft.Series.from_arrow(common.lists(vectors))

    with tempfile.TemporaryDirectory() as loads:
        embedder = Embedder(options.model, options.batch_size, loads)
        start = time.perf_counter()
        frame = daft.read_parquet(f"{options.input}/*.parquet")
        embedding = embedder.embed(daft.col("text").fill_null("")).alias("embedding")
        frame.select(options.key, embedding).write_parquet(options.output)
        seconds = time.perf_counter() - start
        common.report(
            "Daft, class UDF",
            rows=ds.dataset(options.output).count_rows(),
            seconds=seconds,
            **common.load_times(loads),
            writes="parquet",
            packages=["daft", "sentence-transformers", "torch", "transformers", "pyarrow"],
        )


if __name__ == "__main__":
    main()
