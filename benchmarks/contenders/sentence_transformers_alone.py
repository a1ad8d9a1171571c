"""sentence-transformers without Spark: read all, ``encode``, write.

The usual script on one machine: https://sbert.net/docs/quickstart.html. ``encode`` sorts the
texts by length itself and uses batches of 32 unless told otherwise; torch takes all cores.
"""

from __future__ import annotations

import tempfile
import time

from benchmarks.contenders import common


def main() -> None:
    """Embed and report."""
    options = common.parsed(common.arguments(__doc__))
    import pyarrow as pa
    import pyarrow.parquet as pq
    import sentence_transformers  # noqa: F401  (imported before the clock starts)
    from deltalake import write_deltalake

    with tempfile.TemporaryDirectory() as loads:
        start = time.perf_counter()
        table = pq.read_table(options.input)
        texts = table["text"].fill_null("").to_pylist()
        model = common.load_model(options.model, loads)
        embeddings = model.encode(texts, batch_size=options.batch_size, normalize_embeddings=True)
        found = {options.key: table[options.key], "embedding": common.lists(embeddings)}
        write_deltalake(options.output, pa.table(found))
        seconds = time.perf_counter() - start
        common.report(
            "sentence-transformers alone",
            rows=len(texts),
            seconds=seconds,
            **common.load_times(loads),
            writes="delta",
            packages=["sentence-transformers", "torch", "transformers", "deltalake", "pyarrow"],
        )


if __name__ == "__main__":
    main()
