"""The text and identity functions as Spark columns.

Each runs once per distinct value of an Arrow batch: logs repeat themselves. Keys
travel inside the function, never in the query plan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pandas as pd
import pyarrow as pa
from pyspark.sql import Column
from pyspark.sql.pandas.functions import pandas_udf
from pyspark.sql.types import BooleanType, IntegerType, StringType, StructField, StructType

from behavior_spark.cleaning.normal_form import NormalForm
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


def clean_text_column(
    *, max_chars: int, mask: bool = True, key: str | None = None, form: NormalForm = "NFC"
) -> _OnColumn:
    """A function from a text column to struct(text, text_hash, masked, cut); null stays null."""

    def row(value: str) -> tuple[str | None, str | None, int, bool]:
        done = clean_text(value, max_chars=max_chars, mask=mask, form=form)
        digest = text_hash(done.text, key=key) if done.text else None
        return done.text, digest, done.masked, done.cut

    def clean(values: pd.Series) -> pd.DataFrame:
        codes, distinct = _distinct(values)
        rows = [*map(row, distinct), (None, None, 0, False)]
        table = pd.DataFrame(rows, columns=CLEAN_TEXT.names)
        return table.take(codes).reset_index(drop=True)

    return cast(_OnColumn, pandas_udf(clean, CLEAN_TEXT))  # type: ignore[call-overload]


def pseudonym_column(*, key: str) -> _OnColumn:
    """A function from a user id column to its keyed hash; null stays null."""

    def hide(values: pd.Series) -> pd.Series:
        codes, distinct = _distinct(values)
        hidden = [pseudonym(value, key=key) for value in distinct] + [None]
        return pd.Series(hidden, dtype=object).take(codes).reset_index(drop=True)

    return cast(_OnColumn, pandas_udf(hide, StringType()))  # type: ignore[call-overload]


def _distinct(values: pd.Series) -> tuple[list[int], list[str]]:
    """For each value its place among the distinct ones, which follow; nulls have the last place.

    By Arrow: pandas' own (``factorize``, ``unique``, ``groupby``) read a string to its first NUL.
    """
    encoded = pa.array(values, type=pa.large_string(), from_pandas=True).dictionary_encode()
    distinct = encoded.dictionary.to_pylist()
    return encoded.indices.fill_null(len(distinct)).to_pylist(), distinct
