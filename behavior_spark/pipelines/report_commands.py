"""Commands that tell what is stored: report, funnel, check-leakage and SQL."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Unpack

from pyspark.sql import DataFrame, Row
from rich.console import RenderableType
from rich.text import Text

from behavior_spark.config import Settings
from behavior_spark.errors import ConfigError
from behavior_spark.io.catalog import register_views
from behavior_spark.io.exports import export_rows, plain_columns
from behavior_spark.io.failures import spark_errors
from behavior_spark.io.warehouse import Warehouse
from behavior_spark.names import counted, unique_names
from behavior_spark.pipelines.reports.night.stage import night_page_stage
from behavior_spark.pipelines.reports.outcomes import report_stage
from behavior_spark.pipelines.texts.functions import text_functions
from behavior_spark.pipelines.users.features import open_stage
from behavior_spark.pipelines.users.funnels import funnel_stage
from behavior_spark.pipelines.users.leakage import check_leakage_stage
from behavior_spark.report.tables import FittedRows
from behavior_spark.runs.commands import Option, Place, command
from behavior_spark.runs.result import Result
from behavior_spark.runs.run import Run, running
from behavior_spark.runs.stages import StageResult, stage
from behavior_spark.schemas import TABLES

_TEXT_FUNCTION = re.compile(r"\b(embed|classify)_text\s*\(", re.IGNORECASE)


@command(
    stages=(report_stage, night_page_stage), page=True, by_ending={".html": {"html": True}}
)
def report(
    settings: Settings,
    *,
    html: bool = False,
    compare: Annotated[
        dt.date | None,
        Option("With a page: the night to compare with. Default: the last one before --as-of."),
    ] = None,
    **place: Unpack[Place],
) -> Result:
    """The night as a page for people, or predictions of a day against what happened since.

    With `-o night.html`: one page of the night, for people, that needs no network and no script:
    is it good to use, rows, targets, what moved, reasons, people, texts, cost. Needs the extra
    report.

    Otherwise (`-o night.md`, or nothing): stored predictions against what happened, with intervals
    and baselines; their horizon must have passed.

    Args:
        settings: The job's settings.
        html: Whether to make the page of the night.
        compare: The night that the page compares with; by default the last one before.
        place: ``as_of``, ``spark`` and ``console``.
    """
    if compare is not None and not html:
        raise ConfigError(
            "--compare needs a page to show two nights on",
            fix="add -o night.html (in Python: html=True)",
        )
    with running("report", settings, **place) as run:
        if html:
            night_page_stage(run, compare=compare)
        else:
            report_stage(run)
        return Result.of_run(run)


@command(stages=(funnel_stage,), page=True)
def funnel(
    settings: Settings,
    *,
    days: Annotated[
        int | None, Option("Days before --as-of. Default: the longest window.", least=1)
    ] = None,
    **place: Unpack[Place],
) -> Result:
    """How many users and sessions come to each step of features.funnels.

    A step counts when it follows the step before it, in one session or within days, as the
    config says. Reads the sessions that build-features wrote, as they were known at --as-of.
    """
    with running("funnel", settings, record=False, **place) as run:
        funnel_stage(run, days=days)
        return Result.of_run(run)


@command(stages=(open_stage, check_leakage_stage), page=True, fixed={"strict": False})
def check_leakage(settings: Settings, *, strict: bool = True, **place: Unpack[Place]) -> Result:
    """Check that no feature uses the future, and that no model predicts noise.

    Builds the features of --as-of twice: from the tables, and from a copy of them in which
    everything that became known on that day or later is deleted, changed or added to (stored
    tables are not changed). All values must be equal. Then trains on shuffled outcomes, where
    AUC must be 0.5 within chance, and lists features that alone rank a target suspiciously well
    (leakage.suspicious_auc). Exit code 1 if something leaks. Run ingest and build-features for
    --as-of first. Choose a day that some weeks of events follow: it shows most.

    Args:
        settings: The job's settings.
        strict: Raise if something leaks; otherwise only report it.
        place: ``as_of``, ``spark`` and ``console``.

    Raises:
        LeakageError: Something leaks, and ``strict``.
    """
    with running("check-leakage", settings, **place) as run:
        checked = check_leakage_stage(run, open_stage(run).prepared)
        if strict and checked.failure:
            raise checked.failure
        return Result.of_run(run)


@dataclass(frozen=True)
class Queried(StageResult):
    """Rows of a query.

    Attributes:
        columns: Names of the columns; the second of one name is ``<name>_2``.
        rows: Rows, at most ``limit``.
    """

    columns: list[str]
    rows: list[Row]

    @property
    def details(self) -> Mapping[str, Any]:
        """Columns and rows as plain data."""
        return {"columns": self.columns, "rows": [_by_name(row) for row in self.rows]}

    def blocks(self) -> list[RenderableType]:
        """The rows as a table."""
        return [FittedRows([row.asDict() for row in self.rows])]


def _by_name(value: Any) -> Any:
    """Rows as mappings, nested ones too; of two fields of one name the second is ``<name>_2``."""
    if isinstance(value, Row):
        names = unique_names(value.__fields__)
        return {name: _by_name(part) for name, part in zip(names, value, strict=True)}
    if isinstance(value, list):
        return [_by_name(part) for part in value]
    if isinstance(value, dict):
        return {key: _by_name(part) for key, part in value.items()}
    return value


def frame_of(
    warehouse: Warehouse, settings: Settings, query: str, *, as_of: dt.date | None = None
) -> DataFrame:
    """A query over the warehouse's tables, each a temporary view of its name.

    Args:
        warehouse: The tables.
        settings: For the text functions, if the query uses them.
        query: Spark SQL.
        as_of: For the text functions; today (UTC) by default.

    Raises:
        ConfigError: The query is not valid.
    """
    register_views(warehouse)
    if _TEXT_FUNCTION.search(query):
        text_functions(settings, as_of=as_of, spark=warehouse.spark)
    with spark_errors("sql"):
        return warehouse.spark.sql(query)


@stage("sql", does="run a query over the warehouse's tables", reads=tuple(TABLES.values()))
def sql_stage(run: Run, query: str, *, limit: int) -> Queried:
    """Run a query; each table is available as a view with its name."""
    frame = frame_of(run.warehouse, run.settings, query, as_of=run.as_of)
    with spark_errors("sql"):
        columns = unique_names(frame.columns)
        rows = frame.toDF(*columns).limit(limit + 1).collect() if columns else []
    if len(rows) > limit:
        run.note(f"only the first {limit:,} rows are shown (--limit)")
    return Queried(columns, rows[:limit])


@dataclass(frozen=True)
class QueryExported(StageResult):
    """A query's rows in a file.

    Attributes:
        rows: Rows written.
        path: The file.
    """

    rows: int
    path: Path

    @property
    def details(self) -> Mapping[str, Any]:
        """Number of rows and path."""
        return {"exported": self.rows, "path": str(self.path)}

    def blocks(self) -> list[RenderableType]:
        """What was written."""
        return [Text(f"{counted(self.rows, 'row')} in {self.path}")]


@stage("export-query", does="write a query's rows to a file", reads=tuple(TABLES.values()))
def export_query_stage(run: Run, query: str, path: Path) -> QueryExported:
    """Write all rows of a query, in its order.

    Raises:
        ConfigError: The query is not valid, or the file's name has another ending.
    """
    frame = frame_of(run.warehouse, run.settings, query, as_of=run.as_of)
    with spark_errors("sql"):
        return QueryExported(export_rows(plain_columns(frame), path), path)


@command(stages=(sql_stage, export_query_stage), dated=False, answers=True)
def sql(
    settings: Settings,
    query: Annotated[str, Option("Spark SQL; every table is a view of its name.", argument=True)],
    *,
    limit: Annotated[int, Option("Rows shown at most.", least=1)] = 1000,
    output: Annotated[
        Path | None,
        Option(
            "Write all rows to this file instead: .csv or .xlsx (nested columns as JSON, formulas "
            "of spreadsheets escaped), or .parquet.",
            flags=("--output", "-o"),
            metavar="FILE",
        ),
    ] = None,
    **place: Unpack[Place],
) -> Result:
    """Query the output tables with Spark SQL.

    The functions embed_text(text) and classify_text(text, 'intent') can be used in a query.
    """
    with running("sql", settings, record=False, **place) as run:
        if output:
            export_query_stage(run, query, output)
        else:
            sql_stage(run, query, limit=limit)
        return Result.of_run(run)
