"""The columns of a stored table beside those of its contract: they may be of another release."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StructField, StructType

from behavior_spark.errors import InputError
from behavior_spark.schemas import TABLES, Contract


def fitted(frame: DataFrame, contract: Contract) -> DataFrame:
    """The contract's columns in order and type; a column that the frame lacks is null."""
    present = set(frame.columns)
    return frame.select(
        *[
            (F.col(f.name) if f.name in present else F.lit(None)).cast(f.dataType).alias(f.name)
            for f in contract.columns
        ]
    )


def widened(frame: DataFrame, contract: Contract) -> DataFrame:
    """The frame with all columns of the contract; of tables with features, those of the others."""
    stored = set(frame.columns)
    columns = TABLES.get(contract.name, contract).columns
    missing = {f.name: F.lit(None).cast(f.dataType) for f in columns if f.name not in stored}
    return frame.withColumns(missing) if missing else frame


def missing_columns(contract: Contract, schema: StructType) -> list[StructField]:
    """The contract's columns that a stored table lacks.

    Raises:
        InputError: A column means another thing now than in the table; says what to do.
    """
    stored = {field.name: field.dataType for field in schema.fields}
    for field in contract.columns:
        kind = stored.get(field.name, field.dataType)
        if kind.simpleString() != field.dataType.simpleString():
            raise InputError(
                f"column {field.name} of table {contract.name} has another type than before",
                found=f"stored as {kind.simpleString()}, now {field.dataType.simpleString()}",
                fix="give the feature a name of its own, or start a new warehouse",
            )
    return [field for field in contract.columns if field.name not in stored]
