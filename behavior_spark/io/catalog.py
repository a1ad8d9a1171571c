"""A warehouse's tables and views by name: in a session, or in a schema of a catalog."""

from __future__ import annotations

from collections.abc import Sequence

from behavior_spark.io.failures import spark_errors
from behavior_spark.io.table_definition import create_view
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.names import sql_text
from behavior_spark.schemas import VIEWS, Contract, View


def register_views(warehouse: Warehouse) -> list[str]:
    """Create a temporary view for each existing table, and those of ``VIEWS`` over them.

    Returns:
        Names of all of them.
    """
    tables = warehouse.existing()
    for contract in tables:
        warehouse.read(contract).createOrReplaceTempView(contract.name)
    views = _possible(tables)
    for view in views:
        warehouse.spark.sql(view.sql()).createOrReplaceTempView(view.name)
    return [*[table.name for table in tables], *[view.name for view in views]]


def create_views(warehouse: Warehouse, schema: str) -> list[str]:
    """Create ``VIEWS`` in a schema that has the tables; return their full names.

    A view whose tables do not all exist yet is left out. A table of an earlier release gets the
    columns that it lacks.
    """
    tables = warehouse.existing()
    views = _possible(tables)
    for contract in tables:
        if any(contract in view.reads for view in views):
            warehouse.create(contract)
    with spark_errors(f"creating views in {schema}"):
        for view in views:
            warehouse.spark.sql(create_view(view, schema))
    return [f"{schema}.{view.name}" for view in views]


def _possible(tables: Sequence[Contract]) -> list[View]:
    """The views whose tables all exist."""
    return [view for view in VIEWS.values() if set(view.reads) <= set(tables)]


def register_in_catalog(warehouse: Warehouse) -> list[str]:
    """Register the existing tables in the configured schema; return their full names."""
    tables, schema = warehouse.existing(), warehouse.settings.register_in
    if not schema:
        return [warehouse.location(table) for table in tables] if warehouse.settings.schema_ else []
    names = []
    with spark_errors(f"registering tables in {schema}"):
        warehouse.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {schema}")
        for contract in tables:
            name = f"{schema}.{contract.name}"
            warehouse.spark.sql(
                f"CREATE TABLE IF NOT EXISTS {name} USING DELTA "
                f"LOCATION {sql_text(warehouse.location(contract))}"
            )
            names.append(name)
    return names
