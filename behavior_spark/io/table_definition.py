"""Contracts and views as SQL: column definitions, CREATE VIEW."""

from __future__ import annotations

from pyspark.sql.types import StructField

from behavior_spark.names import sql_text
from behavior_spark.schemas import View


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
