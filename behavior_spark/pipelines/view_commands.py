"""The command ``views``: views of the tables for Spark, Databricks and DuckDB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Unpack

from rich.console import RenderableType
from rich.text import Text

from behavior_spark.config import Settings
from behavior_spark.errors import ConfigError
from behavior_spark.io.catalog import create_views, register_in_catalog
from behavior_spark.io.table_definition import create_view
from behavior_spark.io.table_place import table_identifier, table_location
from behavior_spark.runs.commands import Option, Place, command
from behavior_spark.runs.result import Result
from behavior_spark.runs.run import Run, running, utc_today
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import TABLES, VIEWS, Contract, View

DIALECTS = ("spark", "databricks", "duckdb")


@dataclass(frozen=True)
class ViewScript(StageResult):
    """Statements that make the views, or the views that were made.

    Attributes:
        statements: SQL, in order.
        created: Full names of views that were created; empty if the SQL is only shown.
    """

    statements: tuple[str, ...]
    created: tuple[str, ...] = ()

    @property
    def details(self) -> Mapping[str, Any]:
        """Both."""
        return {"statements": list(self.statements), "created": list(self.created)}

    def blocks(self) -> list[RenderableType]:
        """The names, else a script."""
        if self.created:
            return [Text("\n".join(self.created))]
        return [Text(self.script, overflow="ignore", no_wrap=True)]

    def page(self) -> str | None:
        """The script, for ``--output``."""
        return self.script if self.statements else None

    @property
    def script(self) -> str:
        """The statements as a file of SQL."""
        return ";\n\n".join(self.statements) + ";\n"


@stage("views", does="create the views in the catalog", reads=tuple(TABLES.values()))
def views_stage(run: Run) -> ViewScript:
    """Create the views in the warehouse's schema, or in that of ``register_in``.

    Raises:
        ConfigError: The warehouse has no schema.
    """
    schema = _schema(run.settings)
    if schema is None:
        raise ConfigError(
            "views are created in a schema, and the warehouse is a folder",
            fix="set warehouse.register to a schema; or leave --create out, which shows SQL",
        )
    register_in_catalog(run.warehouse)
    return ViewScript((), tuple(create_views(run.warehouse, schema)))


@command(stages=(views_stage,), dated=False, page=True, answers=True)
def views(
    settings: Settings,
    *,
    dialect: Annotated[
        str, Option("SQL to show: spark, databricks or duckdb.", metavar="DIALECT")
    ] = "spark",
    create: Annotated[
        bool, Option("Create them in the schema of the warehouse, or of warehouse.register.")
    ] = False,
    **place: Unpack[Place],
) -> Result:
    """Show SQL that makes the documented views, or create them in the catalog.

    Without --create no Spark is started. In `behavior-spark sql` they are there already.
    """
    if create:
        with running("views", settings, record=False, **place) as run:
            views_stage(run)
            return Result.of_run(run)
    script = ViewScript(tuple(view_script(settings, dialect)))
    return Result("views", utc_today(), results=(script,))


def view_script(settings: Settings, dialect: str) -> list[str]:
    """Statements that make the views in a dialect.

    Raises:
        ConfigError: There is no such dialect, or DuckDB is to read a schema of a catalog.
    """
    if dialect not in DIALECTS:
        raise ConfigError(f"no dialect {dialect}", fix=f"give one of {', '.join(DIALECTS)}")
    schema = _schema(settings)
    if dialect == "duckdb":
        if settings.warehouse.path is None:
            raise ConfigError(
                "DuckDB reads tables in a folder, and the warehouse is a schema",
                found=f"warehouse.schema {settings.warehouse.schema_}",
                fix="give --set warehouse=... the folder of the tables",
            )
        tables = [_duckdb_table(settings, table) for table in _read_by_views()]
        return ["INSTALL delta", "LOAD delta", *tables, *map(_duckdb_view, VIEWS.values())]
    if schema is not None:
        return [create_view(view, schema) for view in VIEWS.values()]

    def place(table: Contract) -> str:
        return table_identifier(settings.warehouse, table)

    return [
        f"CREATE OR REPLACE TEMPORARY VIEW {view.name} AS\n{view.sql(place)}"
        for view in VIEWS.values()
    ]


def _schema(settings: Settings) -> str | None:
    return settings.warehouse.schema_ or settings.warehouse.register_in


def _read_by_views() -> list[Contract]:
    named = {table.name for view in VIEWS.values() for table in view.reads}
    return [table for table in TABLES.values() if table.name in named]


def _duckdb_table(settings: Settings, table: Contract) -> str:
    place = table_location(settings.warehouse, table).replace("'", "''")
    return f"CREATE OR REPLACE VIEW {table.name} AS SELECT * FROM delta_scan('{place}')"


def _duckdb_view(view: View) -> str:
    return f"CREATE OR REPLACE VIEW {view.name} AS\n{view.sql()}"
