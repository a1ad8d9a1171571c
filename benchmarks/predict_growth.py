"""Predictions with reasons, by number of users: a stage of ``benchmarks.million``.

Made-up users with 200 features (counts, and days with a long tail, some unknown) and a model that
was trained on 20,000 of them: 200 trees of depth 4, as by default. Every prediction has up to three
reasons for and three against, told as those of the features that a night builds.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from behavior_spark.config import WarehouseSettings
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.model.arrays import Doubles
from behavior_spark.model.propensity.model import PropensityModel
from behavior_spark.model.propensity.sayings import Saying, Told
from behavior_spark.model.propensity.training import train_propensity_model
from behavior_spark.prediction.predict import predict
from behavior_spark.schemas import USER_PROPENSITY

NIGHT = dt.date(2024, 6, 1)
FEATURES, SUBJECTS = 200, 40
NAMES = [f"f{n}" for n in range(FEATURES)]
LEARNED, ROWS_A_FILE = 20_000, 50_000


def drawn(rows: int, seed: int) -> tuple[Doubles, Doubles]:
    """Features, float64 (rows, features), and outcomes, float64 (rows,)."""
    dice = np.random.default_rng(seed)
    values = np.empty((rows, FEATURES))
    for place in range(FEATURES):
        if place % 2:
            values[:, place] = dice.poisson(1 + place % 5, rows)
        else:
            values[:, place] = np.round(dice.exponential(10 + place % 7, rows), 1)
        if place % 10 == 0:
            values[dice.random(rows) < 0.2, place] = np.nan
    effects = np.random.default_rng(0).normal(size=30) / 20
    margins = np.nan_to_num(values[:, :30]) @ effects
    chance = 1 / (1 + np.exp(1.5 + margins.mean() - margins))
    return values, (dice.random(rows) < chance).astype(np.float64)


def told() -> dict[str, Told]:
    """Five features a subject, of three aspects, as windows of a count are."""
    return {
        name: Told(
            f"subject {n // (FEATURES // SUBJECTS)}", f"aspect {n % 3}",
            Saying(f"{{n}} of event {n} in the last 30 days", none=f"never event {n}",
                   zero=f"no event {n}") if n % 2
            else Saying(f"last event {n} {{n}} ago", none=f"never event {n}", unit="days"),
        )
        for n, name in enumerate(NAMES)
    }  # fmt: skip


def trained() -> PropensityModel:
    """A model of users at four days."""
    values, labels = drawn(LEARNED, seed=1)
    rows = pd.DataFrame(values, columns=NAMES)
    day = np.arange(LEARNED) % 4
    rows = rows.assign(
        user_id=[f"u{n // 4}" for n in range(LEARNED)], label=labels,
        as_of=pd.to_datetime(NIGHT) - pd.to_timedelta(30 * (day + 1), unit="D"),
    )  # fmt: skip
    return train_propensity_model(
        rows, target="buy", features=NAMES, label="label", as_of="as_of", horizon_days=30,
        resamples=50,
    )  # fmt: skip


def write_users(folder: Path, users: int) -> None:
    """Write the users as Parquet files of 50,000."""
    folder.mkdir()
    for number, start in enumerate(range(0, users, ROWS_A_FILE)):
        rows = min(ROWS_A_FILE, users - start)
        values, _ = drawn(rows, seed=100 + number)
        columns = {"user_id": pa.array([f"user-{start + row}" for row in range(rows)])}
        columns |= {name: pa.array(values[:, n], from_pandas=True) for n, name in enumerate(NAMES)}
        pq.write_table(pa.table(columns), folder / f"part-{number:03d}.parquet")


def scored(users: DataFrame, model: PropensityModel) -> DataFrame:
    """The predictions of the model for users."""
    return predict(
        users, {"buy": model}, horizons={"buy": 30}, told=told(), reasons=3, as_of=NIGHT
    )  # fmt: skip


def prepare(spark: SparkSession, folder: Path, users: int) -> None:
    """Write users with their features, and train the model."""
    del spark
    write_users(folder / "users", users)
    trained().save(folder / "model")


def measure(spark: SparkSession, folder: Path, users: int) -> dict[str, int]:
    """Predict for all users, and write it."""
    del users
    house = Warehouse(spark, WarehouseSettings(path=str(folder / "tables")))
    frame = scored(spark.read.parquet(str(folder / "users")),
                   PropensityModel.load(folder / "model"))  # fmt: skip
    house.replace(frame, USER_PROPENSITY, where=f"as_of = DATE'{NIGHT}'")
    return {"predictions": house.read(USER_PROPENSITY).count()}
