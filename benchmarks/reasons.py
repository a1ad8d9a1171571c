"""Scoring with reasons beside plain XGBoost with ``pred_contribs``, on the same rows, in turn.

    python -m benchmarks.reasons [--users 1000000] [--parts 4]
    python -m benchmarks.reasons --contributions    # those alone, in one process, without Spark

Users of ``predict_growth`` (200 features). In each part of the table, one after the other:

- plain: Parquet files to a matrix by pyarrow, ``Booster.predict(..., pred_contribs=True)`` with two
  threads and a loaded model; the contributions are kept nowhere;
- ours: the stage's function on Spark (local[2]): predictions, deciles left out, with six reasons in
  words, written as Parquet.

Seconds are those of the processors, of all processes; starting Spark is not counted.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import xgboost
from pyspark.sql import SparkSession

from behavior_spark.config import LocalSpark
from behavior_spark.io.session import spark_session
from behavior_spark.model.propensity.model import PropensityModel
from benchmarks.night import ProcessorTime
from benchmarks.predict_growth import NAMES, drawn, scored, trained, write_users

CORES = 2


def plain(files: Sequence[Path], model: PropensityModel, booster: xgboost.Booster) -> int:
    """Contributions of all rows by XGBoost alone."""
    rows = 0
    for path in files:
        for batch in pq.ParquetFile(path).iter_batches(10_000, columns=NAMES):
            values = np.column_stack(
                [batch.column(name).to_numpy(zero_copy_only=False) for name in model.features]
            ).astype(np.float32)
            data = xgboost.DMatrix(values, nthread=CORES)
            rows += len(booster.predict(data, pred_contribs=True))
    return rows


def ours(spark: SparkSession, files: Sequence[Path], model: PropensityModel, to: Path) -> int:
    """Predictions with reasons of all rows, by Spark."""
    frame = scored(spark.read.parquet(*map(str, files)), model)
    frame.write.mode("overwrite").parquet(str(to))
    return spark.read.parquet(str(to)).count()


def contributions_alone(rows: int = 10_000, rounds: int = 3) -> None:
    """Print processor time of contributions by tables and by XGBoost, in turn, one thread."""
    model = trained()
    fitted = model.learner.load(model.learned)
    values = drawn(rows, seed=3)[0].astype(np.float32)
    data = xgboost.DMatrix(values, nthread=1)
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(model.learned))
    began = time.process_time()
    fitted.contributions(values[:1])
    print(f"tables: {time.process_time() - began:.2f} s, once for a process")
    for _ in range(rounds):
        began = time.process_time()
        ours = fitted.contributions(values)
        between = time.process_time()
        theirs = booster.predict(data, pred_contribs=True)[:, :-1]
        ended = time.process_time()
        print(
            f"tables {(between - began) / rows * 1e6:.0f} microseconds a row, XGBoost "
            f"{(ended - between) / rows * 1e6:.0f}; they differ by {abs(ours - theirs).max():.1e}"
        )


def timed(work: Callable[[], int], processor: ProcessorTime) -> tuple[int, float, float]:
    """Rows, processor seconds and wall seconds of some work."""
    began, before = time.monotonic(), processor.seconds()
    rows = work()
    return rows, processor.seconds() - before, time.monotonic() - began


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--parts", type=int, default=4)
    parser.add_argument("--contributions", action="store_true")
    options = parser.parse_args()
    if options.contributions:
        contributions_alone()
        return
    local = LocalSpark(master=f"local[{CORES}]", shuffle_partitions=CORES)
    with tempfile.TemporaryDirectory() as name, spark_session(local, name="reasons") as spark:
        folder = Path(name)
        write_users(folder / "users", options.users)
        model = trained()
        booster = xgboost.Booster({"nthread": CORES})
        booster.load_model(bytearray(model.learned))
        files = sorted((folder / "users").glob("*.parquet"))
        ours(spark, files[:1], model, folder / "out")  # workers and plans are started
        processor = ProcessorTime()
        spent = {"plain": np.zeros(3), "ours": np.zeros(3)}
        for part in range(options.parts):
            share = files[part :: options.parts]
            spent["plain"] += timed(partial(plain, share, model, booster), processor)
            spent["ours"] += timed(partial(ours, spark, share, model, folder / "out"), processor)
            lines = [
                f"{way}: {rows:,.0f} rows, {rows / used:,.0f} rows a processor second, "
                f"{rows / wall:,.0f} a second"
                for way, (rows, used, wall) in spent.items()
            ]
            ratio = spent["plain"][1] / spent["ours"][1]
            print(f"{'; '.join(lines)}; ours is {ratio:.0%} of plain", flush=True)


if __name__ == "__main__":
    main()
