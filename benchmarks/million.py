"""What a night's uses cost by number of users: processor seconds, memory, rows.

    python -m benchmarks.million [--users 100000,300000,1000000] [--stages audiences,items,...]

Generated tables are written first, by another process: predictions, features, events, texts with
scores and vectors (no demo, and no night before). Then each stage runs in a process of its own and
writes its table as a night does. Seconds are those of the processors, of all processes of the
stage, because other work on the machine changes these little; starting Spark is not counted.
Memory is the peak of the JVM (whose heap may have ``--heap``), of the Python driver, and of all
Python workers together (shared pages counted once).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

from pyspark.sql import SparkSession

from behavior_spark.config import LocalSpark
from behavior_spark.io.session import spark_session
from benchmarks.night import ProcessorTime, memory_by_part

# Stage -> module with ``prepare(spark, folder, users)`` and ``measure(spark, folder, users)``,
# which gives rows by name.
STAGES = {
    "audiences": "audience_growth",
    "items": "item_growth",
    "alerts": "alerts",
    "service": "service_growth",
    "predict": "predict_growth",
}


def main() -> None:
    """Measure and print, or run one part of one stage."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--users", default="100000,300000,1000000")
    parser.add_argument("--stages", default=",".join(STAGES))
    parser.add_argument("--heap", default="3g")
    parser.add_argument("--part", choices=["prepare", "measure"], help="run one part, here")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.part:
        with spark_session(_local(options.heap), name=f"{options.stages} {options.part}") as spark:
            _run_part(spark, options.part, options.stages, options.folder, int(options.users))
        return
    print("| stage | users | rows | processor s | wall s | JVM | driver | workers |")
    print("| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    for stage in options.stages.split(","):
        for users in map(int, options.users.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                base = ["--stages", stage, "--users", str(users), "--folder", folder]
                base += ["--heap", options.heap]
                _child([*base, "--part", "prepare"])
                print(_row(stage, users, *_child([*base, "--part", "measure"])), flush=True)


def _local(heap: str) -> LocalSpark:
    # A plan over 200 columns needs some of the code cache; 8 partitions as for a larger machine.
    cores = min(2, os.cpu_count() or 1)
    return LocalSpark(master=f"local[{cores}]", driver_memory=heap, shuffle_partitions=8)


def _run_part(spark: SparkSession, part: str, stage: str, folder: Path, users: int) -> None:
    module = import_module(f"benchmarks.{STAGES[stage]}")
    if part == "prepare":
        module.prepare(spark, folder, users)
        return
    spark.range(1).count()  # starts what every stage needs
    processor = ProcessorTime()
    began, before = time.monotonic(), processor.seconds()
    rows = module.measure(spark, folder, users)
    result = {
        "rows": rows,
        "seconds": time.monotonic() - began,
        "processor": processor.seconds() - before,
    }
    print(json.dumps(result), flush=True)


def _child(arguments: list[str]) -> tuple[dict[str, object], dict[str, int]]:
    """The result of a part in a new process, and the peak memory of its processes in bytes."""
    command = [sys.executable, "-m", "benchmarks.million", *arguments]
    peaks: dict[str, int] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        while running.poll() is None:
            for name, size in memory_by_part(running.pid).items():
                peaks[name] = max(peaks.get(name, 0), size)
            time.sleep(0.5)
        lines = (running.stdout.read() if running.stdout else "").strip().splitlines()
    if running.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {running.returncode}")
    return (json.loads(lines[-1]) if "measure" in arguments else {}), peaks


def _row(stage: str, users: int, result: dict[str, object], peaks: dict[str, int]) -> str:
    rows = result["rows"]
    assert isinstance(rows, dict)
    said = ", ".join(f"{count:,} {name}" for name, count in rows.items())
    memory = [f"{peaks.get(name, 0) / 2**30:.2f} GB" for name in ("JVM", "driver", "workers")]
    figures = f"{result['processor']:.0f} | {result['seconds']:.0f}"
    return f"| {stage} | {users:,} | {said} | {figures} | {' | '.join(memory)} |"


if __name__ == "__main__":
    main()
