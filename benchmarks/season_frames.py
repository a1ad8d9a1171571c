"""Rows of Online Retail at as-of days 30 days apart, with one year of history and with two.

    python -m benchmarks.season_frames --folder /tmp/seasons

Ingests the log twice, once without its first year, builds features with windows of 180 and 365
days and of the same season, and keeps one Parquet file of each log and last day: users at that day
and at every 30th day before it, with features and outcomes. Nothing is built that is there.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from rich.console import Console

from behavior_spark.config import Settings, load_settings
from behavior_spark.pipelines import commands
from behavior_spark.pipelines.texts.active_model import active_text_model
from behavior_spark.pipelines.users.features import inputs_at, prepare_inputs
from behavior_spark.prediction.training_days import training_days
from behavior_spark.runs.run import running

OUTCOMES = dt.date(2011, 12, 10)
# Ranked days, each with the days before it that a night at it trains on.
RANKED = (dt.date(2011, 10, 1), dt.date(2011, 11, 1))
FIRST_EVENTS = {"one": dt.date(2010, 12, 1), "both": dt.date(2009, 12, 1)}
CONSOLE = Console(stderr=True)


def settings_of(folder: Path, years: str) -> Settings:
    """The job over one year or over both."""
    data = Path(os.environ.get("BEHAVIOR_DATA", "../shared/data")).resolve()
    if years == "one":
        alone = folder / "one_year"
        alone.mkdir(parents=True, exist_ok=True)
        if not (alone / "online_retail").exists():
            (alone / "online_retail").symlink_to(data / "online_retail")
        data = alone
    return load_settings(
        ["conf/online_retail.yaml"],
        overrides=[
            f"warehouse={folder / years}",
            "features.windows_days=[1,7,30,90,180,365]",
            "features.same_season=true",
        ],
        environment={"BEHAVIOR_DATA": str(data)},
    )


def days_before(last: dt.date, years: str) -> list[dt.date]:
    """A ranked day and every 30th before it that has a week of history."""
    return training_days(
        last + dt.timedelta(days=30), horizon_days=30, count=24, every_days=30,
        first_event=FIRST_EVENTS[years],
    )  # fmt: skip


def frame_of(folder: Path, years: str, last: dt.date) -> pd.DataFrame:
    """Features and outcomes of users, from the file or from the tables."""
    path = folder / f"{years}_{last}.parquet"
    if not path.exists():
        build(folder, years, {str(day): days_before(day, years) for day in RANKED})
    return pd.read_parquet(path)


def build(folder: Path, years: str, wanted: Mapping[str, Sequence[dt.date]]) -> None:
    """Write one file for each list of days, by its name."""
    settings = settings_of(folder, years)
    with running("seasons", settings, as_of=OUTCOMES, console=CONSOLE, record=False) as run:
        for command in (commands.ingest, commands.score_texts, commands.build_features):
            command(settings, as_of=OUTCOMES, spark=run.spark, console=CONSOLE)
        prepared = prepare_inputs(run, active_text_model(settings, OUTCOMES))
        for name, days in wanted.items():
            rows = prepared.feature_set.training_set(
                inputs_at(run, prepared, days), days, known_before=OUTCOMES
            )
            labels = [f"label_{target}" for target in settings.targets]
            kept = rows.select("user_id", "as_of", *prepared.names, *labels)
            kept.toPandas().to_parquet(folder / f"{years}_{name}.parquet")


def main() -> None:
    """Build what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    folder = parser.parse_args().folder
    for years in FIRST_EVENTS:
        for last in RANKED:
            frame = frame_of(folder, years, last)
            print(years, last, frame.shape, frame["as_of"].nunique(), "days")


if __name__ == "__main__":
    main()
