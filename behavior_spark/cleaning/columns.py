"""Cleaning of texts and pseudonyms of users as Spark column functions.

A function runs once for each distinct value of an Arrow batch, because values repeat in logs. Keys
are in the pickled function and never in the query plan.
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
from behavior_spark.cleaning.personal_data import Masking
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
    *,
    max_chars: int,
    mask: bool | Masking | None = True,
    key: str | None = None,
    form: NormalForm = "NFC",
) -> _OnColumn:
    """A function from a text column to a column of ``CLEAN_TEXT``; null stays null.

    Args:
        max_chars: Maximum length of a clean text, in characters.
        mask: What to mask; True: all kinds of personal data.
        key: Key of the hash; None: a plain hash.
        form: Unicode normal form.
    """

    def row(value: str) -> tuple[str | None, str | None, int, bool]:
        cleaned = clean_text(value, max_chars=max_chars, mask=mask, form=form)
        digest = text_hash(cleaned.text, key=key) if cleaned.text else None
        return cleaned.text, digest, cleaned.masked, cleaned.cut

    def clean(values: pd.Series) -> pd.DataFrame:
        codes, distinct = _distinct(values)
        rows = [*map(row, distinct), (None, None, 0, False)]
        table = pd.DataFrame(rows, columns=CLEAN_TEXT.names)
        return table.take(codes).reset_index(drop=True)

    return cast(_OnColumn, pandas_udf(clean, CLEAN_TEXT))  # type: ignore[call-overload]


def pseudonym_column(*, key: str) -> _OnColumn:
    """A function from a column of user ids to their keyed hashes; null stays null."""

    def hide(values: pd.Series) -> pd.Series:
        codes, distinct = _distinct(values)
        hidden = [pseudonym(value, key=key) for value in distinct] + [None]
        return pd.Series(hidden, dtype=object).take(codes).reset_index(drop=True)

    return cast(_OnColumn, pandas_udf(hide, StringType()))  # type: ignore[call-overload]


def _distinct(values: pd.Series) -> tuple[list[int], list[str]]:
    """The index of each value in the list of distinct values, and that list.

    A null has the index after the last. Arrow does it, because pandas (``factorize``, ``unique``,
    ``groupby``) compares strings only up to the first NUL.
    """
    encoded = pa.array(values, type=pa.large_string(), from_pandas=True).dictionary_encode()
    distinct = encoded.dictionary.to_pylist()
    return encoded.indices.fill_null(len(distinct)).to_pylist(), distinct
