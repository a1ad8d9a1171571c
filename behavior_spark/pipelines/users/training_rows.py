"""The rows that propensity models learn from: users at training days, with features and labels."""

from __future__ import annotations

import datetime as dt
import math
import re
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from behavior_spark.config import Settings, Target
from behavior_spark.config.training import TrainingSettings
from behavior_spark.errors import InputError
from behavior_spark.features.sampling import ALL, Shares, is_positive, shares_for
from behavior_spark.features.targets import (
    label_column,
    labels_otherwise,
    past_column,
    population_of,
)
from behavior_spark.io.arrow_stream import stream_batches
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.propensity.feature_matrix import matrix_of_batch
from behavior_spark.model.propensity.matrix_on_disk import MatrixOnDisk
from behavior_spark.model.propensity.population import TargetPopulation
from behavior_spark.names import quoted_name
from behavior_spark.pipelines.users.features import Prepared, inputs_at
from behavior_spark.prediction.training_days import training_days
from behavior_spark.runs.run import Run

_EVENT_COUNT = re.compile(r"event_count_(\d+)d")
BASELINE = {"recency": "recency_days", "value": "value_all"}


@dataclass(frozen=True, eq=False)
class TrainingRows:
    """Users at training days.

    Attributes:
        table: ``user_id, as_of``, outcomes and ``weight``; features too, or what is read of them
            beside the learner.
        matrix: The features on disk, in the table's order; None: they are in the table.
    """

    table: pd.DataFrame
    matrix: MatrixOnDisk | None = None


def training_table(run: Run, prepared: Prepared, targets: list[str], horizon: int) -> pd.DataFrame:
    """Features and labels of the training days on the driver, at most ``training.max_rows``.

    Raises:
        InputError: The log is too short for one training day.
    """
    frame, days, _ = _training_frame(run, prepared, targets, horizon)
    return _in_memory(run, frame, days)


def training_rows(
    run: Run, prepared: Prepared, targets: list[str], horizon: int, folder: Path
) -> TrainingRows:
    """The same; with more than ``training.rows_in_memory`` rows, features are on disk.

    Args:
        run: The run.
        prepared: Tables and features.
        targets: Targets of one horizon.
        horizon: It, in days.
        folder: Where the features are put; they are read from there while models are trained.

    Raises:
        InputError: The log is too short for one training day.
    """
    frame, days, expected = _training_frame(run, prepared, targets, horizon)
    if expected <= run.settings.training.rows_in_memory:
        return TrainingRows(_in_memory(run, frame, days))
    features = {name: F.col(quoted_name(name)).cast("double").alias(name)
                for name in prepared.names}  # fmt: skip
    others = [name for name in frame.columns if name not in features]
    kept = [*others, *_read_beside(run, prepared, targets)]
    path = folder / f"features-{horizon}.f32"
    tables = []
    with spark_errors("building the training set"), path.open("wb") as file:
        for batch in stream_batches(frame.select(*others, *features.values())):
            matrix_of_batch(batch, prepared.names).tofile(file)
            tables.append(batch.select(kept))
        table = pa.Table.from_batches(tables).to_pandas() if tables else frame.limit(0).toPandas()
    _tell_rows(run, len(table), days)
    run.note(
        f"features of {len(table):,} training rows are learned from disk, "
        f"{path.stat().st_size / 1e9:.1f} GB (training.rows_in_memory)"
    )
    return TrainingRows(table, MatrixOnDisk.read(path, columns=len(prepared.names)))


def _in_memory(run: Run, frame: DataFrame, days: list[dt.date]) -> pd.DataFrame:
    with spark_errors("building the training set"):
        table = frame.toPandas()
    _tell_rows(run, len(table), days)
    return table


def _tell_rows(run: Run, rows: int, days: list[dt.date]) -> None:
    run.say(f"{rows:,} rows at {len(days)} as-of days, {days[0]} to {days[-1]}")


def _read_beside(run: Run, prepared: Prepared, targets: list[str]) -> list[str]:
    """Features that baselines and populations read."""
    names = set()
    for name in targets:
        names |= set(baseline_columns(prepared, name, run.settings.targets[name]).values())
        names |= set(target_population(run.settings, name).columns)
    return sorted(names & set(prepared.names))


def _training_frame(
    run: Run, prepared: Prepared, targets: list[str], horizon: int
) -> tuple[DataFrame, list[dt.date], int]:
    """The rows, their days, and about how many they are at most."""
    training = run.settings.training
    first = prepared.inputs.events.agg(
        F.to_date(F.min("event_time")).alias("day"),
        F.approx_count_distinct("user_id").alias("users"),
    ).first()
    days = []
    if first and first["day"]:
        days = training_days(
            run.as_of, horizon_days=horizon, count=_days_wanted(training),
            every_days=training.every_days, first_event=first["day"],
        )  # fmt: skip
    if not days or first is None:
        raise InputError(
            f"too little history to learn {', '.join(targets)}",
            found=f"first event on {first['day'] if first else None}, as_of {run.as_of}, "
            f"horizon {horizon} days",
            fix="a horizon must have passed: choose a later as_of or a shorter horizon",
        )
    late = prepared.trained_through
    if late is not None and late >= days[0].isoformat():
        run.note(
            f"the text model learned from labels up to {late}, later than training days from "
            f"{days[0]} on: what texts add on the held-out day may be flattered"
        )
    rows = len(days) * first["users"]
    frame = prepared.feature_set.training_set(
        inputs_at(run, prepared, days),
        days,
        known_before=run.as_of,
        labelled=targets,
        shares=_shares(run, prepared, targets, days, rows=rows),
        seed=training.seed,
    )
    labelled = [label_column(name) for name in targets]
    columns = ["user_id", "as_of", *prepared.names, *labelled, "weight"]
    return frame.select(*columns), days, min(rows, training.max_rows)


def _days_wanted(training: TrainingSettings) -> int:
    """Training days; with offsets of seasons those of thirteen months before them too."""
    if training.prior_shift == "none":
        return training.as_of_days
    return training.as_of_days + math.ceil(395 / training.every_days)


def rows_of_target(run: Run, table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of a training table that are of a target's population."""
    return of_target(run, TrainingRows(table), name).table


def of_target(run: Run, rows: TrainingRows, name: str) -> TrainingRows:
    """The training rows that are of a target's population."""
    members = target_population(run.settings, name).members(rows.table)
    if not members.all():
        run.say(f"{name}: {members.sum():,} of {len(rows.table):,} rows are of its population")
    matrix = None if rows.matrix is None else rows.matrix.take(members)
    return TrainingRows(rows.table[members], matrix)


def baseline_columns(prepared: Prepared, name: str, target: Target) -> dict[str, str]:
    """Columns that baselines read: recency, frequency and value, and the target's own past."""
    counts = [name for name in prepared.names if _EVENT_COUNT.fullmatch(name)]
    longest = max(counts, key=lambda name: int(_EVENT_COUNT.sub(r"\1", name)))
    past = past_column(name, target, prepared.names)
    return {**BASELINE, "frequency": longest, **({"past": past} if past else {})}


def target_population(settings: Settings, name: str) -> TargetPopulation:
    """The population of a configured target."""
    return population_of(name, settings.targets[name], settings.features.event_types)


def _shares(
    run: Run, prepared: Prepared, targets: list[str], days: list[dt.date], *, rows: int
) -> Shares:
    """How many of about so many rows to learn from; who did what is foretold is kept longest."""
    most = run.settings.training.max_rows
    if rows <= most:
        return ALL
    known = prepared.feature_set.label_rows(prepared.inputs, days, targets, known_before=run.as_of)
    otherwise = labels_otherwise({name: run.settings.targets[name] for name in targets})
    did = is_positive(list(otherwise))
    with spark_errors("counting positives"):
        if any(otherwise.values()):  # users without a row are positives too
            positives = max(0, rows - known.where(~did).count())
        else:
            positives = known.where(did).count()
    shares = shares_for(rows, positives, most=most)
    run.note(
        f"training on {shares.positives:.1%} of the rows with a positive label and "
        f"{shares.negatives:.1%} of the others, weighted accordingly (training.max_rows)"
    )
    return shares
