"""Write texts to a folder of Parquet files that a process without Spark can stream."""

from __future__ import annotations

import shutil
from pathlib import Path

from pyspark.sql import DataFrame

from behavior_spark.errors import InputError
from behavior_spark.io.failures import spark_errors


def write_corpus(frame: DataFrame, folder: Path, *, files: int) -> Path:
    """Write a frame's rows in a reproducible order, and return the folder.

    Args:
        frame: String columns.
        folder: On storage that the driver and all workers share; its content is replaced.
        files: Number of files.

    Raises:
        InputError: The driver cannot see the files that the workers wrote.
    """
    ordered = frame.repartition(files, *frame.columns).sortWithinPartitions(*frame.columns)
    with spark_errors(f"writing texts to {folder}"):
        ordered.write.mode("overwrite").parquet(str(folder.absolute()))
    if not any(folder.glob("*.parquet")):
        raise InputError(
            f"the texts written to {folder} are not there on the driver",
            fix="let `models` name a folder that the driver and all workers share",
        )
    return folder


def remove_corpus(folder: Path) -> None:
    """Delete the folder that :func:`write_corpus` wrote."""
    shutil.rmtree(folder, ignore_errors=True)
