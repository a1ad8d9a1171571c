"""The rows that propensity models learn from: users at training days, with features and labels."""

from __future__ import annotations

import datetime as dt
import math

import pandas as pd
from pyspark.sql import functions as F

from behavior_spark.config import Settings
from behavior_spark.config.training import TrainingSettings
from behavior_spark.errors import InputError
from behavior_spark.features.sampling import ALL, Shares, is_positive, shares_for
from behavior_spark.features.targets import label_column, labels_otherwise, population_of
from behavior_spark.io.failures import spark_errors
from behavior_spark.model.propensity.population import TargetPopulation
from behavior_spark.pipelines.users.features import Prepared, inputs_at
from behavior_spark.prediction.training_days import training_days
from behavior_spark.runs.run import Run


def training_table(run: Run, prepared: Prepared, targets: list[str], horizon: int) -> pd.DataFrame:
    """Features and labels of the training days on the driver, at most ``training.max_rows``.

    Raises:
        InputError: The log is too short for one training day.
    """
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
    frame = prepared.feature_set.training_set(
        inputs_at(run, prepared, days),
        days,
        known_before=run.as_of,
        labelled=targets,
        shares=_shares(run, prepared, targets, days, rows=len(days) * first["users"]),
        seed=training.seed,
    )
    labelled = [label_column(name) for name in targets]
    with spark_errors("building the training set"):
        table = frame.select("user_id", "as_of", *prepared.names, *labelled, "weight").toPandas()
    run.say(f"{len(table):,} rows at {len(days)} as-of days, {days[0]} to {days[-1]}")
    return table


def _days_wanted(training: TrainingSettings) -> int:
    """Training days; with offsets of seasons those of thirteen months before them too."""
    if training.prior_shift == "none":
        return training.as_of_days
    return training.as_of_days + math.ceil(395 / training.every_days)


def rows_of_target(run: Run, table: pd.DataFrame, name: str) -> pd.DataFrame:
    """The rows of a training table that are of a target's population."""
    members = target_population(run.settings, name).members(table)
    if not members.all():
        run.say(f"{name}: {members.sum():,} of {len(table):,} rows are of its population")
    return table[members]


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
