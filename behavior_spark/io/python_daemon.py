"""Spark's Python daemon, with what our functions import imported before it forks a worker.

Spark forks its Python workers from a daemon (``spark.python.daemon.module``), and ends those that
had no work for a minute. Each new worker would import pandas, pyarrow and, to embed texts, torch
and transformers anew: some 4 seconds of processor time. Forked from this daemon it shares them.

Used by local sessions that this package creates; on Linux alone, since other systems do not
promise that a process may fork after it has loaded native libraries.
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MODULE = "behavior_spark.io.python_daemon"
# The text models that workers will load, one in a line.
MODELS = "BEHAVIOR_SPARK_WORKER_MODELS"

_FOR_ALL = ("pandas", "pyarrow", "pyspark.worker", "behavior_spark.cleaning.columns")
_FOR_MODELS = (
    "behavior_spark.scoring.embedding", "behavior_spark.model.encoder.encoder",
    "transformers.models.auto.tokenization_auto",
)  # fmt: skip
_OF_TRANSFORMERS = "behavior_spark.model.encoder.architectures"


def daemon_settings() -> dict[str, str]:
    """Settings of a local session that uses this daemon; none where it does not serve."""
    return {"spark.python.daemon.module": MODULE} if sys.platform == "linux" else {}


def modules(environment: Mapping[str, str]) -> Iterator[str]:
    """What to import before workers are forked.

    Beside an NVIDIA GPU nothing of torch: a process that has looked for GPUs must not fork.
    """
    yield from _FOR_ALL
    models = environment.get(MODELS, "").splitlines()
    if not models or Path("/dev/nvidiactl").exists():
        return
    yield from _FOR_MODELS
    with suppress(Exception):
        from behavior_spark.model.encoder.bert import is_plain_bert

        if not all(map(is_plain_bert, models)):
            yield _OF_TRANSFORMERS


def start_early(spark: SparkSession) -> Thread:
    """Start the daemon of a local session, and return at once.

    Spark starts it when a task first needs Python, and the task waits for its imports. Until then
    plans are made, on one core.

    Returns:
        What waits for it. A session that is stopped before it has ended writes stack traces.
    """

    def run_a_task() -> None:
        with suppress(Exception):  # a task that needs Python will say what is wrong
            one = spark.range(1, numPartitions=1)
            one.mapInArrow(lambda batches: batches, "id long").collect()

    thread = Thread(target=run_a_task, name="start of the Python daemon", daemon=True)
    thread.start()
    return thread


def import_all(names: Iterable[str]) -> None:
    """Import modules; what is missing or broken is told by the worker that needs it.

    What they print goes to standard error: from standard output Spark reads the daemon's port.
    """
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        for name in names:
            with suppress(Exception):
                importlib.import_module(name)
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.close(stdout)


if __name__ == "__main__":
    from pyspark.daemon import manager

    import_all(modules(os.environ))
    gc.freeze()  # shared pages stay shared: collections of workers do not touch them
    manager()
