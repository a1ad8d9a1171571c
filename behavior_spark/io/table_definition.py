"""Contracts and views as SQL: column definitions, types that cannot change, CREATE VIEW."""

from __future__ import annotations

from pyspark.sql.types import StructField, StructType

from behavior_spark.errors import InputError
from behavior_spark.names import sql_text
from behavior_spark.schemas import Contract, View


def refuse_other_types(contract: Contract, schema: StructType) -> None:
    """Refuse a contract whose column means another thing now than in the table.

    Raises:
        InputError: A column has another type; says what to do.
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


def column_definition(field: StructField, *, nullable: bool = False) -> str:
    """A column of a Delta table in SQL, with its comment."""
    required = "" if field.nullable or nullable else " NOT NULL"
    comment = sql_text(field.metadata.get("comment", ""))
    return f"`{field.name}` {field.dataType.simpleString()}{required} COMMENT {comment}"


def create_view(view: View, schema: str) -> str:
    """``CREATE VIEW`` in a schema of Spark's or Databricks' catalog, with comments."""
    columns = ", ".join(
        f"`{field.name}` COMMENT {sql_text(field.metadata['comment'])}" for field in view.columns
    )
    query = view.sql(lambda table: f"{schema}.{table.name}")
    return (
        f"CREATE OR REPLACE VIEW {schema}.{view.name} ({columns})\n"
        f"COMMENT {sql_text(view.comment)} AS\n{query}"
    )
