"""Memory to train from features in memory and on disk, by number of rows, in a process each.

    python -m benchmarks.training_memory [--rows 200000,400000] [--rounds 20]

Users of ``predict_growth`` (200 features) at four days, with a holdout and two more fits as every
model has. Memory is the peak of what a process holds for itself (RssAnon: pages of files, which the
system may take back, are not in it), less what it held before training.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd

from behavior_spark.model.propensity.learners.xgboost import TrainingOptions
from behavior_spark.model.propensity.matrix_on_disk import MatrixOnDisk
from behavior_spark.model.propensity.training import train_propensity_model
from benchmarks.predict_growth import NAMES, NIGHT, drawn

BLOCK = 50_000


def write(folder: Path, rows: int) -> None:
    """Write the features as float32, and the rest as Parquet."""
    labels = []
    with (folder / "features.f32").open("wb") as file:
        for start in range(0, rows, BLOCK):
            values, outcomes = drawn(min(BLOCK, rows - start), seed=start + 1)
            values.astype(np.float32).tofile(file)
            labels.append(outcomes)
    number = np.arange(rows)
    days = pd.to_datetime(NIGHT) - pd.to_timedelta(30 * (number % 4 + 1), unit="D")
    users = [f"user-{n // 4}" for n in range(rows)]
    frame = pd.DataFrame({"user_id": users, "as_of": days, "label": np.concatenate(labels)})
    frame.to_parquet(folder / "rows.parquet")


def own_memory() -> int:
    """Bytes that the process holds for itself."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def train(folder: Path, way: str, rounds: int) -> dict[str, float]:
    """Train one way; its AUC, seconds of the processor, and the peak of memory in bytes."""
    frame = pd.read_parquet(folder / "rows.parquet")
    matrix = MatrixOnDisk.read(folder / "features.f32", columns=len(NAMES))
    before, peak, done = own_memory(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], own_memory())

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.process_time()
    if way == "memory":
        frame = frame.join(pd.DataFrame(np.asarray(matrix, dtype=np.float64), columns=NAMES))
    model = train_propensity_model(
        frame, target="buy", features=NAMES, label="label", as_of="as_of", horizon_days=30,
        resamples=50, options=TrainingOptions(rounds=rounds),
        matrix=matrix if way == "disk" else None,
    )  # fmt: skip
    done.set()
    watcher.join()
    auc = model.metrics["holdout"]["roc_auc"]["value"]
    return {"auc": auc, "seconds": time.process_time() - began, "peak": peak[0] - before}


def main() -> None:
    """Measure and print, or train one way."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rows", default="200000,400000")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--way", choices=["memory", "disk"], help="train one way, from --folder")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.way:
        print(json.dumps(train(options.folder, options.way, options.rounds)))
        return
    print("| rows | features | AUC | processor s | peak memory |")
    print("| ---: | --- | ---: | ---: | ---: |")
    for rows in map(int, options.rows.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), rows)
            for way in ("memory", "disk"):
                command = [sys.executable, "-m", "benchmarks.training_memory", "--way", way]
                command += ["--folder", folder, "--rounds", str(options.rounds)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                found = json.loads(done.stdout.strip().splitlines()[-1])
                print(f"| {rows:,} | {way} | {found['auc']:.4f} | {found['seconds']:.0f} | "
                      f"{found['peak'] / 2**20:,.0f} MB |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
