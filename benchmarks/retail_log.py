"""Both years of Online Retail without Spark: what users bought, as sequence models read it."""

from __future__ import annotations

import datetime as dt
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from behavior_spark.model.sequence.catalogue import ItemFacts

FILES = (
    "online_retail_2009/online_retail_2009.parquet",
    "online_retail/online_retail.parquet",
)


def read_purchases() -> pd.DataFrame:
    """One row per user, day and item bought: ``user_id, time, day, item, title, value``.

    Cancelled lines and lines without a customer are left out; ``time`` is the first of the day.
    Rows are in order of user and time.
    """
    data = Path(os.environ.get("BEHAVIOR_DATA", "../shared/data"))
    lines = pd.concat([pd.read_parquet(data / name) for name in FILES], ignore_index=True)
    invoice = lines["InvoiceNo"].astype(str)
    kept = lines[lines["CustomerID"].notna() & ~invoice.str.startswith("C")]
    frame = pd.DataFrame(
        {
            "user_id": kept["CustomerID"].astype(int).astype(str),
            "time": pd.to_datetime(kept["InvoiceDate"]),
            "item": kept["StockCode"].astype(str).str.strip(),
            "title": kept["Description"].fillna(""),
            "value": kept["Quantity"] * kept["UnitPrice"],
        }
    )
    frame["day"] = frame["time"].dt.date
    frame = frame.sort_values(["user_id", "time"], kind="stable")
    return frame.drop_duplicates(["user_id", "day", "item"]).reset_index(drop=True)


def before(purchases: pd.DataFrame, as_of: dt.date, *, days: int) -> pd.DataFrame:
    """Rows of the days before as_of."""
    day = purchases["day"]
    return purchases[(day < as_of) & (day >= as_of - dt.timedelta(days=days))]


def histories_batch(past: pd.DataFrame, *, newest: int) -> tuple[list[str], pa.RecordBatch]:
    """Users in order, and their newest events as the lists that ``read_histories`` takes."""
    kept = past.groupby("user_id", sort=False).tail(newest)
    sizes = kept.groupby("user_id", sort=False).size()
    offsets = pa.array(np.concatenate([[0], np.cumsum(sizes.to_numpy())]).astype(np.int32))

    def lists(values: pa.Array) -> pa.ListArray:
        return pa.ListArray.from_arrays(offsets, values)

    columns = {
        "items": lists(pa.array(kept["item"], pa.string())),
        "event_times": lists(pa.array(kept["time"], pa.timestamp("us"))),
        "values": lists(pa.array(kept["value"], pa.float64())),
    }
    return [str(user) for user in sizes.index], pa.RecordBatch.from_pydict(columns)


def words_of(past: pd.DataFrame, items: tuple[str, ...]) -> ItemFacts:
    """Words of each item's latest title."""
    titles = past.sort_values("time").groupby("item")["title"].last()
    return ItemFacts([
        sorted({word for word in re.split(r"\W+", titles[item].lower()) if len(word) > 1})
        for item in items
    ])  # fmt: skip
