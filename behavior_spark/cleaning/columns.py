"""The text and identity functions as Spark columns.

Each runs once per distinct value of an Arrow batch: logs repeat themselves. Keys
travel inside the function, never in the query plan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pandas as pd
from pyspark.sql import Column
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import BooleanType, IntegerType, StringType, StructField, StructType

from behavior_spark.cleaning.text import clean_text, pseudonym, text_hash

_OnColumn = Callable[[Column], Column]

CLEAN_TEXT = StructType(
    [
        StructField("text", StringType()),
        StructField("text_hash", StringType()),
        StructField("masked", IntegerType()),
        StructField("cut", BooleanType()),
    ]
)


def clean_text_column(*, max_chars: int, mask: bool = True, key: str | None = None) -> _OnColumn:
    """A function from a text column to struct(text, text_hash, masked, cut); null stays null."""

    def clean(values: pd.Series) -> pd.DataFrame:
        codes, distinct = pd.factorize(values)
        rows: list[tuple[str | None, str | None, int, bool]] = []
        for value in distinct:
            done = clean_text(value, max_chars=max_chars, mask=mask)
            digest = text_hash(done.text, key=key) if done.text else None
            rows.append((done.text, digest, done.masked, done.cut))
        rows.append((None, None, 0, False))  # factorize gives nulls the code -1
        table = pd.DataFrame(rows, columns=CLEAN_TEXT.names)
        return table.take(codes.tolist()).reset_index(drop=True)

    return cast(_OnColumn, pandas_udf(clean, CLEAN_TEXT))  # type: ignore[call-overload]


def pseudonym_column(*, key: str) -> _OnColumn:
    """A function from a user id column to its keyed hash; null stays null."""

    def hide(values: pd.Series) -> pd.Series:
        codes, distinct = pd.factorize(values)
        hidden = [pseudonym(value, key=key) for value in distinct] + [None]
        return pd.Series(hidden, dtype=object).take(codes.tolist()).reset_index(drop=True)

    return cast(_OnColumn, pandas_udf(hide, StringType()))  # type: ignore[call-overload]
