"""Ray Data with a pool of actors, each with its own model.

As Ray's guide to offline inference (https://docs.ray.io/en/latest/data/batch_inference.html):
``read_parquet``, ``map_batches`` of a class with an ``ActorPoolStrategy``, ``write_parquet``. One
actor a core; Ray gives each OMP_NUM_THREADS=1. Three things its users learn on a small machine:

- Actors of one CPU each take all cores, no task that lists or reads files is ever started, and
  the job hangs (ray-project/ray issue 44687): so an actor asks for a little less than a core.
- The reader packs small files into one block, so all but one actor stay idle, whatever
  ``override_num_blocks`` says: so the rows are cut into blocks again.
- Blocks and batches of 1,024 rows, as in the reference of ``map_batches``, let ``encode`` sort
  many texts by length.
"""

from __future__ import annotations

import logging
import os
import tempfile
import time

from benchmarks.contenders import common

CORES = os.cpu_count() or 1
ROWS = 1024


def main() -> None:
    """Embed and report."""
    options = common.parsed(common.arguments(__doc__))
    import pyarrow as pa
    import pyarrow.dataset as ds
    import ray
    import ray.data

    ray.init(
        num_cpus=CORES, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)

    class Embedder:
        def __init__(self, folder: str, batch_size: int, key: str, loads: str) -> None:
            self.model = common.load_model(folder, loads)
            self.batch_size, self.key = batch_size, key

        def __call__(self, batch: pa.Table) -> pa.Table:
            vectors = self.model.encode(
                batch["text"].fill_null("").to_pylist(),
                batch_size=self.batch_size,
                normalize_embeddings=True,
            )
            return pa.table({self.key: batch[self.key], "embedding": common.lists(vectors)})

    with tempfile.TemporaryDirectory() as loads:
        start = time.perf_counter()
        rows = ray.data.read_parquet(options.input).repartition(target_num_rows_per_block=ROWS)
        rows.map_batches(
            Embedder,
            fn_constructor_args=(options.model, options.batch_size, options.key, loads),
            batch_format="pyarrow",
            batch_size=ROWS,
            num_cpus=(CORES - 1) / CORES,
            compute=ray.data.ActorPoolStrategy(size=CORES),
        ).write_parquet(options.output)
        seconds = time.perf_counter() - start
        ray.shutdown()
        common.report(
            "Ray Data, actor pool",
            rows=ds.dataset(options.output).count_rows(),
            seconds=seconds,
            **common.load_times(loads),
            writes="parquet",
            packages=["ray", "sentence-transformers", "torch", "transformers", "pyarrow"],
        )


if __name__ == "__main__":
    main()
