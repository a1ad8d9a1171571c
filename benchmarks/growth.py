"""Memory and throughput of scoring by number of texts.

    python -m benchmarks.growth [--texts 10000,100000,1000000] [--precision bf16]

Generated distinct texts of 3 to 6 words. Each number of texts is scored into an empty store in a
new process; memory is the peak of all its processes (Python, JVM, workers; shared pages counted
once). Then follow a night with 5 % new texts, and a night with only a new head, which classifies
all stored embeddings.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.night import tree_memory

WORDS = np.array(
    ["red", "green", "blue", "warm", "cold", "lamp", "mug", "bag", "box", "tea", "order", "card",
     "money", "late", "parcel", "refund", "size", "gift", "heart", "paper", "glass", "metal"]
)  # fmt: skip
ROWS_PER_FILE = 50_000


def write(folder: Path, texts: int) -> None:
    """Write distinct texts as Parquet files; a number in each makes it unique."""
    rng = np.random.default_rng(7)
    folder.mkdir(parents=True)
    for number, start in enumerate(range(0, texts, ROWS_PER_FILE)):
        rows = min(ROWS_PER_FILE, texts - start)
        drawn = WORDS[rng.integers(0, len(WORDS), (rows, 6))]
        kept = rng.integers(3, 7, rows)
        made = [
            " ".join(words[:count]) + f" {start + row}"
            for row, (words, count) in enumerate(zip(drawn, kept, strict=True))
        ]
        keys = [f"{start + row}" for row in range(rows)]
        table = pa.table({"text_hash": keys, "text": made})
        pq.write_table(table, folder / f"part-{number:03d}.parquet")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--texts", default="10000,100000,1000000")
    parser.add_argument("--precision", choices=["fp32", "bf16"], default="bf16")
    options = parser.parse_args()
    columns = (
        "texts", "seconds", "texts/s", "peak memory", "without the JVM", "next night",
        "of the first", "a new head", "times faster",
    )  # fmt: skip
    print(f"| {' | '.join(columns)} |\n|{' --- |' * len(columns)}")
    for texts in map(int, options.texts.split(",")):
        with tempfile.TemporaryDirectory(dir="build") as folder:
            source = Path(folder, "texts")
            write(source, texts)
            command = [sys.executable, "-m", "benchmarks.contenders.ours", "--input", str(source)]
            command += ["--output", str(Path(folder, "store")), "--precision", options.precision]
            command += ["--again", "--head"]
            peak = peak_workers = 0
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
                while running.poll() is None:
                    total, java = tree_memory(running.pid)
                    peak, peak_workers = max(peak, total), max(peak_workers, total - java)
                    time.sleep(0.5)
                output = running.stdout.read() if running.stdout else ""
            result = json.loads(output.strip().splitlines()[-1])
            seconds, again, head = (result[name] for name in ("seconds", "again", "head"))
            row = (
                f"{texts:,}", f"{seconds:.1f}", f"{texts / seconds:,.0f}",
                f"{peak / 2**30:.2f} GiB", f"{peak_workers / 2**30:.2f} GiB", f"{again:.1f} s",
                f"{again / seconds:.0%}", f"{head:.1f} s", f"{seconds / head:.0f}",
            )  # fmt: skip
            print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
