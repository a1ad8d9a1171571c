"""Write texts to a folder of Parquet files that a process without Spark can stream."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame

from behavior_spark.errors import InputError
from behavior_spark.io.failures import spark_errors
from behavior_spark.shared_folder import SharedFolder


def write_corpus(frame: DataFrame, folder: SharedFolder, *, files: int) -> Path:
    """Write a frame's rows in a reproducible order, and return the driver's copy of the folder.

    Args:
        frame: String columns.
        folder: On storage that the driver and all workers share; its content is replaced.
        files: Number of files.

    Raises:
        InputError: The driver cannot see the files that the workers wrote.
        ModelError: The object store does not answer, or refuses.
    """
    ordered = frame.repartition(files, *frame.columns).sortWithinPartitions(*frame.columns)
    place = folder.location if folder.is_remote else str(folder.path.absolute())
    with spark_errors(f"writing texts to {place}"):
        ordered.write.mode("overwrite").parquet(place)
    here = folder.fetch()
    if not any(here.glob("*.parquet")):
        raise InputError(
            f"the texts written to {place} are not there on the driver",
            fix="let `models` name a folder that the driver and all workers share",
        )
    return here


def remove_corpus(folder: SharedFolder) -> None:
    """Delete the folder that :func:`write_corpus` wrote, and the driver's copy of it."""
    folder.remove()
