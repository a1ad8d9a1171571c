"""The model alone: what torch and transformers do when nothing else is asked of them.

No contender but a bound. The texts are tokenised beforehand, sorted by length and cut into
batches of texts of one length, so there is no padding and no mask; only the forward passes and
the mean over tokens are timed. One process of one thread a core, since small batches do not
share threads well: the time is from when all have loaded to when all are done.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from itertools import groupby
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from typing import Any

from benchmarks.contenders import common


def token_ids(folder: str, texts: list[str]) -> list[list[int]]:
    """Token ids of each text, cut at the usual maximum length."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    encoded = tokenizer(texts, truncation=True, max_length=common.MAX_SEQ_LENGTH)
    return [list(ids) for ids in encoded["input_ids"]]


def cut(rows: list[list[int]], budget: int) -> Iterator[list[list[int]]]:
    """Batches of rows of one length, longest first, at most ``budget`` tokens each."""
    for length, group in groupby(sorted(rows, key=len, reverse=True), key=len):
        same = list(group)
        size = max(1, budget // length)
        yield from (same[start : start + size] for start in range(0, len(same), size))


def work(
    batches: list[list[list[int]]],
    folder: str,
    precision: str,
    threads: int,
    barrier: Barrier,
    results: Queue[Any],
) -> None:
    """Embed ``batches``; the load time and the clock when begun and done go into ``results``."""
    start = time.monotonic()
    import torch
    from transformers import AutoModel

    torch.set_num_threads(threads)
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    model = AutoModel.from_pretrained(folder, dtype=dtype).eval()
    tensors = [torch.tensor(batch) for batch in batches]
    loaded = time.monotonic() - start
    with torch.inference_mode():
        if tensors:
            model(input_ids=tensors[-1])  # what the first call sets up is not the model's work
        barrier.wait()
        begun = time.monotonic()
        for ids in tensors:
            hidden = model(input_ids=ids, attention_mask=None).last_hidden_state
            torch.nn.functional.normalize(hidden.float().mean(dim=1), dim=1)
        results.put((loaded, begun, time.monotonic()))


def main() -> None:
    """Time the forward passes and report."""
    parser = common.arguments(__doc__, writes=False)
    parser.add_argument("--token-budget", type=int, default=1024, help="tokens in a batch")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--threads", type=int, default=1, help="torch threads in a process")
    options = common.parsed(parser)
    import pyarrow.parquet as pq

    texts = pq.read_table(options.input, columns=["text"])["text"].fill_null("").to_pylist()
    batches = list(cut(token_ids(options.model, texts), options.token_budget))
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(options.processes), context.Queue()
    settings = (options.model, options.precision, options.threads, barrier, results)
    workers = [
        context.Process(target=work, args=(batches[part :: options.processes], *settings))
        for part in range(options.processes)
    ]
    for worker in workers:
        worker.start()
    loaded, begun, done = zip(*(results.get() for _ in workers), strict=True)
    for worker in workers:
        worker.join()
    common.report(
        "bare model",
        rows=len(texts),
        seconds=max(done) - min(begun),
        load_seconds=sum(loaded) / len(loaded),
        tokens=sum(len(row) for batch in batches for row in batch),
        batches=len(batches),
        precision=options.precision,
        processes=options.processes,
        threads=options.threads,
        packages=["torch", "transformers"],
    )


if __name__ == "__main__":
    main()
